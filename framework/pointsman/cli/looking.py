"""``list``, ``explain``, ``status``, ``health``, ``activity``, ``plugins``: look, and change nothing.

Of the local application, or with ``--url`` of a running service; the answer reads the same.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from pointsman.cli.answering import REFUSED, answering, finish, say
from pointsman.cli.options import App, AsJson, Domain, Named, Tenant, Tenants, Token, Url

if TYPE_CHECKING:
    from pointsman.cli.desk import Desk
    from pointsman.declarations import Component

T = TypeVar("T")


def component_named(name: str, domain: str) -> "Component[Any]":
    """Return the component that ``domain/key``, or a key with ``--domain``, names; anything else is wrong usage."""
    from pointsman.declarations import component_of, parse_component
    from pointsman.errors import ConfigurationError

    try:
        if domain and "/" not in name:
            return component_of(domain, name)
        component = parse_component(name)
    except ConfigurationError as error:
        raise typer.BadParameter(f"{error.message} {error.hint}".strip()) from error
    if domain and domain != component.domain:
        raise typer.BadParameter(f"{name} is not of the domain {domain}.")
    return component


def at_the_desk(url: str, token: str, reference: str, work: Callable[["Desk"], Awaitable[T]]) -> T:
    """Have work done at the desk of a running service, or of the local application."""
    from pointsman.cli.desk import desk

    async def done() -> T:
        async with desk(url, token, reference) as found:
            return await work(found)

    return finish(done)


def list_components(
    *, tenant: Tenants = None, reference: App = "", url: Url = "", token: Token = "", as_json: AsJson = False
) -> None:
    """List components and providers, and who serves whom."""
    with answering(as_json=as_json):
        rows = at_the_desk(url, token, reference, lambda desk: desk.components(tenant or ()))
        from pointsman.cli.rendering import components_text

        say(rows, components_text(rows), as_json=as_json)


def explain(
    name: Named,
    *,
    domain: Domain = "",
    tenant: Tenant = None,
    provider: Annotated[str | None, typer.Option(metavar="PROVIDER", help="Only this provider.")] = None,
    requires: Annotated[
        list[str] | None, typer.Option(metavar="CAPABILITY", help="Only what can do this; may be repeated.")
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="TEXT", help="For whom a split is drawn.")] = None,
    reference: App = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Explain which provider serves a component, and why.

    Every rule is weighed, and every candidate that lost is told with its reason.
    """
    component = component_named(name, domain)
    with answering(as_json=as_json):
        from pointsman.cli.desk import Asked
        from pointsman.cli.rendering import explanation_text

        asked = Asked(tenant, provider, tuple(requires or ()), subject)
        facts = at_the_desk(url, token, reference, lambda desk: desk.explain(component, asked))
        say(facts, explanation_text(facts), as_json=as_json)


def status(*, reference: App = "", url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Show manifest, head, refusals and live instances."""
    with answering(as_json=as_json):
        facts = at_the_desk(url, token, reference, lambda desk: desk.status())
        from pointsman.cli.rendering import status_text

        say(facts, status_text(facts), as_json=as_json)


def health(
    name: Annotated[str, typer.Argument(metavar="COMPONENT", help="Only this component; unsaid: all.")] = "",
    *,
    domain: Domain = "",
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask every instance; of the local application, make them first.")
    ] = False,
    reference: App = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Show how everything is, and ask it with --probe.

    Exit code 1 where something is not well, or the replica is not ready.
    """
    component = component_named(name, domain) if name else None
    with answering(as_json=as_json):
        facts = at_the_desk(url, token, reference, lambda desk: desk.health(component, probe=probe))
        from pointsman.cli.rendering import health_text

        say(facts, health_text(facts), as_json=as_json)
        if facts["degraded"] or not facts["ready"]:
            raise typer.Exit(REFUSED)


def activity(*, reference: App = "", url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Show every pause and drain in force."""
    with answering(as_json=as_json):
        rows = at_the_desk(url, token, reference, lambda desk: desk.activity())
        from pointsman.cli.rendering import activity_text

        say(rows, activity_text(rows), as_json=as_json)


def plugins(*, as_json: AsJson = False) -> None:
    """List what installed packages bring, with errors."""
    with answering(as_json=as_json):
        from pointsman.cli.rendering import plugins_text
        from pointsman.runtime.plugins import installed_plugins

        rows: list[dict[str, Any]] = [
            {
                "group": plugin.group,
                "name": plugin.name,
                "package": plugin.package,
                "reference": plugin.reference,
                "candidates": [str(candidate) for candidate in plugin.candidates],
                "error": plugin.error,
            }
            for plugin in installed_plugins()
        ]
        say(rows, plugins_text(rows), as_json=as_json)
