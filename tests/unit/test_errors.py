from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pointsman import errors
from pointsman.errors import (
    ComponentDraining,
    ComponentPaused,
    ConfigurationError,
    InputError,
    ManifestError,
    MissingExtraError,
    NoEligibleCandidate,
    PointsmanError,
    TenantError,
    Unavailable,
    UnknownComponent,
)

EVERY: list[type[PointsmanError]] = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
]
PLAIN = [error for error in EVERY if error is not MissingExtraError]
AGAIN = [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]


def test_there_is_one_tree_and_everything_hangs_on_it() -> None:
    assert len(EVERY) > 40
    assert all(issubclass(error, PointsmanError) for error in EVERY)


def test_codes_are_words_with_hyphens_and_no_two_classes_share_one() -> None:
    codes = [error.__dict__.get("code") for error in EVERY]
    assert all(isinstance(code, str) and re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigurationError", "configuration"),
        ("UnknownComponent", "unknown-component"),
        ("UnknownProvider", "unknown-provider"),
        ("NoEligibleCandidate", "no-eligible-candidate"),
        ("ActivationFailed", "activation-failed"),
        ("ComponentPaused", "component-paused"),
        ("ComponentDraining", "component-draining"),
        ("ComponentsClosed", "components-closed"),
        ("CapacityExceeded", "capacity"),
        ("Unsigned", "unsigned"),
        ("BadSignature", "bad-signature"),
        ("WrongType", "wrong-type"),
        ("Rollback", "rollback"),
        ("Equivocation", "equivocation"),
        ("ArtifactsDisabled", "artifacts-disabled"),
        ("ControlFull", "control-full"),
        ("OutcomeUnknown", "outcome-unknown"),
        ("ReadOnlyReplica", "read-only-replica"),
        ("OrderUnavailable", "order-unavailable"),
    ],
)
def test_codes_that_others_rely_on_never_change(name: str, code: str) -> None:
    assert getattr(errors, name).code == code


def test_the_map_in_the_docstring_draws_every_class_but_the_refusals_of_manifests() -> None:
    drawn = errors.__doc__ or ""
    missing = [
        error.__name__
        for error in EVERY
        if not re.search(rf"\b{error.__name__}\b", drawn) and not issubclass(error, ManifestError)
    ]
    assert missing == []


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_every_class_says_what_happened_and_whether_a_retry_may_help(error: type[PointsmanError]) -> None:
    assert error.__doc__
    assert isinstance(error.retryable, bool)
    if error.retry_after_s is not None:
        assert error.retryable
        assert error.retry_after_s > 0


@pytest.mark.parametrize("error", [ComponentPaused, ComponentDraining])
def test_a_gate_always_says_when_to_come_back(error: type[PointsmanError]) -> None:
    assert error("paused").retry_after_s == 5.0
    assert error("paused", retry_after_s=1.5).retry_after_s == 1.5
    assert error.retry_after_s == 5.0


@pytest.mark.parametrize("error", PLAIN, ids=lambda error: error.__name__)
def test_a_message_is_printed_with_its_class_its_code_and_its_hint(error: type[PointsmanError]) -> None:
    told = error("it failed.", hint="Try again.")
    assert (told.message, told.hint, str(told)) == ("it failed.", "Try again.", "it failed.\n  Try again.")
    code = "" if issubclass(error, ConfigurationError) else f" [{error.code}]"
    assert told.render() == f"{error.__name__}{code}: it failed.\n  Try again."
    assert str(error("it failed.")) == "it failed."
    assert str(error()) == ""


def test_a_rendered_error_reads_as_the_surface_promises() -> None:
    assert UnknownComponent("nothing is registered for adapter/cahe.").render() == (
        "UnknownComponent [unknown-component]: nothing is registered for adapter/cahe."
    )


def test_a_missing_extra_is_a_configuration_error_and_an_import_error_and_can_be_typed() -> None:
    missing = MissingExtraError("redis", "adapter/cache=redis", "redis.asyncio")
    assert isinstance(missing, ConfigurationError)
    assert isinstance(missing, ImportError)
    assert (missing.extra, missing.hint) == ("redis", "pip install 'pointsman[redis]'")
    assert missing.render() == (
        "MissingExtraError: adapter/cache=redis needs a package that is not installed; "
        "module 'redis.asyncio' was not found.\n  pip install 'pointsman[redis]'"
    )
    assert "was not found" not in str(MissingExtraError("redis", "adapter/cache=redis"))


def test_errors_carry_their_data() -> None:
    field = {"in": "body", "pointer": "/title", "detail": "missing", "code": "missing"}
    assert InputError("wrong.", errors=(field,)).errors == (field,)
    assert InputError().errors == ()
    assert (TenantError("who?").status, TenantError("no.", status=404).status) == (400, 404)
    assert NoEligibleCandidate("none.", explanation="why").explanation == "why"
    assert (Unavailable("down.").sent, Unavailable("down.", sent=False).sent) == (True, False)
    assert Unavailable("busy.", retry_after_s=9.0).retry_after_s == 9.0


@pytest.mark.parametrize("again", AGAIN)
def test_errors_cross_process_borders_whole(again: Callable[[Any], Any]) -> None:
    for error in (
        UnknownComponent("nothing.", hint="Known: a/b.", retry_after_s=2.0),
        MissingExtraError("redis", "adapter/cache=redis", "redis"),
        NoEligibleCandidate("none.", explanation=("why",)),
        TenantError("no.", status=404),
        InputError("wrong.", errors=({"in": "query"},)),
        Unavailable("down.", sent=False, retry_after_s=3.0),
    ):
        twin = again(error)
        assert type(twin) is type(error)
        assert (str(twin), vars(twin)) == (str(error), vars(error))


def test_the_module_imports_nothing() -> None:
    source = inspect.getsource(errors)
    assert re.findall(r"^ *(?:from|import) .*", source, re.MULTILINE) == ["from __future__ import annotations"]
    program = f"import runpy, sys; runpy.run_path({errors.__file__!r})"
    subprocess.run([sys.executable, "-I", "-c", program], check=True)
