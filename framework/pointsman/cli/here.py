"""Ask the local application: made, and where settings name a fleet's store converged, but not served.

The answers are those of the admin API's own functions. Orders are written into the head, with the control key of the
settings; a replica's own orders cannot be given here, since no replica is running.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pointsman.adapters.candidates import SHIPPED
from pointsman.cli.answering import note
from pointsman.control.settings import ControlSettings
from pointsman.errors import InputError, PointsmanError, ReadOnlyReplica
from pointsman.resolution.decision import Question, weigh
from pointsman.web.admin import looking
from pointsman.web.admin.authentication import Caller
from pointsman.web.admin.operator import Alone, Operator
from pointsman.web.admin.orders import VERBS, command_of

if TYPE_CHECKING:
    from pointsman.cli.desk import Asked, Facts, Ordered
    from pointsman.declarations import Component
    from pointsman.runtime.runtime import Runtime

MAX_WHO: Final = 128


@asynccontextmanager
async def here(runtime: Runtime) -> AsyncGenerator[Here]:
    """Stand where a replica of this application stands, for the time of the block.

    Raises:
        ConfigurationError: The trust root, or the control key, is wrong.
    """
    if not runtime.settings.section(ControlSettings).store:
        try:
            yield Here(runtime, Alone(runtime))
        finally:
            await runtime.stop()
        return
    from pointsman.cli.standing import fleet_of

    async with fleet_of(runtime) as fleet:
        if fleet.head is None:
            note(f"No head was taken, so this is what the image says: {fleet.status()['last_error']}")
        yield Here(runtime, fleet)


class Here:
    """The local application."""

    def __init__(self, runtime: Runtime, operator: Operator) -> None:
        self._runtime = runtime
        self._operator = operator

    async def explain(self, component: Component[Any], asked: Asked) -> Facts:
        """Explain, as a request to this application would meet it."""
        found = looking.explained(
            self._runtime, component, asked.tenant, asked.provider, frozenset(asked.requires), asked.subject
        )
        return found.as_dict()

    async def components(self, tenants: Collection[str]) -> list[Facts]:
        """Return every component, and who serves each tenant: those named, or all that are declared."""
        catalog = self._runtime.points.current().catalog
        answers = {tenant: looking.tenant_of(self._runtime, tenant) for tenant in tenants or catalog.tenants()}
        rows = [dict(row) for row in looking.components_of(self._runtime)]
        for row in rows:
            row["tenants"] = {tenant: each["components"][row["component"]] for tenant, each in answers.items()}  # type: ignore[index]
        return rows

    async def status(self) -> Facts:
        """Return how a replica of this application would stand."""
        health = await looking.health_of(self._runtime, probe=False, domain=None, key=None)
        return {**looking.manifest_of(self._runtime, self._operator), **health}

    async def health(self, component: Component[Any] | None, *, probe: bool) -> Facts:
        """Start the application, and with ``probe`` make what it stands on, and ask that."""
        await self._runtime.start_once()
        failed = [row async for row in self._made(component)] if probe else []
        domain, key = component or (None, None)
        found = await looking.health_of(self._runtime, probe=probe, domain=domain, key=key)
        rows: list[Facts] = [*found["components"], *failed]  # type: ignore[misc]
        return {**found, "degraded": bool(found["degraded"] or failed), "components": rows}

    async def activity(self) -> list[Facts]:
        """Return the fleet's pauses and drains."""
        return looking.activity_of(self._runtime)

    async def order(self, ordered: Ordered) -> Facts:
        """Write an order into the head."""
        if isinstance(self._operator, Alone) or ordered.fields.get("reach") == "replica":
            raise ReadOnlyReplica(
                "Expected a fleet to order, or a running service; found neither.",
                hint="Set control.store and control.key_file to reach every replica, or name a running service: --url",
            )
        verb = VERBS[ordered.verb]
        try:
            order = verb.body.model_validate(ordered.body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"{field}: {first['msg']}.") from None
        catalog = self._runtime.points.current().catalog
        caller = Caller(_who(), "operator")
        command = command_of(verb, order, caller, catalog, ordered.headers, dry_run=ordered.dry_run)
        return asdict(await self._operator.run(command))

    async def _made(self, component: Component[Any] | None) -> AsyncGenerator[Facts]:
        """Make every instance that a probe asks, and yield those that cannot be made."""
        for question in self._to_probe(component):
            try:
                await self._runtime.lifecycle.activate(*question.component, tenant=question.tenant)
            except PointsmanError as error:
                yield self._failed(question, error)

    def _to_probe(self, component: Component[Any] | None) -> Iterator[Question]:
        """Yield what is asked: the one that is named, or all that the application brings or selects."""
        catalog = self._runtime.points.current().catalog
        for each in catalog.candidates if component is None else [component]:
            registered = catalog.candidates.of(each)
            own = any(entry.candidate not in SHIPPED for entry in registered)
            for tenant in (None, *catalog.tenants()):
                question = Question(each, tenant)
                verdict = weigh(catalog, question)
                if verdict.winner is None or verdict.winner.candidate.lifetime == "request":
                    continue
                if verdict.winner.candidate.lifetime == "tenant" and tenant is None:
                    continue
                if own or verdict.layer is not None or component is not None:
                    yield question

    def _failed(self, question: Question, error: PointsmanError) -> Facts:
        winner = weigh(self._runtime.snapshot.catalog, question).winner
        provider = winner.candidate.provider if winner is not None else None
        whom = f" for {question.tenant}" if question.tenant else ""
        return {
            "identity": f"{question.component}={provider}{whom}",
            "component": str(question.component),
            "provider": provider,
            "tenant": question.tenant,
            "state": "failed",
            "leases": 0,
            "health": False,
            "last_error": error.message,
            "activated_at": None,
        }


def _who() -> str:
    """Return who orders, as the audit names them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "somebody"
    return f"{user}@{socket.gethostname()} (shell)"[:MAX_WHO]
