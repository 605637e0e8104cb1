"""One shared client, one façade a tenant: what a provider offers for it, and how a tenant becomes a prefix.

Pure. Nothing here may make two tenants meet, whatever characters their names and keys have.
"""

from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)

FACADE = "facade"
"""The metadata name under which a candidate says, with the value ``"tenant"``, that its instance is `TenantScoped`."""


class TenantScoped(Protocol[T_co]):
    """An instance that all tenants share, and that no tenant is handed as it is."""

    def for_tenant(self, tenant_id: str | None) -> T_co:
        """Return the view of one tenant; ``None`` is nobody's, a space of its own.

        Cheap, without I/O, and closed by nobody: it stands on the shared instance and ends with it.
        """
        ...


def tenant_space(tenant_id: str | None) -> str:
    """Return the prefix of all keys of a tenant; none is the beginning of another.

    A netstring, so tenant ``a:b`` with key ``c`` and tenant ``a`` with key ``b:c`` stay apart, and so does who asks
    without a tenant. Source: netstrings, D. J. Bernstein, 1997.
    """
    return "-:" if tenant_id is None else f"{len(tenant_id)}:{tenant_id}:"
