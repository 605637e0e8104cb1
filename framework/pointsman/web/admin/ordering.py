"""From an operator's request to what came of it: make the command, and have it carried out where it reaches.

A part that is swapped needs more than its body: who serves the rest. That is looked up in the newest orders, and holds
only as long as they do; whoever tries again means what was meant first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pointsman.control.commands import Command, Outcome, etag, operation_id
from pointsman.errors import (
    ComponentsClosed,
    ConfigurationError,
    Conflict,
    InputError,
    LifecycleError,
    NoCatalog,
    NoEligibleCandidate,
    NotFound,
    PointsmanError,
    ProviderError,
    Stale,
    TenantError,
)
from pointsman.web.admin.orders import Order, SwapOrder, Verb, command_of, split_towards
from pointsman.web.admin.queries import Query

if TYPE_CHECKING:
    from starlette.requests import Request

    from pointsman.runtime.runtime import Runtime
    from pointsman.web.admin.authentication import Caller
    from pointsman.web.admin.operator import Alone, Operator
    from pointsman.web.admin.records import Records

NOT_FIT: Final = (LifecycleError, NoEligibleCandidate, ConfigurationError, TenantError, ProviderError)
"""A target that does not stand here, or may not serve, is the caller's mistake; that we stop or start is not."""


class Ordering:
    """Makes commands of requests, and has them carried out.

    Args:
        runtime: What is ordered about.
        operator: Gives who carries out what is for the fleet.
        alone: Carries out what is for this replica.
        records: Knows what was ordered before, beside the operator.
    """

    def __init__(self, runtime: Runtime, operator: Callable[[], Operator], alone: Alone, records: Records) -> None:
        self._runtime = runtime
        self._operator = operator
        self._alone = alone
        self._records = records

    async def command(self, verb: Verb, order: Order, caller: Caller, request: Request) -> Command:
        """Return the command that a request is.

        Raises:
            InputError: A field, a header or the query is wrong.
            ResolutionError: A part is to be swapped of what is unknown.
        """
        dry_run = Query(request.scope["query_string"], ("dry_run",)).flag("dry_run")
        if isinstance(order, SwapOrder) and order.weight_bp is not None:
            return await self._weighed(verb, order, caller, request, dry_run=dry_run)
        return command_of(verb, order, caller, self._runtime.points.current().catalog, request.headers, dry_run=dry_run)

    async def _weighed(
        self, verb: Verb, order: SwapOrder, caller: Caller, request: Request, *, dry_run: bool
    ) -> Command:
        """Return a swap of a part; whoever tries again means the incumbent of the first try, whoever serves by now."""
        key = request.headers.get("Idempotency-Key")
        known = await self._incumbent_of(operation_id(caller.name, key)) if key else None
        if known is not None:
            whole = order.model_copy(update={"weight_bp": None})
            command = command_of(
                verb, whole, caller, self._runtime.points.current().catalog, request.headers, dry_run=dry_run
            )
            return replace(command, kind="split", value=split_towards(order.provider, order.weight_bp or 0, known))
        if order.reach == "fleet":
            await self._operator().refresh()
        snapshot = self._runtime.points.current()
        command = command_of(verb, order, caller, snapshot.catalog, request.headers, dry_run=dry_run)
        control = snapshot.inputs.control
        if order.reach == "replica" or command.if_match is not None or control is None:
            return command
        return replace(command, if_match=etag(control.cseq))  # who serves was looked up there

    async def _incumbent_of(self, operation: str) -> str | None:
        """Return the incumbent of a split that was ordered under this id before."""
        try:
            record = self._records.find(operation) or await self._operator().operation(operation)
        except NotFound:
            return None
        value = record.begin.command.get("value")
        found = value.get("incumbent") if isinstance(value, dict) else None
        return found if isinstance(found, str) else None

    async def carry_out(self, command: Command, *, conditional: bool) -> Outcome:
        """Carry a command out, as far as it reaches; ``conditional``: its caller sent an If-Match.

        Raises:
            PointsmanError: See `control.operations.Operations.run`.
        """
        operator = self._alone if command.reach == "replica" else self._operator()
        try:
            return await operator.run(command)
        except Stale as error:
            if conditional:
                raise
            raise Conflict(error.message, hint=error.hint) from error


def _unfit(error: PointsmanError) -> InputError:
    """Return that the target of a swap does not stand on this replica, or may not serve; nothing was written."""
    found = InputError(error.message, hint=error.hint)
    found.code = error.code
    return found


@contextmanager
def fitness() -> Iterator[None]:
    """Tell what keeps a target from serving as the caller's mistake: 422, whatever it would be to a request."""
    try:
        yield
    except (NoCatalog, ComponentsClosed):
        raise
    except NOT_FIT as error:
        raise _unfit(error) from error
