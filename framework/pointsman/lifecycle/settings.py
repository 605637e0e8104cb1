"""The settings section ``lifecycle``: the words of `Limits`, checked."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pointsman.lifecycle.limits import Limits

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Number: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]


class LifecycleSettings(BaseModel):
    """Bounds on instances; all times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
        return Limits(**{name: getattr(self, name) for name in type(self).model_fields})
