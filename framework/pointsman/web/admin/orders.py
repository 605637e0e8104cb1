"""What an operator sends, and the command that it is.

Shape only: whether the component or the provider exists is judged where the command is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pointsman.control.commands import MAX_REASON, MAX_TENANTS, MAX_TTL_S, Command, Kind
from pointsman.declarations import Component
from pointsman.errors import InputError
from pointsman.resolution.decision import Question, weigh
from pointsman.resolution.selection import Selection, Split

if TYPE_CHECKING:
    from pointsman.resolution.catalog import Catalog
    from pointsman.web.admin.authentication import Caller

Word: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
TenantId: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]


class Order(BaseModel):
    """The fields that every command has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: Word
    key: Word
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
    tenant: TenantId | None = None
    tenants: Annotated[tuple[TenantId, ...], Field(min_length=1, max_length=MAX_TENANTS)] | None = None
    reach: Literal["fleet", "replica"] = "fleet"


class TimedOrder(Order):
    """A command whose order may end by itself."""

    ttl_s: Annotated[float, Field(gt=0, le=MAX_TTL_S)] | None = None


class SwapOrder(TimedOrder):
    """A swap: outright, or for a part of the subjects."""

    provider: Word
    weight_bp: Annotated[int, Field(ge=0, le=10_000, strict=True)] | None = None
    force: bool = False


class RefreshOrder(BaseModel):
    """What may be said with a refresh."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


@dataclass(frozen=True, slots=True)
class Verb:
    """One route that changes something.

    Attributes:
        body: The shape of what is sent.
        kind: The command's kind.
        clear: Whether it takes an order away.
    """

    body: type[Order]
    kind: Kind
    clear: bool = False


VERBS: Mapping[str, Verb] = {
    "pause": Verb(TimedOrder, "pause"),
    "resume": Verb(Order, "gate", clear=True),
    "drain": Verb(TimedOrder, "drain"),
    "swap": Verb(SwapOrder, "use"),
    "unswap": Verb(Order, "use", clear=True),
}


def command_of(
    verb: Verb, order: Order, caller: Caller, catalog: Catalog, headers: Mapping[str, str], *, dry_run: bool
) -> Command:
    """Return the command that a body and its headers are.

    Raises:
        InputError: A field, or both of two that exclude each other, is wrong.
    """
    if order.tenant is not None and order.tenants is not None:
        raise _both("tenant", "tenants")
    component = Component[Any](order.domain, order.key)
    tenants = (order.tenant,) if order.tenant is not None else order.tenants
    value = _value(order, component, tenants, catalog) if isinstance(order, SwapOrder) else None
    return Command(
        kind="split" if isinstance(value, Split) else verb.kind,
        component=component,
        reason=order.reason,
        who=caller.name,
        clear=verb.clear,
        tenants=tenants,
        value=value,
        ttl_s=order.ttl_s if isinstance(order, TimedOrder) else None,
        reach=order.reach,
        force=order.force if isinstance(order, SwapOrder) else False,
        if_match=headers.get("If-Match"),
        idempotency_key=headers.get("Idempotency-Key"),
        dry_run=dry_run,
    )


def _value(order: SwapOrder, component: Component[Any], tenants: tuple[str, ...] | None, catalog: Catalog) -> Selection:
    if order.weight_bp is None:
        return order.provider
    return split_towards(order.provider, order.weight_bp, component, tenants[0] if tenants else None, catalog)


def split_towards(
    provider: str,
    weight_bp: int,
    component: Component[Any],
    tenant: str | None,
    catalog: Catalog,
    *,
    new_salt: Callable[[], str] = lambda: token_hex(8),
) -> Split:
    """Return the split that gives a provider its weight; one that runs keeps incumbent and salt, so nobody moves back.

    Raises:
        InputError: The provider serves already, so there is nobody to split with.
    """
    found = catalog.selection(component, tenant)
    running = found[1] if found is not None else None
    if isinstance(running, Split) and [name for name, _ in running.to] == [provider]:
        return Split(running.incumbent, ((provider, weight_bp),), running.salt)
    verdict = weigh(catalog, Question(component, tenant))
    incumbent = verdict.winner.candidate.provider if verdict.winner is not None else ""
    if isinstance(running, Split):
        incumbent = running.incumbent
    if incumbent in {"", provider}:
        detail = f"expected another provider than the one that serves, found {provider}"
        raise InputError(
            f"weight_bp: {detail}.",
            errors=({"in": "body", "pointer": "/weight_bp", "detail": detail, "code": "nothing-to-split"},),
        )
    return Split(incumbent, ((provider, weight_bp),), new_salt())


def _both(one: str, other: str) -> InputError:
    detail = f"expected {one} or {other}, found both"
    return InputError(
        f"{other}: {detail}.", errors=({"in": "body", "pointer": f"/{other}", "detail": detail, "code": "exclusive"},)
    )
