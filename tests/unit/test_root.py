"""The root names what users need, each loaded when it is first asked for; importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import pointsman

NAMES = {
    # words
    "Candidate", "Component", "Constraints", "Tenant", "provides",
    # the ASGI surface
    "Components", "Pointsman", "Router", "Use", "components", "use",
    # the engine
    "Explanation", "LifecycleManager", "Resolution", "Resolver", "Runtime", "Settings",
    # the domains
    "ActionBridge", "AdapterBridge", "EventBridge", "Handle", "ServiceBridge", "TaskBridge", "WorkflowBridge",
    # the predecessor's helper
    "AdapterMetadata", "register_adapter_metadata",
    # errors
    "PointsmanError",
}  # fmt: skip
LOADED = """
import sys
before = set(sys.modules)
{code}
print(*sorted({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""


def loaded_by(code: str) -> set[str]:
    """Return the third-party packages that code loads in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", LOADED.format(code=code)],
        env={"PYTHONPATH": "framework"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(answer.stdout.split()) & set(packages_distributions()) - {"pointsman"}


def test_the_public_names_are_these_and_no_others() -> None:
    assert sorted(NAMES) == pointsman.__all__
    assert len(pointsman.__all__) <= 30


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_there_and_remembered(name: str) -> None:
    value = getattr(pointsman, name)
    assert vars(pointsman)[name] is value
    assert name in dir(pointsman)
    assert getattr(value, "__name__", name).lstrip("_") == name


def test_a_misspelt_name_is_no_name() -> None:
    with pytest.raises(AttributeError, match="module 'pointsman' has no attribute 'Pointman'"):
        pointsman.Pointman  # noqa: B018
    assert isinstance(pointsman.__version__, str)


def test_no_submodule_hides_a_name() -> None:
    folder = Path(pointsman.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & NAMES


@pytest.mark.parametrize(
    "code",
    [
        "import pointsman",
        "from pointsman import Candidate, Component, Constraints, PointsmanError, Tenant, Use, provides",
        "import pointsman.errors, pointsman.declarations, pointsman.adapters.candidates",
    ],
)
def test_importing_it_and_using_its_words_loads_no_third_party_package(code: str) -> None:
    assert loaded_by(code) == set()


def test_importing_it_loads_itself_alone() -> None:
    answer = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            "import sys, __future__; before = set(sys.modules); import pointsman; print(*set(sys.modules) - before)",
        ],
        env={"PYTHONPATH": "framework"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert answer.stdout.split() == ["pointsman"]
