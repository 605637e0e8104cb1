"""``swap``, ``pause``, ``drain``: an operator's orders, and their undoing.

Written into the head of the fleet with the control key, or with ``--url`` sent to a running service. Each says why.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointsman.cli.answering import answering, say
from pointsman.cli.looking import at_the_desk, component_named
from pointsman.cli.options import (
    App,
    AsJson,
    Domain,
    DryRun,
    IdempotencyKey,
    IfMatch,
    Named,
    Reach,
    Reason,
    Tenants,
    Token,
    Ttl,
    Url,
)

if TYPE_CHECKING:
    from pointsman.cli.desk import Ordered


def swap(
    name: Named,
    provider: Annotated[str, typer.Argument(metavar="[PROVIDER]", help="Who is to serve.")] = "",
    *,
    reason: Reason,
    undo: Annotated[bool, typer.Option("--undo", help="Take the order away again.")] = False,
    weight: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=10_000, help="For so many of 10 000 subjects; the others stay."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Do not ask the new provider's health.")] = False,
    domain: Domain = "",
    tenant: Tenants = None,
    ttl: Ttl = None,
    reach: Reach = "fleet",
    dry_run: DryRun = False,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
    reference: App = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Let another provider serve, once it proved healthy.

    The order stands for the whole fleet until it is undone, or its time is over.
    """
    if undo == bool(provider):
        raise typer.BadParameter("Name the provider that is to serve, or --undo.")
    fields = _fields(name, domain, tenant, reason, reach)
    if not undo:
        fields |= {"provider": provider, "weight_bp": weight, "force": force or None, "ttl_s": ttl}
    ordered = _ordered("unswap" if undo else "swap", fields, if_match, idempotency_key, dry_run=dry_run)
    _order(ordered, (url, token, reference), as_json=as_json)


def pause(
    name: Named,
    *,
    reason: Reason,
    resume: Annotated[bool, typer.Option("--resume", help="Take the pause away again.")] = False,
    domain: Domain = "",
    tenant: Tenants = None,
    ttl: Ttl = None,
    reach: Reach = "fleet",
    dry_run: DryRun = False,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
    reference: App = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Let a component take no new work, for a while.

    Who asks for it is answered 503, and may try again.
    """
    fields = _fields(name, domain, tenant, reason, reach) | ({} if resume else {"ttl_s": ttl})
    ordered = _ordered("resume" if resume else "pause", fields, if_match, idempotency_key, dry_run=dry_run)
    _order(ordered, (url, token, reference), as_json=as_json)


def drain(
    name: Named,
    *,
    reason: Reason,
    clear: Annotated[bool, typer.Option("--clear", help="Take the drain away again.")] = False,
    domain: Domain = "",
    tenant: Tenants = None,
    ttl: Ttl = None,
    reach: Reach = "fleet",
    dry_run: DryRun = False,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
    reference: App = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Let a component finish its work, and take no more."""
    fields = _fields(name, domain, tenant, reason, reach) | ({} if clear else {"ttl_s": ttl})
    ordered = _ordered("resume" if clear else "drain", fields, if_match, idempotency_key, dry_run=dry_run)
    _order(ordered, (url, token, reference), as_json=as_json)


def _fields(name: str, domain: str, tenants: list[str] | None, reason: str, reach: str) -> dict[str, Any]:
    component = component_named(name, domain)
    if reach not in {"fleet", "replica"}:
        raise typer.BadParameter(f"Expected --reach fleet or replica, found {reach!r}.")
    return {
        "domain": component.domain,
        "key": component.key,
        "tenants": tenants or None,
        "reason": reason,
        "reach": reach,
    }


def _ordered(
    verb: str, fields: dict[str, Any], if_match: str | None, idempotency_key: str | None, *, dry_run: bool
) -> "Ordered":
    from pointsman.cli.desk import Ordered

    said = {"If-Match": if_match, "Idempotency-Key": idempotency_key}
    return Ordered(verb, fields, {name: text for name, text in said.items() if text is not None}, dry_run)


def _order(ordered: "Ordered", where: tuple[str, str, str], *, as_json: bool) -> None:
    with answering(as_json=as_json):
        from pointsman.cli.rendering import outcome_text

        facts = at_the_desk(*where, lambda desk: desk.order(ordered))
        say(facts, outcome_text(facts, dry_run=ordered.dry_run), as_json=as_json)
