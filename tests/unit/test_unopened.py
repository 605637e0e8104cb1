"""A package that is entered unopened is, to everybody else, the package that it always was."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from pathlib import Path
from threading import Barrier, Thread
from types import ModuleType

import pytest

from pointsman.unopened import unopened, without
from tests.programs import python

ALL = """
from a_shop import costly
from a_shop.wares import ware

opened = costly.note()
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A package ``a_shop`` whose ``__init__`` loads all that it has."""
    folder = tmp_path / "a_shop"
    folder.mkdir()
    (folder / "__init__.py").write_text(ALL)
    (folder / "costly.py").write_text("count = 0\ndef note():\n    global count\n    count += 1\n    return count\n")
    (folder / "wares.py").write_text("ware = 'bread'\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "a_shop"]:
        del sys.modules[name]


def entered() -> ModuleType:
    with unopened("a_shop") as package:
        importlib.import_module("a_shop.wares")
    return package


@pytest.mark.usefixtures("shop")
def test_a_module_is_imported_without_the_rest() -> None:
    package = entered()
    assert package.wares.ware == "bread"
    assert "a_shop.costly" not in sys.modules


@pytest.mark.usefixtures("shop")
def test_whoever_asks_for_more_finds_it_and_it_is_made_once() -> None:
    package = entered()
    assert importlib.import_module("a_shop") is package
    assert package.ware == "bread"
    assert package.opened == package.costly.count == 1
    assert type(package) is ModuleType


@pytest.mark.usefixtures("shop")
def test_two_threads_open_it_once() -> None:
    package, both, found = entered(), Barrier(2), list[int]()

    def ask() -> None:
        both.wait()
        found.append(package.opened)

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1]


@pytest.mark.usefixtures("shop")
def test_a_name_that_it_never_had_is_missed_as_ever() -> None:
    package = entered()
    with pytest.raises(AttributeError, match="module 'a_shop' has no attribute 'nothing'"):
        _ = package.nothing


def test_what_fails_to_open_says_so_each_time(shop: Path) -> None:
    (shop / "__init__.py").write_text("import a_module_that_is_not_there")
    package = entered()
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
            _ = package.opened


@pytest.mark.usefixtures("shop")
def test_what_was_imported_before_stays_as_it_is() -> None:
    before = importlib.import_module("a_shop")
    assert entered() is before
    assert before.opened == 1


@pytest.mark.parametrize(
    "name", ["no_such_package", "no_such_package.module", "a_shop.nothing", "a_shop.wares.nothing", "a_shop.wares.json"]
)
@pytest.mark.usefixtures("shop")
def test_what_is_not_there_is_missed(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named"), unopened(name):
        pass


@pytest.mark.usefixtures("shop")
def test_a_module_that_its_package_imports_is_run_when_it_is_asked() -> None:
    with unopened("a_shop.wares") as wares:
        assert "a_shop" not in sys.modules
    assert vars(wares).get("ware") is None
    package = importlib.import_module("a_shop")
    assert package.ware == "bread"  # a name that the package took of it: that had it run
    assert vars(wares)["ware"] == "bread"


@pytest.mark.usefixtures("shop")
def test_a_module_whose_names_nobody_takes_is_not_run_with_its_package(shop: Path) -> None:
    (shop / "__init__.py").write_text("from . import wares\n")
    with unopened("a_shop.wares") as wares:
        package = importlib.import_module("a_shop")
    assert package.wares is wares
    assert "ware" not in vars(wares)
    assert package.wares.ware == "bread"


@pytest.mark.usefixtures("shop")
def test_what_is_done_without_is_not_installed_in_the_block_alone() -> None:
    with without("a_shop"), pytest.raises(ModuleNotFoundError, match="a_shop"):
        importlib.import_module("a_shop.wares")
    assert importlib.import_module("a_shop.wares").ware == "bread"
    with without("a_shop"):
        assert importlib.import_module("a_shop").ware == "bread"


def test_uvicorn_pynacl_and_urllib3_are_whole_to_an_application() -> None:
    asked = (
        "import sys, pointsman.cli.process, pointsman.manifests.keys, pointsman.stores.gcs.light\n"
        "seldom = {'click', 'uvicorn.main', 'nacl.bindings.crypto_pwhash', 'importlib.metadata'}\n"
        "assert not seldom & set(sys.modules)\n"
        "import uvicorn, nacl.bindings, nacl.signing, urllib3.http2\n"
        "assert urllib3.PoolManager and urllib3.http2.inject_into_urllib3\n"
        "from uvicorn import Server, run\n"
        "assert Server is pointsman.cli.process.Server and uvicorn.run is run and uvicorn.__version__\n"
        "assert nacl.bindings.crypto_pwhash_ALG_DEFAULT and nacl.signing.SigningKey.generate().sign(b'a')\n"
    )
    done = python(asked)
    assert done.stderr == ""


def test_what_a_start_does_not_run_of_msgspec_and_python_is_whole_to_an_application() -> None:
    asked = (
        "import sys, types\n"
        "from pointsman.unopened import _Unopened\n"
        "import pointsman.cli.run\n"
        "sys.argv = ['run', 'no_such_module:app']\n"
        "assert pointsman.cli.run.main() == 1\n"
        "late = [sys.modules[name] for name in ('msgspec.inspect', 'textwrap')]\n"
        "assert {type(one) for one in late} == {_Unopened}\n"
        "import msgspec, platform, textwrap\n"
        "assert msgspec.json.schema(int) == {'type': 'integer'}\n"
        "assert isinstance(msgspec.inspect.type_info(int), msgspec.inspect.IntType)\n"
        "assert textwrap.dedent('  a') == 'a' and platform.python_version().startswith('3.')\n"
        "assert {type(one) for one in late} == {types.ModuleType}\n"
    )
    done = python(asked)
    assert "no_such_module" in done.stderr
