"""The ``tenancy`` section of the settings: taken from the image only, never from a manifest or a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pointsman.rules import FORBID
from pointsman.values import frozen


@frozen(kw_only=True)
class TenancySettings:
    """Where the tenant id is read, and what is believed of it.

    Attributes:
        source: ``header``, ``host``, ``path``, ``claim``, or ``module:function``, a function from the connection to
            a tenant id or None.
        header: The header that carries the id; under ``claim`` one that contradicts the claim is refused.
        domain: With ``host``: the tenant is the label before this domain; empty: the first label of any host.
        identity: The provider of ``adapter/identity`` that verifies the token, for ``claim`` and what a claim vouches.
        claim: The verified claim that carries the id, e.g. ``org_id``.
        token_header: Where the token is read; ``Bearer`` in front of it is taken off.
        pattern: What an id must match in full; ASCII, at most 128 characters whatever it says.
        required: A request without a tenant is refused (400).
        unknown: What happens to a tenant that nobody declared; unsaid: ``reject`` where tenants are declared.
        vouched_by: Who makes sure that the caller may name this tenant. Must be said on Cloud Run when a header
            decides; without it, and under ``none``, components marked ``isolated`` answer 403.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    source: str = "header"
    header: str = "X-Tenant-ID"
    domain: str = ""
    identity: str = ""
    claim: str = ""
    token_header: str = "Authorization"  # noqa: S105 - a header's name, no secret
    pattern: str = "[a-z0-9][a-z0-9_-]{0,62}"
    required: bool = False
    unknown: Literal["default", "reject"] | None = None
    vouched_by: Literal["gateway", "claim", "none"] | None = None
