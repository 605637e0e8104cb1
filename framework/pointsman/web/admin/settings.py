"""The section ``admin`` of the settings: who may look, and who may order. Taken from the image only.

Shape and bounds; nobody is authenticated here. Variables are filled in when the section is read, secrets when a token
is compared, so that a rotated one counts.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pointsman.resolution.template import Kind, Path, check_references, expand, map_text

Role: TypeAlias = Literal["operator", "viewer"]
"""An operator may order; a viewer may only look."""
Pattern: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]

DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
PROVES_NOTHING: Final = frozenset(
    {"x-serverless-authorization", "x-goog-authenticated-user-email", "x-goog-authenticated-user-id"}
)
"""Headers that Cloud Run and IAP leave unsigned behind them. Source: Cloud Run, IAM; IAP, signed headers."""
_PATH: Final = r"^(/[A-Za-z0-9._~-]+)+$"
_HEADER: Final = r"^[A-Za-z0-9-]{1,64}$"
_NAME: Final = r"^[A-Za-z0-9_.@-]{0,64}$"
_PROVIDER: Final = r"^[A-Za-z0-9_.-]{1,128}$"
_ORIGIN: Final = r"^https?://[A-Za-z0-9._\[\]:-]+$"
_SECRET_FIELD: Final = "token_sha256"  # noqa: S105 - a field's name, no secret
_OF_TOKENS: Final = frozenset({_SECRET_FIELD, "role", "name"})
_OF_IDENTITIES: Final = frozenset({"audience", "operators", "viewers", "header", "claim"})


class Authenticator(BaseModel):
    """One way to prove who asks: a token, or a provider of ``adapter/identity`` that verifies tokens.

    Attributes:
        token_sha256: Hex SHA-256 of a token, or ``${secret:NAME}`` that holds it. The token is 256 random bits in
            base64url, 43 characters, as ``secrets.token_urlsafe(32)`` makes them; a shorter one is never accepted.
        role: What whoever holds the token may do.
        name: How the audit calls whoever holds it; unsaid: by its place in the list.
        identity: A provider that code, an entry point or settings register.
        audience: What the claim ``aud`` must be, or contain. The provider is told it, too, where its own settings name
            no audience.
        operators: What the claim must match, ``*`` standing for anything; upper and lower case are one.
        viewers: The same, for those who may only look.
        header: Where the token is read; ``Bearer`` in front of it is taken off.
        claim: A text, or a list of texts of which one must match.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_sha256: str | None = Field(default=None, repr=False)
    role: Role = "operator"
    name: str = Field(default="", pattern=_NAME)
    identity: str | None = Field(default=None, pattern=_PROVIDER)
    audience: str = ""
    operators: tuple[Pattern, ...] = ()
    viewers: tuple[Pattern, ...] = ()
    header: str = Field(default="Authorization", pattern=_HEADER)
    claim: str = Field(default="email", min_length=1)

    @field_validator("token_sha256")
    @classmethod
    def _check_digest(cls, text: str | None) -> str | None:
        check_references(text, allowed=(Kind.ENV, Kind.SECRET), where=f"admin.authenticators: {_SECRET_FIELD}")
        if text is not None and "${" not in text and not DIGEST.fullmatch(text):
            raise ValueError("expected the 64 hex digits of a token's SHA-256")
        return text

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.token_sha256 is None) == (self.identity is None):
            raise ValueError("expected token_sha256 or identity, one of them")
        foreign = self.model_fields_set & (_OF_IDENTITIES if self.identity is None else _OF_TOKENS)
        if foreign:
            raise ValueError(f"expected nothing that belongs to the other kind, found {', '.join(sorted(foreign))}")
        if self.identity is not None and not self.operators and not self.viewers:
            raise ValueError("expected a pattern in operators or viewers, found none: nobody could come in")
        if self.header.lower() in PROVES_NOTHING:
            raise ValueError("expected a header whose token is signed; what this one carries proves nothing")
        return self


class AdminSettings(BaseModel):
    """Where the operators' routes are, and who is let in.

    Attributes:
        path: What they lie under.
        authenticators: Asked in this order; without one the routes are not there.
        allowed_hosts: What the Host header may be, ``name`` or ``name:port``; empty: anything. Name them where no proxy
            checks it, against names that are rebound to this address.
        allowed_origins: Further origins than our own from which a browser may ask.
        max_body_bytes: The cap of a command's body.
        verify_timeout_s: For the verification of one token by its provider.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    renders_blanks: ClassVar[bool] = True

    path: str = Field(default="/admin", pattern=_PATH, max_length=128)
    authenticators: tuple[Authenticator, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[Annotated[str, Field(pattern=_ORIGIN)], ...] = ()
    max_body_bytes: int = Field(default=65_536, ge=256, le=1_048_576)
    verify_timeout_s: float = Field(default=10.0, gt=0, le=60, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        """Fill variables into everything but the digests, which may also be secrets."""

        def fill(text: str, path: Path) -> str:
            where = ".".join(map(str, ("admin", *path)))
            return text if _SECRET_FIELD in path else expand(text, env=os.environ, where=where)

        return map_text(values, fill)

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if path == "/health" or path.startswith("/health/"):
            raise ValueError("expected another path than that of the probes")
        return path
