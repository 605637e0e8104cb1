"""Pointsman: choose, explain and swap the provider of every component, per request and per tenant.

The public names, and nothing else. Each is loaded when it is first asked for: importing this package loads no
third-party module, so that a library can declare its providers, and a shell can answer ``--help``, for free.
"""

TYPE_CHECKING = False  # true for whoever checks types; importing typing would be most of what importing us takes

if TYPE_CHECKING:
    from pointsman.adapters.registration import AdapterMetadata, register_adapter_metadata
    from pointsman.declarations import Candidate, Component, Constraints, Tenant, Use, provides
    from pointsman.domains.bridges import (
        ActionBridge,
        AdapterBridge,
        EventBridge,
        Handle,
        ServiceBridge,
        TaskBridge,
        WorkflowBridge,
    )
    from pointsman.errors import PointsmanError
    from pointsman.lifecycle.manager import LifecycleManager
    from pointsman.resolution.explanation import Explanation, Resolution
    from pointsman.resolution.resolver import Resolver
    from pointsman.runtime.access import Components
    from pointsman.runtime.runtime import Runtime
    from pointsman.runtime.settings import Settings
    from pointsman.version import __version__ as __version__
    from pointsman.web.access import components, use
    from pointsman.web.application import Pointsman
    from pointsman.web.routing import Router
else:
    _HOMES = {
        "ActionBridge": "domains.bridges",
        "AdapterBridge": "domains.bridges",
        "AdapterMetadata": "adapters.registration",
        "Candidate": "declarations",
        "Component": "declarations",
        "Components": "runtime.access",
        "Constraints": "declarations",
        "EventBridge": "domains.bridges",
        "Explanation": "resolution.explanation",
        "Handle": "domains.bridges",
        "LifecycleManager": "lifecycle.manager",
        "Pointsman": "web.application",
        "PointsmanError": "errors",
        "Resolution": "resolution.explanation",
        "Resolver": "resolution.resolver",
        "Router": "web.routing",
        "Runtime": "runtime.runtime",
        "ServiceBridge": "domains.bridges",
        "Settings": "runtime.settings",
        "TaskBridge": "domains.bridges",
        "Tenant": "declarations",
        "Use": "declarations",
        "WorkflowBridge": "domains.bridges",
        "__version__": "version",
        "components": "web.access",
        "provides": "declarations",
        "register_adapter_metadata": "adapters.registration",
        "use": "web.access",
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module 'pointsman' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"pointsman.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted([*globals(), *_HOMES])


__all__ = [
    "ActionBridge",
    "AdapterBridge",
    "AdapterMetadata",
    "Candidate",
    "Component",
    "Components",
    "Constraints",
    "EventBridge",
    "Explanation",
    "Handle",
    "LifecycleManager",
    "Pointsman",
    "PointsmanError",
    "Resolution",
    "Resolver",
    "Router",
    "Runtime",
    "ServiceBridge",
    "Settings",
    "TaskBridge",
    "Tenant",
    "Use",
    "WorkflowBridge",
    "components",
    "provides",
    "register_adapter_metadata",
    "use",
]
