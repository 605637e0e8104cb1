"""The ``trust`` section: whom this image believes, and what it lets a manifest do.

From the image only: no manifest and no command changes it. The environment may raise ``min_root``, and nothing else;
`runtime.sources.reading` sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar

from pointsman.errors import ConfigurationError
from pointsman.manifests.admission import Gate
from pointsman.manifests.factories import SHIPPED, parse_factory_pattern
from pointsman.manifests.limits import DEFAULT_LIMITS, Limits
from pointsman.resolution.reference import is_gated_form
from pointsman.rules import FORBID, After, Bounds
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.manifests.destinations import Pattern

T = TypeVar("T")


def _parsed(parse: Callable[[str], T], texts: Collection[str]) -> tuple[T, ...]:
    """Return what the texts say, in the way of refusing that rules have."""
    try:
        return tuple(parse(text) for text in texts)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def _check_factories(given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    _parsed(parse_factory_pattern, given or ())
    return given


def _check_destinations(given: tuple[str, ...]) -> tuple[str, ...]:
    _patterns(given)
    return given


def _check_secret_destinations(given: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    for patterns in given.values():
        _patterns(patterns)
    return given


def _patterns(given: Collection[str]) -> tuple[Pattern, ...]:
    if not given:
        return ()
    from pointsman.manifests.destinations import parse_pattern  # most images grant none

    return _parsed(parse_pattern, given)


def _check_limits(given: Limits) -> Limits:
    wrong = [one.name for one in fields(given) if getattr(given, one.name) <= 0]
    if wrong:
        raise ValueError(f"expected {wrong[0]} to be positive")
    return given


ProviderName = Annotated[str, Bounds(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]
SecretGrant = Annotated[str, Bounds(pattern=r"^(?:[A-Za-z0-9_.-]+=)?[A-Za-z0-9_./@-]+$")]
Destinations = Annotated[tuple[str, ...], After(_check_destinations)]


@frozen(kw_only=True)
class TrustSettings:
    """Settings of the ``trust`` section.

    Attributes:
        root: The file of the trust root, an envelope.
        min_root: The least version of the root with which the service starts.
        factories: Code that a manifest may name: ``pkg.mod:Name``, ``pkg.mod:*``, ``pkg.**:*``. None: the shipped
            adapters, and what installed packages and the application itself registered.
        destinations: Places that a manifest's settings may name: ``https://api.example.com``, ``*.example.com:443``,
            ``/var/data``.
        private_destinations: The same for loopback, link-local, private and metadata addresses, ``10.0.0.0/8``, and for
            names of `destinations` that resolve to one.
        secrets: Full provider name to secrets that a manifest may hand it: ``NAME``, or ``field=NAME``.
        secret_destinations: Full provider name to places that may see its secrets although a manifest names them.
        limits: Caps and tolerances.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    root: Path | None = None
    min_root: Annotated[int, Bounds(ge=1)] = 1
    factories: Annotated[tuple[str, ...] | None, After(_check_factories)] = None
    destinations: Destinations = ()
    private_destinations: Destinations = ()
    secrets: dict[ProviderName, tuple[SecretGrant, ...]] = field(default_factory=dict)
    secret_destinations: Annotated[dict[ProviderName, tuple[str, ...]], After(_check_secret_destinations)] = field(
        default_factory=dict
    )
    limits: Annotated[Limits, After(_check_limits)] = DEFAULT_LIMITS

    def gate(self, installed: Collection[str] = ()) -> Gate:
        """Return what this image lets a manifest do.

        Args:
            installed: References of factories that installed packages and the application itself registered; granted
                unless ``factories`` says otherwise. Those that no manifest could write are left out.
        """
        granted = self.factories
        if granted is None:
            granted = (SHIPPED, *(reference for reference in installed if is_gated_form(reference)))
        return Gate(
            factories=tuple(parse_factory_pattern(text) for text in granted),
            destinations=_patterns(self.destinations),
            private_destinations=_patterns(self.private_destinations),
            secrets={provider: frozenset(names) for provider, names in self.secrets.items()},
            secret_destinations={provider: _patterns(texts) for provider, texts in self.secret_destinations.items()},
        )
