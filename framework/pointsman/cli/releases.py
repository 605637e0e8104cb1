"""``pointsman manifest publish`` and ``revert``: say to the fleet which manifest should run.

They hold the release key, never the control key, and never write the head.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli.answering import answering, finish, say
from pointsman.cli.manifest import Days
from pointsman.cli.options import App, AsJson, RootFile, StoreUrl

ReleaseKeys = Annotated[
    list[Path] | None, typer.Option("--key", metavar="FILE", help="A release key that signs; may be repeated.")
]


def publish(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The manifest in its envelope.")],
    *,
    key: ReleaseKeys = None,
    store: StoreUrl = "",
    root: RootFile = None,
    roots: Annotated[
        list[Path] | None, typer.Option("--new-root", metavar="FILE", help="A new root to publish before it.")
    ] = None,
    floor: Annotated[int | None, typer.Option(min=0, help="No manifest below this version may run any more.")] = None,
    days: Days = 30,
    reference: App = "",
    as_json: AsJson = False,
) -> None:
    """Publish a manifest, and a release that names it; those before it stay approved to fall back to."""
    with answering(as_json=as_json):
        from pointsman.cli import releasing
        from pointsman.cli.drafts import Life

        async def work() -> dict[str, Any]:
            async with releasing.press(store, root, reference) as on:
                life = Life(datetime.now(UTC), days)
                return await releasing.publish(on, source, key or (), life, floor=floor, roots=roots or ())

        facts = finish(work)
        say(facts, _published(facts), as_json=as_json)


def revert(
    name: Annotated[str, typer.Argument(metavar="VERSION|DIGEST", help="An approved manifest.")],
    *,
    key: ReleaseKeys = None,
    store: StoreUrl = "",
    root: RootFile = None,
    days: Days = 30,
    reference: App = "",
    as_json: AsJson = False,
) -> None:
    """Go back to a manifest that is approved already, by a new release."""
    with answering(as_json=as_json):
        from pointsman.cli import releasing
        from pointsman.cli.drafts import Life

        async def work() -> dict[str, Any]:
            async with releasing.press(store, root, reference) as on:
                return await releasing.revert(on, name, key or (), Life(datetime.now(UTC), days))

        facts = finish(work)
        say(facts, _published(facts), as_json=as_json)


def _published(facts: dict[str, Any]) -> str:
    current, approved = facts["current"], ", ".join(map(str, facts["approved"]))
    lines = [
        f"release {facts['release']} in {facts['store']}: manifest {current['version']}",
        f"  digest    {current['digest']}",
        f"  approved  {approved} (floor {facts['floor']})",
        f"  expires   {facts['expires']}",
    ]
    return "\n".join(lines)
