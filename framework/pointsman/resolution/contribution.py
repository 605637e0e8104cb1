"""What one source brings to the catalog: candidates, selections, provider settings, tenants, policies.

Settings and manifests are read by others; here they have one shape, so that the catalog weighs both by the same
rules. Immutable values; nothing is validated against other sources here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from pointsman.resolution.selection import Choices
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.declarations import Candidate, Component

K = TypeVar("K")
V = TypeVar("V")
ProviderName: TypeAlias = tuple[str, str, str]
"""Domain, key, provider."""
ProviderValues: TypeAlias = Mapping[ProviderName, Mapping[str, Any]]


class Source(StrEnum):
    """Where a candidate was registered; later sources win the last tie."""

    CODE = "code"
    PLUGIN = "plugin"
    SETTINGS = "settings"
    MANIFEST = "manifest"


@frozen
class Policy:
    """How one component is kept running.

    Attributes:
        on_unhealthy: ``next`` walks on in the ranking while the breaker is open; ``fail`` answers 503.
        fallbacks: The only providers to which an explicit selection may be left, in order.
        on_stale: ``deny`` answers 503 once the head is older than the hard limit.
        prewarm: Tenants for which it is made before the service is ready; ``True`` means the default profile.
        drain_timeout_s: How long a retired instance without a lease is kept for older requests, seconds.
        isolated: Tenants may use it only where something vouches for the tenant id.
    """

    on_unhealthy: Literal["fail", "next"] = "fail"
    fallbacks: tuple[str, ...] = ()
    on_stale: Literal["serve", "deny"] = "serve"
    prewarm: tuple[str, ...] | bool = False
    drain_timeout_s: float = 30.0
    isolated: bool = False


@frozen
class Layered:
    """Provider settings of one source: for everyone, and tenant by tenant."""

    everyone: ProviderValues = field(default_factory=dict)
    tenants: Mapping[str, ProviderValues] = field(default_factory=dict)


@frozen
class Contribution:
    """Everything that one source brings.

    Attributes:
        candidates: In the order of their registration; many of them as a `Listing`.
        labels: Every tenant that the source declares, with its labels.
    """

    candidates: Sequence[Candidate] = ()
    choices: Choices = field(default_factory=Choices)
    provider_settings: Layered = field(default_factory=Layered)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    policies: Mapping[Component[Any], Policy] = field(default_factory=dict)


def merged(one: Contribution, other: Contribution) -> Contribution:
    """Return both contributions as one; where both say something, the other counts."""
    everyone = {**one.provider_settings.everyone, **other.provider_settings.everyone}
    return Contribution(
        candidates=(*one.candidates, *other.candidates),
        choices=Choices(
            {**one.choices.everyone, **other.choices.everyone}, _by_tenant(one.choices.tenants, other.choices.tenants)
        ),
        provider_settings=Layered(everyone, _by_tenant(one.provider_settings.tenants, other.provider_settings.tenants)),
        labels={**one.labels, **other.labels},
        policies={**one.policies, **other.policies},
    )


def _by_tenant(one: Mapping[str, Mapping[K, V]], other: Mapping[str, Mapping[K, V]]) -> dict[str, dict[K, V]]:
    return {tenant: {**one.get(tenant, {}), **other.get(tenant, {})} for tenant in dict.fromkeys((*one, *other))}
