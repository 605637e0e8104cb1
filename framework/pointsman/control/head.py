"""What each write makes of the control document: commands, sweeps, adoption, a new signature's dates.

Pure: the document, the command and the store's time go in, the next document comes out, and the same goes in on every
replica. Nothing here signs, reads or writes; who may write, and when, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from pointsman.control.commands import EVERYONE, REPLACES, SLOTS, Change, Command, Slot
from pointsman.control.pacing import LIFE
from pointsman.errors import Conflict, ControlFull, Stale
from pointsman.manifests.schema import (
    MAX_GONE,
    MAX_INT,
    MAX_RING,
    SPEC_VERSION,
    AdoptedRelease,
    Audience,
    Control,
    Order,
    Release,
)
from pointsman.manifests.schema import Split as WireSplit
from pointsman.resolution.selection import Selection, Split
from pointsman.runtime.inputs import Orders

SWEEP_AFTER: Final = timedelta(seconds=60)
"""An order that ended so long ago leaves the document; until then clocks may still disagree about it."""
RESTORED_JUMP: Final = 2**20
"""How far seq and cseq leap when a restored head is put in force, beyond all that a replica may have seen."""


# --- looking ---


def moved(control: Control, key: str) -> int | None:
    """Return the command that last touched a key; ``None``: none that the document remembers."""
    component, name, slot = _parts(key)
    seen = [
        order.cseq for order in control.orders.get(component, ()) if SLOTS[order.kind] == slot and _is_for(order, name)
    ]
    if key in control.gone:
        seen.append(control.gone[key])
    return max(seen, default=None)


def conflict(control: Control, command: Command, base: int) -> str | None:
    """Return the first touched key that moved after ``base``, or may have; ``None``: the command is in time.

    Once it is too late for a base, it is too late in every later document: cseq of a key only grows, and what is
    forgotten raises ``gone_floor``.
    """
    for key in command.touched:
        last = moved(control, key)
        if (base < control.gone_floor) if last is None else (last > base):
            return key
    return None


def check_in_time(control: Control, command: Command, base: int, *, conditional: bool) -> None:
    """Refuse a command whose keys moved after ``base``; ``conditional``: its caller sent ``If-Match``.

    Raises:
        Stale: Something moved since the caller looked (412).
        Conflict: Something moved since the command was begun (409).
    """
    key = conflict(control, command, base)
    if key is None:
        return
    refusal = Stale if conditional else Conflict
    raise refusal(
        f"Expected {key} as it was at s{base}, found it changed; the control document is at s{control.cseq} now.",
        hint=f'Look at it, then send the command again with If-Match: "s{control.cseq}", or * to insist.',
    )


def in_slot(orders: Orders, component: str, name: str, slot: Slot) -> tuple[Order, ...]:
    """Return the orders that stand at one key, oldest first."""
    return tuple(order for order in orders.get(component, ()) if SLOTS[order.kind] == slot and _is_for(order, name))


def changes(before: Orders, after: Orders, command: Command) -> tuple[Change, ...]:
    """Return what a command makes of each key that it touches."""
    component, slot = str(command.component), command.slot
    return tuple(
        Change(
            component,
            name,
            slot,
            _described(in_slot(before, component, name, slot)),
            _described(in_slot(after, component, name, slot)),
        )
        for name in command.names
    )


def evicted(control: Control, arriving: int) -> tuple[tuple[str, int], ...]:
    """Return the operations that leave the ring when so many arrive, with their commands."""
    return control.ring[: max(0, len(control.ring) + arriving - MAX_RING)]


def providers(value: Selection | WireSplit | None) -> tuple[str, ...]:
    """Return all providers that an order's value may name."""
    if value is None or isinstance(value, str):
        return () if value is None else (value,)
    if isinstance(value, Split):
        return value.providers
    return value.incumbent, *(name for name, _ in value.to)


# --- changing ---


def place(orders: Orders, command: Command, *, op: str, cseq: int, now: datetime) -> Orders:
    """Return the orders after a command; what it replaces or clears is exactly its own key.

    ``op`` and ``cseq`` are the operation's id and number; ``ttl_s`` counts from ``now``, the store's clock.
    """
    component = str(command.component)
    here = orders.get(component, ())
    kept = tuple(_without(here, REPLACES[command.kind], command.names))
    added = () if command.clear else tuple(_ordered(here, command, op, cseq, now))
    rest = {name: those for name, those in orders.items() if name != component}
    return {**rest, component: kept + added} if kept or added else rest


def apply(control: Control, command: Command, now: datetime, op_id: str) -> Control:
    """Return the document with one command more: its order, its number, its place in the ring.

    ``seq`` and the dates are `advance`'s, once for all commands of one write.

    Raises:
        ControlFull: The numbers of this epoch are used up.
    """
    cseq = _next(control.cseq)
    gone = {key: at for key, at in control.gone.items() if key not in command.touched}
    if command.clear:
        gone |= dict.fromkeys(command.touched, cseq)
    applied = replace(
        control,
        cseq=cseq,
        orders=dict(place(control.orders, command, op=op_id, cseq=cseq, now=now)),
        ring=(*control.ring, (op_id, cseq))[-MAX_RING:],
    )
    return _bury(applied, gone)


def advance(control: Control, now: datetime) -> Control:
    """Return the document as the next write signs it: swept, ``seq`` grown, dated by the store's clock.

    Raises:
        ControlFull: The numbers of this epoch are used up.
    """
    swept = sweep(control, now)
    return replace(swept, seq=_next(swept.seq), signed_at=now, expires=now + LIFE)


def sweep(control: Control, now: datetime) -> Control:
    """Return the document without orders that ended long enough ago; each leaves a tombstone."""
    over = {
        component: tuple(order for order in orders if order.until is not None and order.until + SWEEP_AFTER <= now)
        for component, orders in control.orders.items()
    }
    if not any(over.values()):
        return control
    gone = dict(control.gone)
    for component, orders in over.items():
        for order in orders:
            for name in _names(order):
                key = f"{component}|{name}|{SLOTS[order.kind]}"
                gone[key] = max(order.cseq, gone.get(key, 0))
    left = {
        component: tuple(order for order in orders if order not in over[component])
        for component, orders in control.orders.items()
    }
    return _bury(replace(control, orders={component: orders for component, orders in left.items() if orders}), gone)


def forget(control: Control) -> Control | None:
    """Return the document with its oldest tombstone forgotten; ``None``: there is none left to forget."""
    return _bury(control, dict(control.gone), len(control.gone) - 1) if control.gone else None


def adopt(control: Control, release: Release, digest: str, now: datetime) -> Control:
    """Return the document beside a newer release; ``good`` and ``bad`` keep only what the release still approves.

    ``digest`` is of the release's payload. A new epoch starts ``seq`` again at 1 (`advance` makes it so); orders stay.
    """
    approved = {each.digest for each in release.approved}
    return replace(
        control,
        epoch=release.epoch,
        seq=control.seq if release.epoch == control.epoch else 0,
        release=AdoptedRelease(version=release.version, digest=digest, adopted_at=now),
        good=tuple(good for good in control.good if good.digest in approved and good.version >= release.floor),
        bad=tuple(bad for bad in control.bad if bad.digest in approved),
    )


def first(release: Release, digest: str, audience: Audience, now: datetime) -> Control:
    """Return the first document of a fleet: no orders, beside its first release; ``digest`` is of its payload."""
    return Control(
        spec_version=SPEC_VERSION,
        epoch=release.epoch,
        audience=audience,
        seq=max(1, release.min_control_seq),
        cseq=0,
        signed_at=now,
        expires=now + LIFE,
        release=AdoptedRelease(version=release.version, digest=digest, adopted_at=now),
    )


def restored(control: Control, min_seq: int, now: datetime) -> Control:
    """Return the document of a restored backup as it may be put in force again.

    Both numbers leap beyond all that a running replica may have seen, so that none drops it as old; and every command
    begun before the leap is told that it lost, since nobody knows what it would overwrite.

    Raises:
        ControlFull: The numbers of this epoch are used up.
    """
    cseq = _next(control.cseq + RESTORED_JUMP)
    leapt = replace(control, seq=max(control.seq, min_seq) + RESTORED_JUMP, cseq=cseq, gone={}, gone_floor=cseq)
    return advance(leapt, now)


# --- parts ---


def _next(number: int) -> int:
    if number >= MAX_INT:
        raise ControlFull(
            f"Expected room for another number, found {number}: the numbers of this epoch are used up.",
            hint="Rotate the root to a new epoch, publish a release under it; seq starts again at 1.",
        )
    return number + 1


def _parts(key: str) -> tuple[str, str, str]:
    """Split a touched key; a tenant's name may hold the separator, the two others cannot."""
    component, _, rest = key.partition("|")
    name, _, slot = rest.rpartition("|")
    return component, name, slot


def _names(order: Order) -> tuple[str, ...]:
    return (EVERYONE,) if isinstance(order.tenants, str) else order.tenants


def _is_for(order: Order, name: str) -> bool:
    return name in _names(order)


def _without(orders: Iterable[Order], kinds: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Order]:
    """Yield orders less these names; one that is for nobody any more is left out."""
    for order in orders:
        if order.kind not in kinds:
            yield order
            continue
        left = tuple(name for name in _names(order) if name not in names)
        if left == _names(order):
            yield order
        elif left:
            yield replace(order, tenants=left)


def _ordered(here: tuple[Order, ...], command: Command, op: str, cseq: int, now: datetime) -> Iterator[Order]:
    """Yield the orders of one command: one, or one for each salt that tenants already have."""
    until = None if command.ttl_s is None else now + timedelta(seconds=command.ttl_s)
    grouped: dict[str, list[str]] = {}
    for name in command.names:
        grouped.setdefault(_salt(here, command.value, name, op), []).append(name)
    for salt, names in grouped.items():
        yield Order(
            op=op,
            kind=command.kind,  # type: ignore[arg-type]  # a gate only clears
            tenants=EVERYONE if command.tenants is None else tuple(names),
            value=_wire(command.value, salt),
            cseq=cseq,
            until=until,
        )


def _salt(here: tuple[Order, ...], value: Selection | None, name: str, op: str) -> str:
    """Return the salt of a split: that of the one in place if it has the same providers, else its own or a new one."""
    if not isinstance(value, Split):
        return ""
    for order in here:
        if isinstance(order.value, WireSplit) and _is_for(order, name) and providers(order.value) == value.providers:
            return order.value.salt
    return value.salt or op[:16]


def _wire(value: Selection | None, salt: str) -> str | WireSplit | None:
    return WireSplit(incumbent=value.incumbent, to=value.to, salt=salt) if isinstance(value, Split) else value


def _bury(control: Control, gone: dict[str, int], most: int = MAX_GONE) -> Control:
    """Return the document with these tombstones, as many of the newest as there is room for."""
    newest = sorted(gone.items(), key=lambda item: (item[1], item[0]), reverse=True)
    lost = [cseq for _, cseq in newest[most:]]
    return replace(control, gone=dict(newest[:most]), gone_floor=max([control.gone_floor, *lost]))


def _described(orders: tuple[Order, ...]) -> str | None:
    return ", ".join(map(describe, orders)) or None


def describe(order: Order) -> str:
    """Return an order as a person reads it: ``use redis``, ``pause until 2026-01-01T00:00:00+00:00``."""
    value = order.value
    if isinstance(value, WireSplit):
        value = str(Split(value.incumbent, value.to, value.salt))
    text = order.kind if value is None else f"use {value}"
    return text if order.until is None else f"{text} until {order.until.isoformat()}"
