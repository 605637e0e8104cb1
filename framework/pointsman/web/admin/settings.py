"""The section ``admin``: who may operate the service, and where. Read from the image only."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Pattern = Annotated[str, Field(min_length=1, max_length=256)]


class Authenticator(BaseModel):
    """One way to prove who asks: a token, or a provider of ``adapter/identity``.

    Attributes:
        token_sha256: Hex SHA-256 of a 256-bit token; a secret's blank is filled in at the start.
        role: What the token's bearer may do.
        name: How the audit calls the bearer.
        identity: A provider of ``adapter/identity`` that verifies tokens.
        audience: The audience that its claims must name.
        header: Where the token stands; a bare token, but for ``Authorization``.
        claim: The claim that is compared with the patterns; a list in it counts by each of its values.
        operators: Patterns (``*`` stands for anything) of those who may change.
        viewers: Patterns of those who may look.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_sha256: str | None = None
    role: Literal["operator", "viewer"] = "operator"
    name: str = "token"
    identity: str | None = None
    audience: str | None = None
    header: str = "Authorization"
    claim: str = "email"
    operators: tuple[Pattern, ...] = ()
    viewers: tuple[Pattern, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.token_sha256 is None) == (self.identity is None):
            raise ValueError("say token_sha256 or identity, one of them")
        return self


class AdminSettings(BaseModel):
    """Who may operate, and where; without an authenticator nothing is mounted.

    Attributes:
        path: Where the routes lie.
        allowed_hosts: Host names that the routes answer to, against DNS rebinding; none: all.
        allowed_origins: Origins besides the service's own from which a browser may send.
        max_body_bytes: The cap on a command's body.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    renders_blanks: ClassVar[bool] = True

    path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.-]+)+$")] = "/admin"
    authenticators: tuple[Authenticator, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_body_bytes: int = Field(default=65_536, ge=256, le=1_048_576)
