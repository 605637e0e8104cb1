"""The shapes of the sections that say which provider serves whom: domains, tenants, policies.

Shape and bounds only; whether a provider exists is for the catalog to say. A section, a tenant or a mapping that is
written without anything in it counts as empty.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pointsman.resolution.contribution import Policy

DOMAIN_OF: Final = {
    "adapters": "adapter",
    "services": "service",
    "tasks": "task",
    "events": "event",
    "workflows": "workflow",
    "actions": "action",
}
"""Sections of the six domains, and what the domain is called; a user's own lie under ``domains``."""


def _nothing_is_empty(value: object) -> object:
    return {} if value is None else value


def _nothing_is_none(value: object) -> object:
    return () if value is None else value


OrEmpty: Final = BeforeValidator(_nothing_is_empty)
Selections: TypeAlias = Annotated[dict[str, Any], OrEmpty]
ProviderSettings: TypeAlias = Annotated[dict[str, Annotated[dict[str, Any], OrEmpty]], OrEmpty]


class DomainSettings(BaseModel):
    """What a settings file says about one domain.

    Attributes:
        selections: Key to a provider, or to a split.
        provider_settings: ``key/provider``, or a bare provider where only one key has it, to its settings.
        candidates: Entries in the words of a manifest; the domain may be left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    selections: Selections = {}
    provider_settings: ProviderSettings = Field(default={}, repr=False)
    candidates: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_nothing_is_none)] = ()


class TenantSettings(BaseModel):
    """What differs for one tenant, under full names.

    Attributes:
        selections: ``adapter/cache`` to a provider, or to a split.
        provider_settings: ``adapter/cache/redis`` to its settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    selections: Selections = {}
    provider_settings: ProviderSettings = Field(default={}, repr=False)
    labels: Annotated[dict[str, str], OrEmpty] = {}


class PolicySettings(BaseModel):
    """How one component is kept running; the words of `resolution.contribution.Policy`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_unhealthy: Literal["fail", "next"] = "fail"
    fallbacks: tuple[str, ...] = ()
    on_stale: Literal["serve", "deny"] = "serve"
    prewarm: bool | tuple[str, ...] = False
    drain_timeout_s: float = Field(default=30.0, gt=0, le=86_400, allow_inf_nan=False)
    isolated: bool = False

    def policy(self) -> Policy:
        """Return the policy that the catalog keeps."""
        return Policy(**{name: getattr(self, name) for name in type(self).model_fields})
