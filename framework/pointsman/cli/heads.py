"""``pointsman head``, ``remote-sync`` and ``remote-status``: the fleet's store, seen from a replica's place.

``head adopt`` needs the control key. The others write nothing; only ``remote-sync --watch`` is a replica like any
other, and adopts releases where settings give it that key.
"""

from typing import Annotated, Any

import typer

from pointsman.cli.answering import REFUSED, answering, finish, say, say_json
from pointsman.cli.options import App, AsJson

app = typer.Typer(no_args_is_help=True, help="Create or show the head of the fleet.", rich_markup_mode=None)


@app.command("adopt")
def adopt(
    *,
    min_seq: Annotated[
        int, typer.Option("--min-seq", min=0, help="Above what running replicas hold, where the head is gone.")
    ] = 0,
    reference: App = "",
    as_json: AsJson = False,
) -> None:
    """Create the first head beside the published release, or put a restored one back in force."""
    with answering(as_json=as_json):
        from pointsman.cli.applications import runtime_of
        from pointsman.cli.standing import head_facts, standpoint

        async def work() -> dict[str, Any]:
            async with standpoint(runtime_of(reference)) as stand:
                return {"store": stand.ground.heads.url, **head_facts(await stand.adopt(min_seq))}

        facts = finish(work)
        say(facts, _head(facts), as_json=as_json)


@app.command("show")
def show(*, reference: App = "", as_json: AsJson = False) -> None:
    """Show the head as it lies in the store, verified: the adopted release, and every order in force."""
    with answering(as_json=as_json):
        from pointsman.cli.applications import runtime_of
        from pointsman.cli.standing import head_facts, standpoint

        async def work() -> dict[str, Any]:
            async with standpoint(runtime_of(reference)) as stand:
                return {"store": stand.ground.heads.url, **head_facts(await stand.head())}

        facts = finish(work)
        say(facts, _head(facts), as_json=as_json)


def remote_status(*, reference: App = "", as_json: AsJson = False) -> None:
    """Show the release and the head in the store."""
    with answering(as_json=as_json):
        from pointsman.cli.applications import runtime_of
        from pointsman.cli.standing import standpoint

        async def work() -> dict[str, Any]:
            async with standpoint(runtime_of(reference)) as stand:
                return await stand.report()

        facts = finish(work)
        say(facts, _report(facts), as_json=as_json)


def remote_sync(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and tell every change, until interrupted.")] = False,
    refresh_interval: Annotated[
        float, typer.Option("--refresh-interval", metavar="SECONDS", min=1, help="How often to look, with --watch.")
    ] = 10.0,
    reference: App = "",
    as_json: AsJson = False,
) -> None:
    """Converge as a replica would, and report.

    Nothing is served. Exit code 1 where something was refused. With --watch --json each change is one line.
    """
    with answering(as_json=as_json):
        from pointsman.cli.applications import runtime_of
        from pointsman.cli.standing import fleet_of
        from pointsman.cli.watching import converged, well

        async def work() -> bool:
            async with fleet_of(runtime_of(reference)) as fleet:
                if not watch:
                    facts = converged(fleet)
                    say(facts, _converged(facts), as_json=as_json)
                    return well(facts)
                from pointsman.cli.watching import changes

                async for facts in changes(fleet, refresh_interval):
                    if as_json:
                        say_json(facts, indent=None)
                    else:
                        say(facts, _converged(facts), as_json=False)
                return True

        try:
            good = finish(work)
        except KeyboardInterrupt:
            good = watch
        if not good:
            raise typer.Exit(REFUSED)


def _head(facts: dict[str, Any]) -> str:
    lines = [f"head {facts['seq']} (s{facts['cseq']}) of epoch {facts['epoch']}, {facts['freshness']}"]
    if "store" in facts:
        lines.append(f"  store     {facts['store']}")
    lines += [
        f"  signed    {facts['signed_at']}, until {facts['expires']}",
        f"  release   {_release(facts['release'])}",
        f"  good      {', '.join(map(str, facts['good'])) or '–'}",
        *[f"  bad       {bad['digest'][:12]} for {bad['revision']}: {bad['rule']}" for bad in facts["bad"]],
    ]
    orders = [
        f"  order     {order['component']} {order['order']} for {_whom(order)} (s{order['cseq']})"
        for order in facts["orders"]
    ]
    return "\n".join([*lines, *(orders or ["  order     –"])])


def _whom(order: dict[str, Any]) -> str:
    return "everyone" if order["tenants"] == "*" else ", ".join(order["tenants"])


def _release(facts: dict[str, Any]) -> str:
    approved = ", ".join(map(str, facts["approved"]))
    return f"{facts['version']}: manifest {facts['current']['version']}, approved {approved}, floor {facts['floor']}"


def _report(facts: dict[str, Any]) -> str:
    release, head = facts["release"], facts["head"]
    lines = [facts["store"]]
    lines.append(
        "release " + (f"{release['error']}: {release['message']}" if "error" in release else _release(release))
    )
    lines.append(f"head {head['error']}: {head['message']}" if "error" in head else _head(head))
    return "\n".join(lines)


def _converged(facts: dict[str, Any]) -> str:
    manifest, head = facts["manifest"], facts["head"]
    taken = f"manifest {manifest['version']} ({manifest['digest'][:12]})" if manifest else "nothing"
    lines = [f"{facts['store']}: took {taken}"]
    lines.append(f"  head      {head['seq']} (s{head['cseq']}), {facts['freshness']}" if head else "  head      –")
    lines += [
        f"  refused   manifest {refusal['version'] or 'of the image'}: [{refusal['error']}] {refusal['message']}"
        for refusal in facts["refusals"]
    ]
    lines += [f"  problem   {problem}" for problem in facts["problems"]]
    if facts["last_error"]:
        lines.append(f"  error     {facts['last_error']}")
    return "\n".join(lines)
