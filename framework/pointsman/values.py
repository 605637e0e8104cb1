"""Values that cost little to declare: frozen dataclasses whose methods are shared, not compiled for each class.

``dataclass(frozen=True, slots=True)`` writes and compiles its methods for every class, and a service pays that at every
cold start: a `frozen` one costs a fifteenth of it, since what only `dataclasses` asks is worked out once it is asked.
An instance costs twice that of a dataclass. To `dataclasses`, to pydantic, to ``help()`` and to type checkers it is a
dataclass. What is made for each request stays one of the usual kind. Never imports a third-party package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, replace
from inspect import get_annotations
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, dataclass_transform, overload

if TYPE_CHECKING:
    from inspect import Signature

C = TypeVar("C", bound=type[Any])


@overload
def frozen(cls: C, /) -> C: ...
@overload
def frozen(*, eq: bool = True, kw_only: bool = False) -> Callable[[C], C]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: C | None = None, /, *, eq: bool = True, kw_only: bool = False) -> C | Callable[[C], C]:
    """Make a class a frozen dataclass with slots; the arguments are those of `dataclasses.dataclass`.

    Args:
        cls: With annotated fields; a method that it defines itself is kept.
        eq: Whether instances are equal, and hashed, by their fields; else each is equal to itself alone.
        kw_only: Whether fields are told by name alone.

    Raises:
        TypeError: The annotations are not text, as they are under ``from __future__ import annotations``.
    """

    def made(cls: C) -> C:
        names = tuple(name for name, *_ in _told(cls))
        own = {name: kept for name, kept in vars(cls).items() if name not in names and name not in _UNSLOTTED}
        inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "__slots__", ())}
        slots = {"__slots__": tuple(name for name in names if name not in inherited)}
        shared = _METHODS | _EQUALITY if eq else _METHODS
        metaclass: Any = type(cls)
        declared: Any = metaclass(cls.__name__, cls.__bases__, shared | own | slots)
        declared.__qualname__ = cls.__qualname__
        _Late(declared, "__shape__", lambda: _Shape(cls, declared, kw_only=kw_only))
        _Late(declared, "__match_args__", lambda: declared.__shape__.positional)
        _Late(declared, "__dataclass_fields__", lambda: declared.__shape__.every)
        return cast("C", declared)

    return made if cls is None else made(cls)


_KW_ONLY: Final = "KW_ONLY"
_UNSLOTTED: Final = ("__dict__", "__weakref__")


def _told(cls: type[Any], *, kw_only: bool = False) -> Iterable[tuple[str, str, bool]]:
    """Return the fields that a class itself declares: name, annotation, and whether it is told by name alone."""
    # Python 3.14 keeps annotations that are no text elsewhere
    for name, said in (vars(cls).get("__annotations__") or get_annotations(cls)).items():
        if not isinstance(said, str):
            raise TypeError(
                f"{cls.__qualname__}.{name}: expected an annotation as text: from __future__ import annotations."
            )
        if said == _KW_ONLY:
            kw_only = True
        elif not said.startswith("ClassVar"):
            yield name, said, kw_only


def _fields(cls: type[Any], *, kw_only: bool) -> Iterable[tuple[str, Field[Any]]]:
    """Return the fields of a class, those of its bases first, as `dataclasses.fields` knows them."""
    for base in reversed(cls.__mro__[1:]):
        yield from getattr(base, "__dataclass_fields__", {}).items()
    for name, said, by_name in _told(cls, kw_only=kw_only):
        default = vars(cls).get(name, MISSING)
        one: Any = default if isinstance(default, Field) else field(default=default)
        one.name, one.type, one.kw_only = name, said, by_name if one.kw_only is MISSING else one.kw_only
        one._field_type = _FIELD_TYPE  # noqa: SLF001 - what `fields` looks for
        yield name, one


class _Late:
    """An attribute of a class that is worked out when it is first asked for."""

    __slots__ = ("_cls", "_make", "_name")

    def __init__(self, cls: type[Any], name: str, make: Callable[[], object]) -> None:
        self._cls, self._name, self._make = cls, name, make
        setattr(cls, name, self)

    def __get__(self, instance: object, owner: type[Any]) -> object:
        made = self._make()
        setattr(self._cls, self._name, made)
        return made


class _Shape:
    """What the shared methods look up about a class; `places` store, in order, what can be given.

    Args:
        told: The class as it was written, with its defaults.
        declared: The one that was made of it.
        kw_only: Whether its fields are told by name alone.
    """

    __slots__ = (
        "after",
        "at_once",
        "compared",
        "enough",
        "every",
        "given",
        "names",
        "places",
        "positional",
        "shown",
        "usual",
    )

    def __init__(self, told: type[Any], declared: type[Any], *, kw_only: bool) -> None:
        self.every = dict(_fields(told, kw_only=kw_only))
        every = self.every.values()
        self.names = tuple(self.every)
        self.given = tuple((one.name, one.default, one.default_factory) for one in every if one.init)
        self.places = tuple(getattr(declared, name).__set__ for name, *_ in self.given)
        self.positional = tuple(one.name for one in every if one.init and not one.kw_only)
        self.at_once = len(self.given) if len(self.given) == len(self.positional) else None
        self.usual = tuple(default for _, default, _ in self.given)
        self.enough = max((place for place, one in enumerate(self.usual, 1) if one is MISSING), default=0)
        self.after = getattr(declared, "__post_init__", None)
        self.shown = tuple(one.name for one in every if one.repr)
        compared = [one.name for one in every if one.compare]
        self.compared: Callable[[Any], object] = attrgetter(*compared) if compared else lambda _: ()

    def filled(self, kind: str, told: tuple[object, ...], named: dict[str, object]) -> Sequence[object]:
        """Return a value for each place, defaults where nothing was given.

        Raises:
            TypeError: An argument is missing, given twice, or unknown.
        """
        if not named and self.at_once is not None and self.enough <= len(told) <= self.at_once:
            return told + self.usual[len(told) :]
        if len(told) > len(self.positional):
            raise TypeError(f"{kind}() takes {len(self.positional)} arguments by place, and was given {len(told)}.")
        by_place = dict(zip(self.positional, told, strict=False))
        if twice := by_place.keys() & named.keys():
            raise TypeError(f"{kind}() was given the argument {min(twice)!r} twice.")
        values = []
        for name, default, factory in self.given:
            if name in by_place:
                values.append(by_place[name])
            elif name in named:
                values.append(named.pop(name))
            elif default is not MISSING:
                values.append(default)
            elif factory is not MISSING:
                values.append(factory())
            else:
                raise TypeError(f"{kind}() misses the argument {name!r}.")
        if named:
            raise TypeError(f"{kind}() has no argument {next(iter(named))!r}.")
        return values


class _Signature:
    """Tells `inspect.signature`, and so ``help()``, what a class takes, once it is asked."""

    def __get__(self, instance: object, owner: type[Any]) -> Signature:
        from inspect import Parameter, Signature

        def parameter(one: Field[Any]) -> Parameter:
            kind = Parameter.KEYWORD_ONLY if one.kw_only else Parameter.POSITIONAL_OR_KEYWORD
            made = ... if one.default_factory is not MISSING else Parameter.empty
            return Parameter(
                one.name, kind, default=made if one.default is MISSING else one.default, annotation=one.type
            )

        return Signature(sorted((parameter(one) for one in fields(owner) if one.init), key=lambda one: one.kind))


class _Shared:
    """The methods of every frozen class; what differs between two is in their shapes."""

    __shape__: _Shape
    __signature__ = _Signature()

    def __init__(self, *told: object, **named: object) -> None:
        shape = self.__shape__
        values: Iterable[object] = told
        if named or len(told) != shape.at_once:
            values = shape.filled(type(self).__name__, told, named)
        for place, value in zip(shape.places, values, strict=True):
            place(self, value)
        if shape.after is not None:
            shape.after(self)

    @recursive_repr()
    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__shape__.shown)
        return f"{type(self).__qualname__}({told})"

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __replace__(self, **changed: object) -> object:
        return replace(cast("Any", self), **changed)

    def __getstate__(self) -> list[object]:
        return [getattr(self, name) for name in self.__shape__.names]

    def __setstate__(self, state: list[object]) -> None:
        for name, kept in zip(self.__shape__.names, state, strict=True):
            object.__setattr__(self, name, kept)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        compared = self.__shape__.compared
        return bool(compared(self) == compared(other))

    def __hash__(self) -> int:
        return hash(self.__shape__.compared(self))


@dataclass(init=False, repr=False, eq=False, match_args=False, frozen=True)
class _Usual:
    """What `dataclasses` keeps about a frozen one; without these words it would look at a signature to write some."""

    one: int


_FIELD_TYPE: Final = fields(_Usual)[0]._field_type  # type: ignore[attr-defined] # noqa: SLF001
_EQUALITY: Final = {name: vars(_Shared)[name] for name in ("__eq__", "__hash__")}
_METHODS: Final = {
    name: vars(_Shared)[name]
    for name in (
        "__init__",
        "__repr__",
        "__setattr__",
        "__delattr__",
        "__getstate__",
        "__setstate__",
        "__replace__",
        "__signature__",
    )
} | {"__dataclass_params__": vars(_Usual)["__dataclass_params__"]}
