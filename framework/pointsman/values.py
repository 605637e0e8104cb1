"""Values that cost little to declare: frozen dataclasses whose methods are shared, not compiled for each class.

``dataclass(frozen=True, slots=True)`` writes and compiles its methods for every class, at 0.65 ms each, and a service
pays that at every cold start; a `frozen` one costs 0.1 ms, and an instance of it twice that of a dataclass. To
`dataclasses`, to pydantic, to ``help()`` and to type checkers it is a dataclass. What is made for each request stays
one of the usual kind. Never imports a third-party package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, dataclass_transform, overload

if TYPE_CHECKING:
    from inspect import Signature

C = TypeVar("C", bound=type[Any])


@overload
def frozen(cls: C, /) -> C: ...
@overload
def frozen(*, eq: bool = True, kw_only: bool = False, slots: bool = True) -> Callable[[C], C]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(
    cls: C | None = None, /, *, eq: bool = True, kw_only: bool = False, slots: bool = True
) -> C | Callable[[C], C]:
    """Make a class a frozen dataclass; the arguments are those of `dataclasses.dataclass`.

    Args:
        cls: With annotated fields; a method that it defines itself is kept.
        eq: Whether instances are equal, and hashed, by their fields; else each is equal to itself alone.
        kw_only: Whether fields are told by name alone.
        slots: Whether instances do without ``__dict__``.
    """

    def made(cls: C) -> C:
        for name, shared in (_METHODS | _EQUALITY if eq else _METHODS).items():
            if name not in cls.__dict__:
                setattr(cls, name, shared)
        declared: Any = dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)(cls)
        declared.__shape__ = _Shape(declared)
        return cast("C", declared)

    return made if cls is None else made(cls)


class _Shape:
    """What the shared methods look up about a class; `places` store, in order, what can be given."""

    __slots__ = ("after", "at_once", "compared", "given", "names", "places", "positional", "shown")

    def __init__(self, cls: type[Any]) -> None:
        every = fields(cls)
        self.names = tuple(one.name for one in every)
        self.given = tuple((one.name, one.default, one.default_factory) for one in every if one.init)
        self.places = tuple(_place(cls, name) for name, *_ in self.given)
        self.positional = tuple(one.name for one in every if one.init and not one.kw_only)
        self.at_once = len(self.given) if len(self.given) == len(self.positional) else None
        self.after = getattr(cls, "__post_init__", None)
        self.shown = tuple(one.name for one in every if one.repr)
        compared = [one.name for one in every if one.compare]
        self.compared: Callable[[Any], object] = attrgetter(*compared) if compared else lambda _: ()

    def filled(self, kind: str, told: tuple[object, ...], named: dict[str, object]) -> list[object]:
        """Return a value for each place, defaults where nothing was given.

        Raises:
            TypeError: An argument is missing, given twice, or unknown.
        """
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


def _place(cls: type[Any], name: str) -> Callable[[Any, object], None]:
    """Return what stores a value under a name, past the instance's refusal."""
    slot = vars(cls).get(name)
    if hasattr(slot, "__set__"):
        place: Callable[[Any, object], None] = slot.__set__
        return place
    return lambda instance, value: object.__setattr__(instance, name, value)


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


_EQUALITY: Final = {name: vars(_Shared)[name] for name in ("__eq__", "__hash__")}
_METHODS: Final = {
    name: vars(_Shared)[name]
    for name in ("__init__", "__repr__", "__setattr__", "__delattr__", "__getstate__", "__setstate__", "__signature__")
}
