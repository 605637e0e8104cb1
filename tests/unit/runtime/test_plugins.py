"""Installed packages bring candidates by entry point; one that cannot be read is shown with why, and stops nobody."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pointsman.declarations import Candidate, Constraints, provides
from pointsman.runtime.plugins import PYDANTICS, any_declared, installed_plugins
from tests.workshop import Replica

DIST = """Metadata-Version: 2.1
Name: {name}
Version: 1.0
"""


@provides("adapter", "cache", "marked")
def marked() -> object:
    return object()


def one() -> Candidate:
    return Candidate("adapter", "cache", "one", marked)


def broken() -> object:
    raise RuntimeError("no licence")


class Packages:
    """A folder on the path that looks like installed packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.module = ModuleType("acme_candidates")
        self.module.marked = marked  # type: ignore[attr-defined]
        self.module.lonely = one()  # type: ignore[attr-defined]
        self.module.several = [one(), marked]  # type: ignore[attr-defined]
        self.module.made = lambda: [one()]  # type: ignore[attr-defined]
        self.module.broken = broken  # type: ignore[attr-defined]
        self.module.nonsense = 42  # type: ignore[attr-defined]
        odd = Candidate("adapter", "cache", "odd", marked, constraints=Constraints(python="not a version"))
        self.module.unreadable = [odd]  # type: ignore[attr-defined]

    def install(self, package: str, group: str, **points: str) -> None:
        info = self._folder / f"{package}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(DIST.format(name=package))
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        with (info / "entry_points.txt").open("a") as file:
            file.write("\n".join(lines) + "\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    made = Packages(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "acme_candidates", made.module)
    return made


def found() -> dict[str, Any]:
    return {plugin.name: plugin for plugin in installed_plugins() if plugin.package in {"acme", "brix"}}


@pytest.mark.parametrize(
    ("name", "providers"),
    [("lonely", ["one"]), ("several", ["one", "marked"]), ("made", ["one"]), ("marked", ["marked"])],
)
def test_an_entry_point_names_candidates_a_marked_factory_or_what_returns_them(
    packages: Packages, name: str, providers: list[str]
) -> None:
    packages.install("acme", "pointsman.candidates", point=f"acme_candidates:{name}")
    plugin = found()["point"]
    assert [candidate.provider for candidate in plugin.candidates] == providers
    assert (plugin.error, plugin.reference) == (None, f"acme_candidates:{name}")


def test_a_module_brings_what_it_holds(packages: Packages) -> None:
    packages.install("acme", "pointsman.candidates", point="acme_candidates")
    providers = [candidate.provider for candidate in found()["point"].candidates]
    assert providers == ["one"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("broken", "RuntimeError: no licence"),
        ("absent", "AttributeError: module 'acme_candidates' has no attribute 'absent'"),
        ("nonsense", "include= expected a module, a Router, a Candidate or a marked factory, found 42."),
        ("unreadable", "adapter/cache=odd: expected a version specifier, found 'not a version'."),
    ],
)
def test_one_that_cannot_be_read_is_kept_with_its_error_and_the_start_goes_on(
    packages: Packages, name: str, error: str
) -> None:
    packages.install("acme", "pointsman.candidates", bad=f"acme_candidates:{name}", good="acme_candidates:lonely")
    plugins = found()
    assert (plugins["bad"].error, plugins["bad"].candidates) == (error, ())
    replica = Replica(plugins=True)
    runtime = replica.assemble()
    assert runtime.resolver.resolve("adapter", "cache", provider="one").provider == "one"
    assert [plugin for plugin in runtime.plugins if plugin.error] == [plugins["bad"]]


def test_the_old_groups_are_read_too_in_the_order_of_groups_packages_and_names(packages: Packages) -> None:
    packages.install("brix", "pointsman.candidates", b="acme_candidates:lonely", a="acme_candidates:lonely")
    packages.install("acme", "pointsman.adapters", z="acme_candidates:lonely")
    packages.install("acme", "pointsman.candidates", c="acme_candidates:lonely")
    packages.install("acme", "pointsman.others", x="acme_candidates:lonely")
    assert list(found()) == ["c", "a", "b", "z"]


# --- whether there is anything to read ---


def test_packages_are_read_only_where_one_names_a_group_of_ours(packages: Packages, tmp_path: Path) -> None:
    path = [str(tmp_path), str(tmp_path / "missing")]
    packages.install("others", "console_scripts", pointsman="pointsman.cli.main:run")
    (tmp_path / "bare-1.0.dist-info").mkdir()
    assert not any_declared(path)
    packages.install("fire", "pydantic", one="fire:plugin")
    assert not any_declared(path)
    assert any_declared(path, PYDANTICS)
    packages.install("acme", "pointsman.adapters", one="acme_candidates:lonely")
    assert any_declared(path)


def test_where_packages_may_lie_elsewhere_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "packages.zip"
    archive.write_bytes(b"")
    assert any_declared([str(archive)])
    (tmp_path / "old-1.0.egg").mkdir()
    assert any_declared([str(tmp_path)])

    class Finder:
        @staticmethod
        def find_spec(*_: Any) -> None:
            return None

        @staticmethod
        def find_distributions(*_: Any) -> list[Any]:
            return []

    assert not any_declared([])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert any_declared([])
