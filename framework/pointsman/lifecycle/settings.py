"""The settings section ``lifecycle``: the words of `Limits`, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, ClassVar, TypeAlias

from pointsman.lifecycle.limits import Limits
from pointsman.rules import FORBID, Bounds
from pointsman.values import frozen

Seconds: TypeAlias = Annotated[float, Bounds(gt=0, le=86_400, allow_inf_nan=False)]
Number: TypeAlias = Annotated[int, Bounds(ge=1, le=10_000_000)]


@frozen(kw_only=True)
class LifecycleSettings:
    """Bounds on instances; all times in seconds."""

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    activation_timeout_s: Seconds = 30.0
    health_timeout_s: Seconds = 5.0
    hook_timeout_s: Seconds = 5.0
    close_timeout_s: Seconds = 10.0
    backoff_min_s: Seconds = 1.0
    backoff_max_s: Seconds = 60.0
    shutdown_grace_s: Seconds = 5.0
    tenant_idle_s: Seconds = 900.0
    tenant_instances_max: Number = 1000
    proved_profiles_max: Number = 16
    remembered_plans_max: Number = 50_000

    def limits(self) -> Limits:
        """Return the limits that the lifecycle keeps."""
        return Limits(**{one.name: getattr(self, one.name) for one in fields(self)})
