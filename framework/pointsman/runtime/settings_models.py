"""The shapes of the sections that say which provider serves whom: domains, tenants, policies.

Shape and bounds only; whether a provider exists is for the catalog to say. A section, a tenant or a mapping that is
written without anything in it counts as empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pointsman.resolution.contribution import Policy
from pointsman.rules import FORBID, Bounds, Empty
from pointsman.values import frozen

DOMAIN_OF: Final = {
    "adapters": "adapter",
    "services": "service",
    "tasks": "task",
    "events": "event",
    "workflows": "workflow",
    "actions": "action",
}
"""Sections of the six domains, and what the domain is called; a user's own lie under ``domains``."""


OrEmpty: Final = Empty(dict)
Selections: TypeAlias = Annotated[dict[str, Any], OrEmpty]
ProviderSettings: TypeAlias = Annotated[dict[str, Annotated[dict[str, Any], OrEmpty]], OrEmpty]


@frozen(kw_only=True)
class DomainSettings:
    """What a settings file says about one domain.

    Attributes:
        selections: Key to a provider, or to a split.
        provider_settings: ``key/provider``, or a bare provider where only one key has it, to its settings.
        candidates: Entries in the words of a manifest; the domain may be left out.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    selections: Selections = field(default_factory=dict)
    provider_settings: ProviderSettings = field(default_factory=dict, repr=False)
    candidates: Annotated[tuple[dict[str, Any], ...], Empty(tuple)] = ()


@frozen(kw_only=True)
class TenantSettings:
    """What differs for one tenant, under full names.

    Attributes:
        selections: ``adapter/cache`` to a provider, or to a split.
        provider_settings: ``adapter/cache/redis`` to its settings.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    selections: Selections = field(default_factory=dict)
    provider_settings: ProviderSettings = field(default_factory=dict, repr=False)
    labels: Annotated[dict[str, str], OrEmpty] = field(default_factory=dict)


@frozen(kw_only=True)
class PolicySettings:
    """How one component is kept running; the words of `resolution.contribution.Policy`."""

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    on_unhealthy: Literal["fail", "next"] = "fail"
    fallbacks: tuple[str, ...] = ()
    on_stale: Literal["serve", "deny"] = "serve"
    prewarm: bool | tuple[str, ...] = False
    drain_timeout_s: Annotated[float, Bounds(gt=0, le=86_400, allow_inf_nan=False)] = 30.0
    isolated: bool = False

    def policy(self) -> Policy:
        """Return the policy that the catalog keeps."""
        return Policy(**{one.name: getattr(self, one.name) for one in fields(self)})
