"""What an operator orders, and what came of it.

Values and their checks only: a `Command` that exists is well-formed. Nothing here knows a store, a clock or the head,
and nothing here decides whether the component or the provider exists.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import Any, Final, Literal, TypeAlias

from msgspec import ValidationError, convert

from pointsman.declarations import Component
from pointsman.errors import InputError
from pointsman.manifests.schema import Choice, ComponentName
from pointsman.resolution.selection import Selection, Split
from pointsman.values import frozen

Kind: TypeAlias = Literal["use", "split", "pause", "drain", "gate"]
"""``gate`` exists only as a clear: it takes away the pause and the drain of exactly its key."""
Reach: TypeAlias = Literal["fleet", "replica"]
Slot: TypeAlias = Literal["gate", "use"]

MAX_REASON: Final = 500
MAX_WHO: Final = 256
MAX_KEY: Final = 256
MAX_TENANTS: Final = 500
MAX_TTL_S: Final = 366 * 86_400.0
INSIST: Final = "*"
"""The ``If-Match`` of a caller who overwrites whatever moved meanwhile."""
EVERYONE: Final = "*"

SLOTS: Final[dict[Kind, Slot]] = {"use": "use", "split": "use", "pause": "gate", "drain": "gate", "gate": "gate"}
"""Which of a component's two slots a command touches: a split is a use, pause and drain share the gate."""
REPLACES: Final[dict[Kind, tuple[str, ...]]] = {
    "use": ("use", "split"),
    "split": ("use", "split"),
    "pause": ("pause",),
    "drain": ("drain",),
    "gate": ("pause", "drain"),
}
"""Which orders of the same key a command takes away before it leaves its own."""

_ETAG = re.compile(r's(\d{1,16})|"s(\d{1,16})"', re.ASCII)
_JOINERS = "\u200c\u200d"
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@frozen(kw_only=True)
class Command:
    """One command of one operator.

    Attributes:
        clear: Takes the order away (unswap, resume, drain --clear) instead of giving one.
        tenants: For whom; ``None`` is everyone. Sorted, each once.
        value: The provider of a use, the split of a split; nothing for the gates and for a clear.
        ttl_s: The order ends by itself after so many seconds of the store's clock; above 0, at most 366 days.
        who: Who orders, as the authenticator names them.
        reach: ``replica`` binds this replica only, and is gone with it.
        force: Proves the target without asking its health.
        if_match: ``s<cseq>``, quoted or not: refuse what moved after it; ``*`` insists; ``None`` takes the newest.
        idempotency_key: Names the command across tries; without one each try is a command of its own.

    Raises:
        InputError: A field is not as described.
    """

    kind: Kind
    component: Component[Any]
    reason: str
    who: str
    clear: bool = False
    tenants: tuple[str, ...] | None = None
    value: Selection | None = None
    ttl_s: float | None = None
    reach: Reach = "fleet"
    force: bool = False
    if_match: str | None = None
    idempotency_key: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        _check_text(self.reason, "reason", MAX_REASON)
        _check_text(self.who, "who", MAX_WHO)
        if self.idempotency_key is not None:
            _check_text(self.idempotency_key, "Idempotency-Key", MAX_KEY, where="header")
        if self.tenants is not None:
            object.__setattr__(self, "tenants", _check_tenants(self.tenants))
        if self.ttl_s is not None and (self.clear or not 0 < self.ttl_s <= MAX_TTL_S):
            raise _bad("ttl_s", f"expected seconds above 0 and at most {MAX_TTL_S:.0f}, on an order, not on a clear")
        if self.if_match is not None:
            base_of(self.if_match)
        _check_value(self)

    @property
    def slot(self) -> Slot:
        """The slot of the component that the command touches."""
        return SLOTS[self.kind]

    @property
    def names(self) -> tuple[str, ...]:
        """For whom, as the head writes it: tenants, or ``*`` alone."""
        return (EVERYONE,) if self.tenants is None else self.tenants

    @property
    def touched(self) -> tuple[str, ...]:
        """The keys whose last change decides whether the command comes too late."""
        return tuple(f"{self.component}|{name}|{self.slot}" for name in self.names)

    def body(self) -> dict[str, object]:
        """Return what makes two commands the same: all but who, the headers and ``dry_run``; JSON types only."""
        return {
            "kind": self.kind,
            "clear": self.clear,
            "component": str(self.component),
            "tenants": EVERYONE if self.tenants is None else list(self.tenants),
            "value": _written(self.value),
            "ttl_s": self.ttl_s,
            "reason": self.reason,
            "reach": self.reach,
            "force": self.force,
        }


@frozen
class Change:
    """What a command makes of one key.

    Attributes:
        tenant: A tenant, or ``*`` for everyone.
        before: The order that was there, for a person to read; ``None``: none.
        after: The one that is there now.
    """

    component: str
    tenant: str
    slot: Slot
    before: str | None
    after: str | None


@frozen(kw_only=True)
class Outcome:
    """What came of a command.

    Attributes:
        operation: The id under which the audit has it.
        cseq: The command's number; with ``reach: replica`` and in a rehearsal that of the head it met.
        local: ``applied`` here, or ``pending`` while this replica still warms what the command names.
        fleet: ``converging``, or ``untouched`` where nothing was written.
        bound_s: Within so many seconds every replica that reaches the store honours it; ``None``: nothing to wait for.
        changes: Key by key; empty when the answer to an earlier try is repeated.
    """

    operation: str
    cseq: int
    local: Literal["applied", "pending", "untouched"]
    fleet: Literal["converging", "untouched"]
    bound_s: float | None
    changes: tuple[Change, ...] = ()

    @property
    def etag(self) -> str:
        """The ``ETag`` of the control document after the command."""
        return etag(self.cseq)


def etag(cseq: int) -> str:
    """Return the ``ETag`` of a control document."""
    return f'"s{cseq}"'


def base_of(if_match: str) -> int | None:
    """Return the command that an ``If-Match`` names; ``None`` for ``*``.

    Raises:
        InputError: It is neither ``*`` nor ``"s<cseq>"``.
    """
    if if_match.strip() == INSIST:
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise _bad("If-Match", f'expected "s<cseq>" or *, found {if_match[:64]!r}', where="header")
    return int(match[1] or match[2])


def operation_id(who: str, key: str) -> str:
    """Return the id of a caller's command: hex SHA-256 of caller and Idempotency-Key, which cannot be shifted."""
    return hashlib.sha256(f"{len(who)}:{who}|{key}".encode()).hexdigest()


def body_digest(command: Command) -> str:
    """Return the hex SHA-256 by which two bodies under one key are told apart."""
    text = json.dumps(command.body(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_plain(text: str) -> str | None:
    """Return the first character that a shell, a log or a console would not show as it is; ``None``: all are plain."""
    for character in text:
        if unicodedata.category(character) in _HIDDEN and character not in _JOINERS:
            return character
    return None


def _check_text(text: str, field: str, most: int, *, where: str = "body") -> None:
    if not 0 < len(text) <= most:
        raise _bad(field, f"expected 1 to {most} characters, found {len(text)}", where=where)
    hidden = check_plain(text)
    if hidden is not None:
        raise _bad(field, f"control and bidi characters are refused, found U+{ord(hidden):04X}", where=where)


def _check_tenants(tenants: tuple[str, ...]) -> tuple[str, ...]:
    if not 0 < len(tenants) <= MAX_TENANTS:
        raise _bad("tenants", f"expected 1 to {MAX_TENANTS} tenants, found {len(tenants)}")
    for tenant in tenants:
        if tenant == EVERYONE:
            raise _bad("tenants", "expected a tenant, found '*'; leave the field out for everyone")
        _check_text(tenant, "tenants", MAX_WHO)
    return tuple(sorted(dict.fromkeys(tenants)))


def _check_value(command: Command) -> None:
    """Refuse a value that does not fit the kind, or that no head could carry."""
    if command.kind == "gate" and not command.clear:
        raise _bad("kind", "expected pause or drain, found gate; gate only clears")
    wanted = None if command.clear else {"use": str, "split": Split}.get(command.kind)
    if wanted is None and command.value is not None:
        raise _bad("provider", "expected no provider with a pause, a drain or a clear")
    if wanted is not None and not isinstance(command.value, wanted):
        raise _bad("provider", f"expected a provider for a {command.kind}, found {command.value!r}")
    try:
        convert(str(command.component), type=ComponentName)
        convert(_written(command.value), type=Choice | None)
    except ValidationError as error:
        raise _bad("provider", f"the head cannot carry {command.component} = {command.value}: {error}") from error


def _written(value: Selection | None) -> object:
    if isinstance(value, Split):
        return {"incumbent": value.incumbent, "to": [list(pair) for pair in value.to], "salt": value.salt}
    return value


def _bad(field: str, detail: str, *, where: str = "body") -> InputError:
    place = {"pointer": f"/{field}"} if where == "body" else {"name": field}
    return InputError(
        f"{field}: {detail}.", errors=({"in": where, **place, "detail": detail, "code": "invalid"},), hint=""
    )
