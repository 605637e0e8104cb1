"""A frozen class is, to whoever uses it, what the standard library's frozen slots dataclass is."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import pickle
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pointsman.values import frozen

T = TypeVar("T")


@frozen
class Ours(Generic[T]):
    """Ours."""

    one: int
    two: T
    _: KW_ONLY
    three: tuple[int, ...] = ()
    hidden: str = field(default="", repr=False)
    aside: int = field(default=0, compare=False)
    made: list[int] = field(default_factory=list)
    sum: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sum", self.one + len(self.three))


@dataclass(frozen=True, slots=True)
class Theirs(Generic[T]):
    """Theirs."""

    one: int
    two: T
    _: KW_ONLY
    three: tuple[int, ...] = ()
    hidden: str = field(default="", repr=False)
    aside: int = field(default=0, compare=False)
    made: list[int] = field(default_factory=list)
    sum: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sum", self.one + len(self.three))


def _done(make: Any, *told: Any, **named: Any) -> Any:
    try:
        made = make(*told, **named)
    except TypeError:
        return TypeError
    shown = repr(made).replace("Ours", "").replace("Theirs", "")
    return shown, [getattr(made, one.name) for one in fields(made)]


names = st.sampled_from(["one", "two", "three", "hidden", "aside", "made", "sum", "nobody"])
arguments = st.tuples(st.lists(st.integers(), max_size=4), st.dictionaries(names, st.just((1,)), max_size=4))


@given(arguments)
def test_it_takes_and_refuses_the_same_arguments(said: tuple[list[int], dict[str, Any]]) -> None:
    told, named = said
    named |= {"one": 1} if "one" in named else {}
    assert _done(Ours, *told, **named) == _done(Theirs, *told, **named)


def test_it_is_equal_by_the_fields_that_are_compared() -> None:
    assert Ours(1, "a", aside=1) == Ours(1, "a", aside=2)
    assert Ours(1, "a") != Ours(1, "b")
    theirs: object = Theirs(1, "a")
    assert Ours(1, "a") != theirs


def test_it_is_hashed_by_the_fields_that_are_compared() -> None:
    @frozen
    class Point:
        x: int
        y: int = 0

    @frozen(eq=False)
    class Alone:
        x: int

    assert {Point(1): "found"}[Point(1, 0)] == "found"
    assert Alone(1) != Alone(1)
    assert len({Alone(1), Alone(1)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours(1, "a"))


def test_it_cannot_be_changed_and_has_no_room_for_more() -> None:
    made: Any = Ours(1, "a")
    with pytest.raises(FrozenInstanceError):
        made.one = 2
    with pytest.raises(FrozenInstanceError):
        made.more = 2
    with pytest.raises(FrozenInstanceError):
        del made.one
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), replace])
def test_a_copy_of_it_is_equal(copied: Any) -> None:
    made = Ours(1, "a", three=(1,), made=[1])
    assert copied(made) == made
    assert copied(made).sum == 2


def test_inspect_and_pydantic_take_it_for_a_dataclass() -> None:
    assert is_dataclass(Ours)
    ours, theirs = inspect.signature(Ours), inspect.signature(Theirs)
    assert list(ours.parameters) == list(theirs.parameters)
    assert [one.kind for one in ours.parameters.values()] == [one.kind for one in theirs.parameters.values()]

    @frozen(kw_only=True)
    class Section:
        number: int = 3

    assert TypeAdapter(Section).validate_python({"number": "4"}) == Section(number=4)
    with pytest.raises(TypeError):
        Section(4)  # type: ignore[call-arg]


def test_what_it_defines_itself_is_kept() -> None:
    @frozen
    class Named:
        name: str

        def __repr__(self) -> str:
            return f"<{self.name}>"

        def __hash__(self) -> int:
            return 7

    assert (repr(Named("a")), hash(Named("a"))) == ("<a>", 7)


def test_a_ring_of_values_can_be_shown() -> None:
    ring: Ours[list[Any]] = Ours(1, [])
    ring.two.append(ring)
    assert "..." in repr(ring)


def test_a_frozen_class_can_be_made_of_another_and_a_dataclass_of_both() -> None:
    @frozen
    class Sized:
        name: str
        size: int = 1

    @frozen
    class Shaped(Sized):
        size: int = 2
        shape: str = "round"

    @dataclass(frozen=True)
    class Kept(Shaped):
        where: str = "here"

    assert repr(Shaped("a")).endswith("Shaped(name='a', size=2, shape='round')")
    assert [one.name for one in fields(Kept)] == ["name", "size", "shape", "where"]
    assert Kept("a", 3).size == 3


def test_it_is_taken_apart_by_place() -> None:
    match Ours(1, "a", three=(2,)):
        case Ours(one, two):
            assert (one, two) == (1, "a")
    assert Ours.__match_args__ == Theirs.__match_args__


def test_an_annotation_that_is_no_text_is_refused() -> None:
    namespace: dict[str, Any] = {"frozen": frozen}
    with pytest.raises(TypeError, match=r"Point\.x: expected an annotation as text"):
        exec(compile("@frozen\nclass Point:\n    x: int\n", "point", "exec", dont_inherit=True), namespace)


def test_every_value_of_ours_has_the_fields_that_the_standard_library_would_find() -> None:
    seen = 0
    for module in sorted(Path("framework/pointsman").rglob("*.py")):
        if "@frozen" not in (text := module.read_text()) or module.name == "values.py":
            continue
        tree = ast.parse(text)
        name = ".".join(module.relative_to("framework").with_suffix("").parts)
        for written in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            declared = getattr(importlib.import_module(name), written.name)
            if not any("frozen" in ast.unparse(one) for one in written.decorator_list):
                continue
            seen += 1
            told = [
                one.target.id
                for one in written.body
                if isinstance(one, ast.AnnAssign)
                and isinstance(one.target, ast.Name)
                and "ClassVar" not in ast.unparse(one.annotation)
                and ast.unparse(one.annotation) != "KW_ONLY"
            ]
            assert [one.name for one in fields(declared)] == told, declared
            assert set(told) <= set(dir(declared)), declared
    assert seen > 50
