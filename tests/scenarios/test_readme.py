"""The README says what works: its Python runs, its YAML counts, its answers are the answers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from pointsman import Pointsman
from pointsman.runtime.settings import Settings
from pointsman.testing import serving

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
HELLO, EXPLAIN, CLOCK, REPLACED = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def page() -> Iterator[ModuleType]:
    """A module in which blocks of the page are run one after the other."""
    module = sys.modules["readme_page"] = ModuleType("readme_page")
    yield module
    del sys.modules["readme_page"]


def run(page: ModuleType, block: str) -> dict[str, Any]:
    exec(compile(block, str(README), "exec"), vars(page))
    return vars(page)


async def test_the_first_page_says_hello_in_the_language_that_files_choose(page: ModuleType) -> None:
    names = run(page, HELLO)
    async with serving(names["app"]) as client:
        assert (await client.get("/hello/Ada")).text == "Bonjour, Ada!\n"
    sections = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]
    settings = Settings.load(services=sections[0], tenants=sections[1])
    chosen = Pointsman(settings, include=[names["english"], names["french"]])
    chosen.get("/hello/{name}")(names["hello"])
    async with serving(chosen) as client:
        assert (await client.get("/hello/Ada")).text == "Hello, Ada!\n"
        acme = await client.get("/hello/Ada", headers={"X-Tenant-ID": "acme"})
        assert acme.text == "Bonjour, Ada!\n"


def test_it_explains_itself_in_the_words_of_the_page(page: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    run(page, EXPLAIN)
    assert f"# {capsys.readouterr().out.strip()}\n" in EXPLAIN


async def test_a_first_component_of_ones_own_runs_and_is_replaced_in_a_test(page: ModuleType) -> None:
    run(page, CLOCK)
    names = run(page, REPLACED)
    await names["test_the_clock_is_replaced"]()
