"""How long each step of a life may take, and how many lives there may be.

Values only; the settings section ``lifecycle`` has these fields, names and defaults.
"""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Bounds on instances. All times in seconds.

    Attributes:
        activation_timeout_s: Making an instance, what it stands on included.
        health_timeout_s: One answer of ``health()``.
        hook_timeout_s: One ``pre_swap`` or ``post_swap`` hook.
        close_timeout_s: Leaving a factory; past it the task is cancelled.
        backoff_min_s: How long the first failure of an identity is remembered; doubles with each further one.
        backoff_max_s: The longest that a failure is remembered.
        shutdown_grace_s: How long a shutdown waits for leases before it breaks them.
        tenant_idle_s: A tenant's instance without a lease for so long is closed.
        tenant_instances_max: How many tenants' instances live at most.
        proved_profiles_max: For how many profiles a swap proves its target.
        remembered_plans_max: How many answers one epoch remembers.
    """

    activation_timeout_s: float = 30.0
    health_timeout_s: float = 5.0
    hook_timeout_s: float = 5.0
    close_timeout_s: float = 10.0
    backoff_min_s: float = 1.0
    backoff_max_s: float = 60.0
    shutdown_grace_s: float = 5.0
    tenant_idle_s: float = 900.0
    tenant_instances_max: int = 1000
    proved_profiles_max: int = 16
    remembered_plans_max: int = 50_000
