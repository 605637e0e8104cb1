"""What an operator sends, and the command that it is.

Shape only: whether the component or the provider exists is judged where the command is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pointsman.control.commands import MAX_REASON, MAX_TENANTS, MAX_TTL_S, Command, Kind
from pointsman.declarations import Component
from pointsman.errors import InputError
from pointsman.resolution.decision import Question, weigh
from pointsman.resolution.resolver import resolve_in
from pointsman.resolution.selection import Choices, Selection, Split
from pointsman.values import frozen

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

    ttl_s: Annotated[float, Field(gt=0, le=MAX_TTL_S, strict=True)] | None = None


class SwapOrder(TimedOrder):
    """A swap: outright, or for a part of the subjects."""

    provider: Word
    weight_bp: Annotated[int, Field(ge=0, le=10_000, strict=True)] | None = None
    force: Annotated[bool, Field(strict=True)] = False


class RefreshOrder(BaseModel):
    """What may be said with a refresh."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


@frozen
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
    verb: Verb,
    order: Order,
    caller: Caller,
    catalog: Catalog,
    headers: Mapping[str, str],
    *,
    dry_run: bool,
) -> Command:
    """Return the command that a body and its headers are.

    Args:
        verb: The route.
        order: The body.
        caller: Who orders.
        catalog: In force here; the incumbent of a split is who serves in it.
        headers: ``If-Match`` and ``Idempotency-Key``, where they were sent.
        dry_run: Whether nothing is to be written.

    Raises:
        InputError: A field, or both of two that exclude each other, is wrong.
        ResolutionError: A part is to be swapped of what nothing serves.
    """
    if order.tenant is not None and order.tenants is not None:
        raise _wrong("tenants", "expected tenant or tenants, found both", "exclusive")
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
    """Return what is ordered to serve; for the fleet, this replica's own orders have no say in it."""
    if order.weight_bp is None:
        return order.provider
    base = catalog if order.reach == "replica" else replace(catalog, replica=Choices())
    return split_towards(order.provider, order.weight_bp, incumbent_of(base, component, tenants))


def split_towards(provider: str, weight_bp: int, incumbent: str) -> Split:
    """Return the split that gives a provider its weight.

    It has no salt of its own: where a split of the same two is running, that one's stays, so that nobody moves back.

    Raises:
        InputError: The provider serves already, so there is nobody to split with.
    """
    if incumbent == provider:
        detail = f"expected another provider than the one that serves, found {provider}"
        raise _wrong("weight_bp", detail, "nothing-to-split")
    return Split(incumbent, ((provider, weight_bp),))


def incumbent_of(catalog: Catalog, component: Component[Any], tenants: tuple[str, ...] | None) -> str:
    """Return who serves those for whom a part is to be swapped: the one who keeps the rest.

    Raises:
        InputError: Several serve them, so one split cannot stand for all.
        ResolutionError: Nothing serves.
    """
    found = {tenant: _serving(catalog, Question(component, tenant)) for tenant in tenants or (None,)}
    if len(set(found.values())) > 1:
        several = ", ".join(f"{tenant}: {provider}" for tenant, provider in sorted(found.items(), key=str))
        raise _wrong("tenants", f"expected tenants whom one provider serves, found {several[:500]}", "several")
    return next(iter(found.values()))


def _serving(catalog: Catalog, question: Question) -> str:
    """Return who is selected, or ranks first; a failover is no selection, and of a split the incumbent counts."""
    named = catalog.selection(question.component, question.tenant)
    if named is not None:
        return named[1].incumbent if isinstance(named[1], Split) else named[1]
    verdict = weigh(catalog, question)
    first = verdict.passed_over[0] if verdict.passed_over else verdict.winner
    return resolve_in(catalog, question).provider if first is None else first.candidate.provider


def _wrong(field: str, detail: str, code: str) -> InputError:
    return InputError(
        f"{field}: {detail}.", errors=({"in": "body", "pointer": f"/{field}", "detail": detail, "code": code},)
    )
