"""A late pattern is, to whoever matches with it, the compiled one; and every one of ours can be compiled."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import pointsman
from pointsman.patterns import _Late, late_pattern
from tests.programs import python


def test_a_late_pattern_matches_as_the_compiled_one() -> None:
    late, compiled = late_pattern(r"(?P<name>[a-z]+)!", re.IGNORECASE), re.compile(r"(?P<name>[a-z]+)!", re.IGNORECASE)
    for text in ("Ada!", "Ada", "", "1!"):
        assert (late.fullmatch(text) is None) == (compiled.fullmatch(text) is None)
    found = late.search("to Ada!")
    assert found is not None
    assert found["name"] == "Ada"
    assert (late.pattern, late.flags, late.sub(".", "Ada!")) == (compiled.pattern, compiled.flags, ".")
    assert late_pattern(rb"[0-9]").findall(b"a1b2") == [b"1", b"2"]


def test_nothing_is_compiled_before_the_first_match_and_nothing_after() -> None:
    done = python(
        "import re\n"
        "from pointsman.patterns import late_pattern\n"
        "late, compile, seen = late_pattern('a+'), re.compile, []\n"
        "re.compile = lambda *of: seen.append(of) or compile(*of)\n"
        "assert not seen\n"
        "assert late.fullmatch('aa') and late.fullmatch('aaa') and not late.fullmatch('b')\n"
        "assert len(seen) == 1\n"
    )
    assert done.stderr == ""


def test_what_is_no_expression_says_so_when_it_is_used() -> None:
    late = late_pattern("(")
    with pytest.raises(re.error, match="unterminated subpattern"):
        late.match("a")


def test_every_late_pattern_of_ours_can_be_compiled() -> None:
    modules = [importlib.import_module(one.name) for one in pkgutil.walk_packages(pointsman.__path__, "pointsman.")]
    lates = [one for module in modules for one in vars(module).values() if isinstance(one, _Late)]
    assert len(lates) >= 10
    assert all(one._compiled() for one in lates)
