"""The words that users write down: components, candidates, constraints, uses, tenants.

Pure values and marks. A decorator here marks and registers nothing, so importing a module that uses these words has
no effect; and nothing here may import a third-party package, so a library can declare its providers for free.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, field
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from pointsman.errors import ConfigurationError
from pointsman.values import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pydantic import BaseModel

T = TypeVar("T")  # invariant on purpose: Component[Redis] is not a Component[Cache]
F = TypeVar("F", bound=Callable[..., Any])
Lifetime: TypeAlias = Literal["shared", "tenant", "request"]
Factory: TypeAlias = Callable[..., Any] | str

LIFETIMES: tuple[Lifetime, ...] = ("shared", "tenant", "request")
UNDECLARED = "default"
"""The one name under which tenants that nobody declared are served, where they are."""
MARK = "__pointsman_candidates__"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def check_name(name: object, what: str) -> None:
    """Refuse a name that is not ``[A-Za-z0-9_.-]+``.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"Expected {what} of letters, digits, '.', '_' and '-', found {name!r}.")


def distinct(what: str, given: Collection[str]) -> tuple[str, ...]:
    """Return strings sorted, each once.

    Raises:
        ConfigurationError: It is no collection of strings; a lone string would be read as its letters.
    """
    entries = set() if isinstance(given, str) else set(given)
    if isinstance(given, str) or not all(isinstance(entry, str) for entry in entries):
        raise ConfigurationError(
            f"Expected {what} to be a collection of strings, found {given!r}.", hint='Write {"one", "two"}.'
        )
    return tuple(sorted(entries))


class Component(NamedTuple, Generic[T]):
    """The name of a component, and the type that every provider of it promises.

    Equal to, and hashes as, the plain tuple ``(domain, key)``. ``str()`` gives ``adapter/cache``.
    """

    domain: str
    key: str

    def __str__(self) -> str:
        return f"{self.domain}/{self.key}"


@frozen
class Constraints:
    """What must hold for a candidate to be eligible; an empty field constrains nothing.

    Attributes:
        python: A version specifier (PEP 440), e.g. ``>=3.12``.
        platforms: Values of ``sys.platform`` or ``platform.machine()``; one must match.
        packages: Requirements (PEP 508 names with specifiers) that must be installed, all of them.
        conflicts: Requirements that must not be installed, none of them.
        tenants: Only these tenants.
        not_tenants: All tenants but these.
    """

    python: str = ""
    platforms: Collection[str] = ()
    packages: Collection[str] = ()
    conflicts: Collection[str] = ()
    tenants: Collection[str] = ()
    not_tenants: Collection[str] = ()

    def __post_init__(self) -> None:
        for name in ("platforms", "packages", "conflicts", "tenants", "not_tenants"):
            object.__setattr__(self, name, distinct(name, getattr(self, name)))


class CandidateOptions(TypedDict, total=False):
    """What `provides` takes besides the component and the provider."""

    priority: int | None
    stack_level: int
    lifetime: Lifetime
    capabilities: Collection[str]
    constraints: Constraints
    settings_model: type[BaseModel] | str | None
    description: str
    version: str
    owner: str
    metadata: Mapping[str, Any]


@frozen
class Candidate:
    """The registration of one provider for one component.

    Attributes:
        factory: A class, an (async) function, an async generator (bare or under ``@asynccontextmanager``), or a
            reference ``pkg.mod:Name`` that is imported when the candidate is first chosen.
        priority: Higher wins; 0 counts, ``None`` lets the place of registration infer it.
        stack_level: Decides between equal priorities; higher wins.
        lifetime: ``shared``, ``tenant`` or ``request``.
        capabilities: What ``requires=`` may ask for.
        settings_model: The pydantic model of the provider's settings, where the factory's annotation does not say it.
        health: Asked beside the instance's own ``health()``.

    Raises:
        ConfigurationError: A name does not match ``[A-Za-z0-9_.-]+``, the lifetime is unknown, or what ranks it is no
            integer.
    """

    domain: str
    key: str
    provider: str
    factory: Factory
    _: KW_ONLY
    priority: int | None = None
    stack_level: int = 0
    lifetime: Lifetime = "shared"
    capabilities: Collection[str] = ()
    constraints: Constraints = Constraints()
    settings_model: type[BaseModel] | str | None = None
    health: Callable[[], bool | Awaitable[bool]] | None = None
    description: str = ""
    version: str = ""
    owner: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("domain", "key", "provider"):
            check_name(getattr(self, name), f"a candidate's {name}")
        if self.lifetime not in LIFETIMES:
            raise ConfigurationError(
                f"{self}: expected lifetime shared, tenant or request, found {self.lifetime!r}.",
            )
        for name, kind in (("priority", int | None), ("stack_level", int)):
            if not isinstance(value := getattr(self, name), kind):
                raise ConfigurationError(f"{self}: expected {name} to be an integer, found {value!r}.")
        object.__setattr__(self, "capabilities", distinct("capabilities", self.capabilities))

    def __hash__(self) -> int:
        return hash((self.domain, self.key, self.provider))

    @property
    def component(self) -> Component[Any]:
        """The component that this candidate serves."""
        return Component(self.domain, self.key)

    def __str__(self) -> str:
        return f"{self.domain}/{self.key}={self.provider}"


class Use:
    """Marks a parameter as a component: ``Annotated[Cache, Use("adapter", "cache")]``.

    Args:
        component: A token, or domain and key.
        provider: Only this provider.
        requires: Only candidates with all of these capabilities.
    """

    __slots__ = ("component", "provider", "requires")

    component: Component[Any]
    provider: str | None
    requires: frozenset[str]

    @overload
    def __init__(
        self, component: Component[Any], /, *, provider: str | None = None, requires: Collection[str] = ()
    ) -> None: ...
    @overload
    def __init__(
        self, domain: str, key: str, /, *, provider: str | None = None, requires: Collection[str] = ()
    ) -> None: ...
    def __init__(
        self,
        component: Component[Any] | str,
        key: str | None = None,
        /,
        *,
        provider: str | None = None,
        requires: Collection[str] = (),
    ) -> None:
        self.component = component_of(component, key)
        self.provider = provider
        self.requires = frozenset(distinct("requires", requires))

    def __repr__(self) -> str:
        extra = f", provider={self.provider!r}" if self.provider else ""
        extra += f", requires={sorted(self.requires)}" if self.requires else ""
        return f'Use("{self.component.domain}", "{self.component.key}"{extra})'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Use) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[Component[Any], str | None, frozenset[str]]:
        return self.component, self.provider, self.requires


@frozen
class Tenant:
    """Who asks. ``labels`` come from settings or the manifest."""

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)


@overload
def provides(component: Component[Any], provider: str, /, **options: Unpack[CandidateOptions]) -> Callable[[F], F]: ...
@overload
def provides(domain: str, key: str, provider: str, /, **options: Unpack[CandidateOptions]) -> Callable[[F], F]: ...
def provides(*names: Any, **options: Any) -> Callable[[F], F]:
    """Mark a class or function as the factory of a provider; ``include=`` collects the marks.

    The decorated thing stays what it was: it can be called plainly in a unit test.

    Raises:
        ConfigurationError: A name or an option is not valid.
    """
    *component, provider = names
    domain, key = component_of(*component)

    def mark(factory: F) -> F:
        candidate = Candidate(domain, key, provider, factory, **options)
        setattr(factory, MARK, (*marks_of(factory), candidate))
        return factory

    return mark


def marks_of(thing: object) -> tuple[Candidate, ...]:
    """Return the candidates that `provides` marked on exactly this thing; a subclass inherits none."""
    own: tuple[Candidate, ...] = getattr(thing, "__dict__", {}).get(MARK, ())
    return own


def component_of(component: object, key: object = None) -> Component[Any]:
    """Return the token for ``("adapter", "cache")``, a token, or a plain pair.

    Raises:
        ConfigurationError: It is neither, or a name does not match ``[A-Za-z0-9_.-]+``.
    """
    pair = component if key is None else (component, key)
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
        raise ConfigurationError(f"Expected a component, found {pair!r}.", hint='Write "adapter", "cache".')
    check_name(pair[0], "a component's domain")
    check_name(pair[1], "a component's key")
    return Component(*pair)


def parse_component(text: str) -> Component[Any]:
    """Return the component that ``adapter/cache`` names.

    Raises:
        ConfigurationError: It is not of that form.
    """
    domain, slash, key = text.partition("/")
    if not slash:
        raise ConfigurationError(f"Expected a component as domain/key, found {text!r}.", hint="Write adapter/cache.")
    return component_of(domain, key)
