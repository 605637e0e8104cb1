"""Compiled settings mean what the files mean, never stop a start, and need neither YAML nor pydantic."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pointsman.control.settings import ControlSettings
from pointsman.errors import ConfigurationError
from pointsman.lifecycle.settings import LifecycleSettings
from pointsman.manifests.settings import TrustSettings
from pointsman.runtime.settings import Settings
from pointsman.runtime.sources import compiled
from pointsman.runtime.sources.merging import compile_settings
from pointsman.runtime.sources.reading import Asked
from pointsman.stores.settings import StoreSettings
from pointsman.tenancy.settings import TenancySettings
from pointsman.web.admin.settings import AdminSettings
from pointsman.web.settings import DebugSettings, WebSettings

Write = Callable[..., Path]
SECTIONS: tuple[type[Any], ...] = (
    *(ControlSettings, LifecycleSettings, TrustSettings, StoreSettings),
    *(TenancySettings, AdminSettings, DebugSettings, WebSettings),
)
FULL = {"POINTSMAN_SETTINGS_COMPILED": "0"}
SAYINGS: Mapping[str, tuple[Any, ...]] = {
    "service": ("shop", "${env:NAME}", "${env:GONE}", 3),
    "environment": ("production", "development", True),
    "adapters": (
        {"selections": {"cache": "redis", "database": {"a": 1, "b": 99}}},
        {"selections": None, "provider_settings": {"cache/redis": {"url": "${secret:URL}"}, "nobody": {}}},
        {"candidates": [{"key": "cache", "provider": "own", "factory": "acme.cache:Own"}], "selection": {}},
        {"provider_settings": {"cache/redis": {"url": "${env:URL}"}}, "selections": {"cache": "${env:NAME}"}},
        None,
    ),
    "tenants": ({"acme": {"selections": {"adapter/cache": "redis"}, "labels": {"a": "b"}}}, {"acme": None}, {"a": 1}),
    "components": ({"adapter/cache": {"drain_timeout_s": 3, "fallbacks": ["memory"]}}, {"adapter/cache": {"drain": 3}}),
    "tenancy": ({"source": "host", "required": True}, {"source": "${env:NAME}"}, {"required": "yes"}, {"unknown": 1}),
    "trust": ({"min_root": 3}, {"min_root": "4", "destinations": ["https://a.example"]}, {"factories": ["os.system"]}),
    "control": ({"store": "memory://x", "key": "${secret:KEY}"}, {"soft_limit_s": 90}, {"hard_limit_s": "${env:NAME}"}),
    "web": ({"startup_wait_s": 3}, {"max_body_bytes": 0}, "nothing"),
    "logging": ({"level": "DEBUG"}, {"level": "LOUD"}, {"access": "true"}),
    "nosuch": ({},),
}
ENVIRON: Mapping[str, tuple[str, ...]] = {
    "NAME": ("n", "5"),
    "K_SERVICE": ("shop",),
    "POINTSMAN_SERVICE": ("env", ""),
    "POINTSMAN_ENVIRONMENT": ("staging", "development"),
    "POINTSMAN_ADAPTERS__SELECTIONS__CACHE": ("memory",),
    "POINTSMAN_ADAPTERS__PROVIDER_SETTINGS": ('{"cache/redis": {"db": 3}}', "[1]"),
    "POINTSMAN_TENANCY__REQUIRED": ("false", "maybe"),
    "POINTSMAN_TENANCY__SOURCE": ("path",),
    "POINTSMAN_TRUST__MIN_ROOT": ("2", "9", "x"),
    "POINTSMAN_TRUST__ROOT": ("x",),
    "POINTSMAN_WEB__STARTUP_WAIT_S": ("4", "-1"),
    "POINTSMAN_LOGGING__LEVEL": ("ERROR", "LOUD"),
    "POINTSMAN_TENANTS": ('{"globex": {}}',),
    "POINTSMAN_TYPO": ("x",),
}


def _some(said: Mapping[str, tuple[Any, ...]]) -> st.SearchStrategy[dict[str, Any]]:
    one = st.sampled_from([(name, value) for name, values in said.items() for value in values])
    return st.lists(one, max_size=4).map(dict)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


def _told(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ConfigurationError as error:
        return error.message, error.hint


def _meaning(folder: Path, environ: Mapping[str, str], arguments: Mapping[str, Any]) -> Any:
    """Return all that settings tell anybody: values, sections and contribution, or the errors instead."""
    settings = _told(lambda: Settings.load(folder, environ=environ, **arguments))
    if not isinstance(settings, Settings):
        return settings
    sections = [_told(lambda kind=kind: settings.section(kind)) for kind in SECTIONS]
    return settings, sections, _told(settings.contribution)


SELECTED, GRANTED = SAYINGS["adapters"][:2]


@given(_some(SAYINGS), _some(ENVIRON), _some(SAYINGS))
@example({"adapters": GRANTED}, {"POINTSMAN_ADAPTERS__PROVIDER_SETTINGS": "[1]"}, {"adapters": GRANTED})
@example({"adapters": GRANTED}, {"POINTSMAN_ADAPTERS__PROVIDER_SETTINGS": "[1]"}, {"adapters": SELECTED})
def test_compiled_settings_mean_what_the_files_mean(
    folder: Path, said: dict[str, Any], environ: dict[str, str], arguments: dict[str, Any]
) -> None:
    (folder / compiled.COMPILED).unlink(missing_ok=True)
    (folder / "trust.yml").write_text(json.dumps(said.pop("trust", {})))
    (folder / "app.yml").write_text(json.dumps(said))
    _told(lambda: compile_settings(folder))
    assert _meaning(folder, environ, arguments) == _meaning(folder, {**environ, **FULL}, arguments)


def is_compiled(folder: Path | None = None, **environ: str) -> bool:
    with patch.object(Settings, "_full", side_effect=LookupError):
        try:
            Settings.load(folder, environ=environ)
        except LookupError:
            return False
    return True


def test_a_start_from_compiled_settings_is_one(write: Write) -> None:
    folder = write(app="service: shop\nstore: {timeout_s: 3}", adapters="selections: {cache: memory}")
    compile_settings(folder)
    assert is_compiled(folder, POINTSMAN_ENVIRONMENT="staging")
    assert not is_compiled(folder, POINTSMAN_ENVIRONMENT="staging", **FULL)


def test_without_files_there_is_nothing_to_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_compiled()
    with pytest.raises(ConfigurationError, match="expected a folder of settings, found none"):
        compile_settings(None)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-3],
        lambda data: data[:70],
        lambda data: data.replace(b"shop", b"chop"),
        lambda data: b"\xff" * 80,
    ],
)
def test_a_compiled_file_that_is_spoilt_is_left_aside(
    write: Write, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file = compile_settings(folder := write(app="service: shop"))
    file.write_bytes(spoil(file.read_bytes()))
    with caplog.at_level(logging.WARNING, "pointsman.settings"):
        assert Settings.load(folder, environ={}).service == "shop"
    assert "is not taken" in caplog.text


def test_a_file_that_was_changed_added_or_taken_away_counts(write: Write) -> None:
    compile_settings(folder := write(app="service: shop"))
    (folder / "app.yml").write_text("service: other")
    assert Settings.load(folder, environ={}).service == "other"
    compile_settings(folder)
    (folder / "adapters.yml").write_text("selections: {cache: memory}")
    assert Settings.load(folder, environ={}).adapters.selections == {"cache": "memory"}
    compile_settings(folder)
    (folder / "adapters.yml").unlink()
    assert Settings.load(folder, environ={}).adapters.selections == {}


def test_another_version_of_a_library_counts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_settings(folder := write(app="service: shop"))
    monkeypatch.setattr(compiled, "__version__", "0.0.0")
    assert not is_compiled(folder)


def test_another_python_and_another_place_do_not_count(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_settings(folder := write(app="service: shop\nlogging: {level: LOUD}"))
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.1")
    elsewhere = folder.rename(tmp_path / "elsewhere")
    read = compiled.compiled_files(Asked(elsewhere, {}, {}, frozenset({"service", "logging"}), {}))
    assert read is not None
    assert read.where(("logging", "level")) == f"{elsewhere / 'app.yml'}:2: logging.level"


def test_nothing_of_the_environment_is_in_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(app="service: '${env:NAME}'\ncontrol: {key: '${secret:KEY}'}")
    for name in ("NAME", "KEY", "POINTSMAN_ENVIRONMENT", "POINTSMAN_CONTROL__KEY"):
        monkeypatch.setenv(name, "hunter2")
    text = compile_settings(folder).read_text()
    assert "hunter2" not in text
    assert "${env:NAME}" in text
    assert "${secret:KEY}" in text


SERVICE = """
import asyncio, sys
from pointsman import Pointsman

app = Pointsman()

@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}

async def main():
    told, answers = asyncio.Queue(), asyncio.Queue()
    told.put_nowait({"type": "lifespan.startup"})
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    life = asyncio.create_task(app(scope, told.get, answers.put))
    assert (await answers.get())["type"] == "lifespan.startup.complete"
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    scope |= {"path": "/hello", "raw_path": b"/hello", "root_path": "", "query_string": b"", "state": {}}
    scope |= {"headers": [(b"host", b"x")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    told.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    await app(scope, told.get, answers.put)
    assert (await answers.get())["status"] == 200
    told.put_nowait({"type": "lifespan.shutdown"})
    await life
    print(*sorted({"pydantic", "pydantic_core", "pydantic_settings", "yaml", "typer"} & sys.modules.keys()))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("environ", "loaded"),
    [
        ({"POINTSMAN_ENVIRONMENT": "staging", "POINTSMAN_LOGGING__LEVEL": "ERROR"}, []),
        (FULL, ["pydantic", "pydantic_core", "pydantic_settings", "yaml"]),
    ],
)
def test_a_compiled_service_answers_without_yaml_and_pydantic(
    write: Write, environ: Mapping[str, str], loaded: list[str]
) -> None:
    folder = write(app="service: shop\nenvironment: production\nlifecycle: {health_timeout_s: 3}")
    compile_settings(Path("settings"))
    found = subprocess.run(
        [sys.executable, "-c", SERVICE],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1].split() == loaded
