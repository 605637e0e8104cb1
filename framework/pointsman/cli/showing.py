"""Serve the demo's deployment, and show on one page what there is to see."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from pointsman.cli.answering import say, say_json
from pointsman.cli.applications import DEFAULT, load_application
from pointsman.cli.server import LOOPBACK, listening, serve, url_of
from pointsman.observability.logging import configure_logging

if TYPE_CHECKING:
    from pointsman.cli.workshop import Workshop

PORT: Final = 8080
COMPONENT: Final = "service/summarizer"
SHOWN: Final = ("acme", "globex")
"""Two tenants that differ: the manifest gives them other providers, and other settings."""
NOTE: Final = {
    "title": "Points",
    "text": "Points move. Trains follow points. Signals protect trains. Nobody stops the line.",
}


@dataclass(frozen=True, slots=True)
class Demo:
    """A service that is ready.

    Attributes:
        tenants: By id.
        notes: Tenant to the number of a note that it has.
        state: The folder.
    """

    url: str
    token: str
    tenants: tuple[str, ...]
    notes: Mapping[str, int]
    state: str

    def facts(self) -> dict[str, Any]:
        """Return the line that ``--json`` prints."""
        admin = f"{self.url}/admin"
        return {
            "url": self.url,
            "admin": admin,
            "token": self.token,
            "tenants": list(self.tenants),
            "state": self.state,
        }


async def show(workshop: Workshop, token: str, port: int | None, *, as_json: bool) -> None:
    """Publish, adopt, serve, and print the page once the service is ready; returns after a signal.

    Args:
        workshop: Laid out; its folder is the working directory.
        token: The operator's.
        port: ``None`` for `PORT`, or a free one.
        as_json: One line instead of the page.

    Raises:
        PointsmanError: A step failed; tells which.
    """
    await workshop.publish()
    application = load_application(DEFAULT)
    runtime = application.assembly.runtime
    await workshop.found(runtime)
    settings = runtime.settings
    undo = configure_logging(settings.logging, environment=settings.environment, scrubber=runtime.scrubber)
    try:
        bound = listening(LOOPBACK, PORT if port is None else port, or_another=port is None)
        url = url_of(bound)

        async def ready() -> None:
            notes = {tenant: await _note_of(url, tenant) for tenant in SHOWN}
            demo = Demo(url, token, tuple(workshop.tenants), notes, str(workshop.folder))
            if as_json:
                say_json(demo.facts(), indent=None)
            else:
                say(demo.facts(), page(demo), as_json=False)

        await serve(application, bound, ready=ready)
    finally:
        undo()


async def _note_of(url: str, tenant: str) -> int:
    """Return the number of a tenant's first note on the page, kept now where it has none."""
    async with httpx.AsyncClient(base_url=url, headers={"X-Tenant-ID": tenant}, trust_env=False) as client:
        listed = await client.get("/notes", params={"limit": 1})
        if listed.is_success and listed.json():
            return int(listed.json()[0]["id"])
        kept = await client.post("/notes", json=NOTE)
        return int(kept.json()["id"]) if kept.is_success else 1


def page(demo: Demo) -> str:
    """Return what the demo prints: where it is, and five lines to paste."""
    lines = [
        f"The reference notebook serves {', '.join(demo.tenants)} at {demo.url}",
        f"  operators  {demo.url}/admin",
        f"  token      {demo.token}",
        f"  state      {demo.state}",
        "",
        "Paste these into another terminal:",
    ]
    for title, line in steps(demo):
        lines += ["", f"# {title}", line]
    lines += [
        "",
        "# The same from pointsman's own shell",
        f"export POINTSMAN_URL={demo.url} POINTSMAN_TOKEN={demo.token}",
        f"pointsman explain {COMPONENT} --tenant {SHOWN[0]}",
    ]
    return "\n".join([*lines, "", "Ctrl-C ends it."])


def steps(demo: Demo) -> list[tuple[str, str]]:
    """Return five lines for a shell, each with what it shows."""
    one, other = SHOWN
    why = f"{demo.url}/admin/explain/{COMPONENT}?tenant={one}"
    to = {"domain": "service", "key": "summarizer"}
    swap = {**to, "tenant": other, "provider": "keywords", "reason": "the demo"}
    stop = {**to, "reason": "the demo"}
    return [
        (f"Why does {one} get its summarizer?", _curl(_ask(demo, why))),
        (f"{one} keeps a note, and has one shortened: its weightiest terms", _keeps_and_shortens(demo, one)),
        (f"{other} does the same, and gets a first sentence", _keeps_and_shortens(demo, other)),
        (
            f"Swap {other}'s summarizer while it serves, and look again",
            _curl(_order(demo, "swap", swap), _shortened(demo, other)),
        ),
        (
            "Pause it for everyone, be refused, resume",
            _curl(_order(demo, "pause", stop), _shortened(demo, one), _order(demo, "resume", stop)),
        ),
    ]


def _keeps_and_shortens(demo: Demo, tenant: str) -> str:
    kept = ["-H", f"X-Tenant-ID: {tenant}", *_json(NOTE), f"{demo.url}/notes"]
    return _curl(kept, _shortened(demo, tenant))


def _shortened(demo: Demo, tenant: str) -> list[str]:
    return ["-H", f"X-Tenant-ID: {tenant}", f"{demo.url}/notes/{demo.notes[tenant]}/summary"]


def _ask(demo: Demo, url: str) -> list[str]:
    return ["-H", f"Authorization: Bearer {demo.token}", url]


def _order(demo: Demo, verb: str, body: Mapping[str, str]) -> list[str]:
    return ["-H", f"Authorization: Bearer {demo.token}", *_json(body), f"{demo.url}/admin/{verb}"]


def _json(body: Mapping[str, str]) -> list[str]:
    return ["-H", "Content-Type: application/json", "-d", json.dumps(body)]


def _curl(*requests: list[str]) -> str:
    """Return one line that sends requests one after the other, each answer on a line of its own."""
    words = ["curl"]
    for number, request in enumerate(requests):
        words += [*(["--next"] if number else []), "-sS", "-w", "\\n", *request]
    return shlex.join(words)
