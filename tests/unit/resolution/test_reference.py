from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman.errors import ConfigurationError, FactoryForbidden, MissingExtraError
from pointsman.resolution.reference import EXTRAS, GatedReference, is_gated_form, load_reference

FILES = {
    "depot.py": "class Cache:\n    class Inner: pass\n\nalias = Cache\nlimit = 5\n",
    "needs_more.py": "import absent_for_certain\n",
    "broken.py": "from depot import nothing\n",
    "raises.py": "raise ValueError('no')\n",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize(("text", "expected"), [("depot:limit", 5), ("depot:Cache.Inner.__name__", "Inner")])
def test_an_image_may_name_any_attribute(text: str, expected: object) -> None:
    assert load_reference(text) == expected


def test_a_manifest_names_what_is_defined_and_no_alias_of_it() -> None:
    assert load_reference(GatedReference("depot:Cache")) is load_reference("depot:alias")
    for text in ("depot:alias", "depot:limit", "depot:absent", "depot:Cache.Inner", "depot"):
        with pytest.raises(FactoryForbidden):
            load_reference(GatedReference(text))


@pytest.mark.parametrize(
    "text",
    ["", "depot", "depot:", ":Cache", "absent_for_certain:X", "absent.for_certain:X", "depot:absent", "needs_more:X",
     "broken:X", "raises:X", ".depot:Cache"],
)  # fmt: skip
def test_what_leads_nowhere_is_a_mistake_in_the_configuration(text: str) -> None:
    with pytest.raises(ConfigurationError):
        load_reference(text)


def test_a_shipped_provider_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pointsman.adapters.cache.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    for text in (
        "pointsman.adapters.cache.redis:redis_cache",
        GatedReference("pointsman.adapters.cache.redis:redis_cache"),
    ):
        with pytest.raises(MissingExtraError, match="'redis' was not found") as missing:
            load_reference(text)
        assert missing.value.extra == "redis"
        assert "pip install 'pointsman[redis]'" in missing.value.hint


def test_every_extra_is_of_a_shipped_module() -> None:
    assert all(module.startswith("pointsman.adapters.") for module in EXTRAS)


def test_a_gated_reference_is_its_text_and_stays_gated() -> None:
    gated = GatedReference("depot:Cache")
    assert gated == "depot:Cache"
    assert hash(gated) == hash("depot:Cache")
    assert isinstance(pickle.loads(pickle.dumps(gated)), GatedReference)


def test_the_gated_form_is_narrow() -> None:
    assert is_gated_form("pkg.mod_2:Name")
    assert not any(
        map(is_gated_form, ("pkg.mod", "pkg._mod:X", "pkg:_X", "pkg:a.b", "pkg:x\n", "pkg..a:X", "pkg:é", "2x:X"))
    )
