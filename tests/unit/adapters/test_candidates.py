from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import BaseModel

from pointsman.adapters.candidates import SHIPPED
from pointsman.adapters.facade import FACADE
from pointsman.declarations import Candidate
from pointsman.resolution.reference import EXTRAS

ADAPTERS = Path(importlib.import_module("pointsman.adapters").__file__ or "").parent
PROTOCOLS = {"cache": "Cache", "database": "Database", "identity": "Identity", "secrets": "Secrets"}


def load(reference: object) -> object:
    assert isinstance(reference, str)
    module, _, name = reference.partition(":")
    return vars(importlib.import_module(module))[name]


@pytest.fixture(params=SHIPPED, ids=str)
def candidate(request: pytest.FixtureRequest) -> Candidate:
    return request.param


def test_none_wins_unselected_over_a_users_own(candidate: Candidate) -> None:
    assert candidate.priority is None
    assert candidate.stack_level < Candidate("adapter", "cache", "own", "m:f").stack_level


def test_in_each_category_what_needs_nothing_wins_over_what_needs_a_server() -> None:
    first = {}
    for candidate in sorted(SHIPPED, key=lambda candidate: candidate.stack_level):
        first[candidate.key] = candidate.provider
    assert first == {"cache": "memory", "database": "sqlite", "secrets": "env", "identity": "google"}
    for key in first:
        levels = [candidate.stack_level for candidate in SHIPPED if candidate.key == key]
        assert len(set(levels)) == len(levels), "the order of registration must not matter"


def test_its_factory_and_its_settings_model_are_where_it_says(candidate: Candidate) -> None:
    factory, model = load(candidate.factory), load(candidate.settings_model)
    assert inspect.isclass(model)
    assert issubclass(model, BaseModel)
    assert callable(factory)
    assert (factory.__module__, factory.__qualname__) == tuple(str(candidate.factory).split(":"))
    assert candidate.description.endswith(".")


def test_its_factory_asks_for_its_settings_and_nothing_that_has_no_default(candidate: Candidate) -> None:
    factory = load(candidate.factory)
    parameters = inspect.signature(factory).parameters
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory, include_extras=True)
    assert hints["settings"] is load(candidate.settings_model)
    assert all(name == "settings" or parameter.default is not parameter.empty for name, parameter in parameters.items())


def test_its_settings_refuse_what_they_do_not_know_and_do_not_change(candidate: Candidate) -> None:
    config = load(candidate.settings_model).model_config
    assert (config.get("extra"), config.get("frozen")) == ("forbid", True)


def test_its_category_has_a_protocol_that_it_promises(candidate: Candidate) -> None:
    protocol = importlib.import_module(f"pointsman.adapters.{candidate.key}.protocol")
    assert vars(protocol)[candidate.key.upper()] == candidate.component
    promised = [name for name in vars(vars(protocol)[PROTOCOLS[candidate.key]]) if not name.startswith("_")]
    module = importlib.import_module(str(candidate.factory).partition(":")[0])
    classes = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__]
    assert any(all(name in vars(kind) for name in promised) for kind in classes)


def test_a_facade_is_promised_exactly_where_one_can_be_had(candidate: Candidate) -> None:
    module = importlib.import_module(str(candidate.factory).partition(":")[0])
    offers = any(hasattr(kind, "for_tenant") for _, kind in inspect.getmembers(module, inspect.isclass))
    assert (candidate.metadata.get(FACADE) == "tenant") == offers


def test_every_category_has_its_token() -> None:
    for file in ADAPTERS.glob("*/protocol.py"):
        category = file.parent.name
        module = importlib.import_module(f"pointsman.adapters.{category}.protocol")
        assert vars(module)[category.upper()] == ("adapter", category)


def test_every_provider_module_is_in_the_table() -> None:
    listed = {str(candidate.factory).partition(":")[0] for candidate in SHIPPED}
    parts = {"__init__", "protocol", "jwks", "names"}
    found = {
        f"pointsman.adapters.{file.parent.name}.{file.stem}"
        for file in ADAPTERS.glob("*/*.py")
        if file.stem not in parts
    }
    assert found == listed
    assert set(EXTRAS) <= listed


def test_loading_the_table_and_the_protocols_loads_no_third_party_package() -> None:
    script = """
import sys
before = set(sys.modules)
import pointsman.adapters.candidates, pointsman.adapters.cache.protocol, pointsman.adapters.database.protocol
import pointsman.adapters.identity.protocol, pointsman.adapters.llm.protocol, pointsman.adapters.secrets.protocol
loaded = {name.partition('.')[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names - {'pointsman'}))
"""
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ADAPTERS.parent.parent
    )
    assert answer.stdout.split() == []
