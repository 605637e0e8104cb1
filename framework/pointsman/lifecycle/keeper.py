"""Keep instances: one owned task each, which enters the factory, waits for the end, and leaves the factory.

Enter and exit are one task, since anyio's cancel scopes demand it; its context is empty, and no caller who goes away
cancels an activation that others wait for. One activation at a time per identity in a scope; a failed one is
remembered with a backoff. Nothing here decides which instance serves whom.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from pointsman.errors import (
    ActivationFailed,
    ConfigurationError,
    HealthCheckFailed,
    LifecycleError,
    PointsmanError,
)
from pointsman.lifecycle.factories import entered
from pointsman.lifecycle.health import check
from pointsman.lifecycle.instance import Instance, State
from pointsman.resolution.template import SecretSource, render

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.limits import Limits


class Scope(Protocol):
    """Where instances are looked up by identity, and put: an epoch, a warming, a request."""

    def find(self, identity: Identity) -> Instance | None:
        """Return a usable instance of this identity, or ``None``."""
        ...

    def put(self, instance: Instance) -> None:
        """Take in a new instance."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed activation: how often in a row, why, and until when it is not tried again (monotonic, seconds)."""

    count: int
    error: PointsmanError
    until: float


class Observer(Protocol):
    """Who is asked before a beginning, and told of beginnings and ends; called on the loop."""

    def admit(self, plan: Plan) -> None:
        """An instance is about to be made; may refuse by raising."""
        ...

    def made(self, instance: Instance) -> None:
        """An instance is ready."""
        ...

    def failed(self, plan: Plan, failure: Failure) -> None:
        """An activation failed."""
        ...

    def closed(self, instance: Instance, error: BaseException | None) -> None:
        """An instance is closed; leaving its factory may have raised."""
        ...


class Keeper:
    """Starts and owns the tasks of all instances.

    Args:
        limits: Bounds and backoff.
        secrets: Where ``${secret:}`` is read; ``None`` where none may be used.
        observer: Who is told.
        clock: Monotonic seconds.
        env: Variables for ``${env:}``.
        scrub: Takes resolved secrets out of a message.
    """

    def __init__(
        self,
        limits: Limits,
        observer: Observer,
        *,
        secrets: SecretSource | None = None,
        clock: Callable[[], float] = monotonic,
        env: Mapping[str, str] | None = None,
        scrub: Callable[[str], str] = str,
    ) -> None:
        self.limits = limits
        self.secrets = secrets
        self._observer = observer
        self._clock = clock
        self._env = os.environ if env is None else env
        self._scrub = scrub
        self._tasks: dict[asyncio.Task[None], Instance] = {}
        self._failures: dict[Identity, Failure] = {}

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every instance whose task has not ended."""
        return tuple(self._tasks.values())

    def failure(self, identity: Identity) -> Failure | None:
        """Return the last failure of an identity, until it succeeds."""
        return self._failures.get(identity)

    def forget(self, identity: Identity) -> None:
        """Let an identity be tried again at once: somebody asked on purpose."""
        self._failures.pop(identity, None)

    def start(
        self, plan: Plan, scope: Scope, *, given: Mapping[str, object] | None = None, check_health: bool = True
    ) -> Instance:
        """Begin to make an instance, and put it into the scope before anybody can ask for a second.

        Args:
            given: Arguments that only a request has.
            check_health: Whether it must say that it is healthy before it serves.

        Raises:
            ActivationFailed: It failed lately; ``retry_after_s`` says when it may be tried again.
            CapacityExceeded: There is no room for another tenant's instance.
        """
        self._refuse_while_backing_off(plan)
        self._observer.admit(plan)
        instance = Instance(plan, self._clock())
        scope.put(instance)
        life = self._live(instance, scope, given or {}, check_health=check_health)
        task = asyncio.get_running_loop().create_task(life, name=f"pointsman {plan}", context=Context())
        self._tasks[task] = instance
        task.add_done_callback(self._tasks.pop)
        return instance

    async def obtain(self, plan: Plan, scope: Scope, *, given: Mapping[str, object] | None = None) -> Instance:
        """Return a ready instance under a fresh lease, which the caller gives back with ``release``.

        Raises:
            ActivationFailed: The factory raised, hung, or failed lately.
            HealthCheckFailed: The instance says that it is not healthy.
        """
        instance = scope.find(plan.identity) or self.start(plan, scope, given=given)
        instance.lease()
        try:
            await ready(instance)
        except BaseException:
            instance.release()
            raise
        instance.used_at = self._clock()
        return instance

    async def wait(self, timeout_s: float) -> bool:
        """Wait until every instance is closed; returns whether that came in time."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)
        return not self._tasks

    async def cancel(self) -> None:
        """Cancel every task that is left, and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, instance: Instance, scope: Scope, given: Mapping[str, object], *, check_health: bool) -> None:
        error: BaseException | None = None
        try:
            await self._enter_and_leave(instance, scope, given, check_health=check_health)
        except asyncio.CancelledError as cancelled:
            error = cancelled
            raise
        except Exception as raised:  # noqa: BLE001 - the boundary around the user's factory; told to all who wait
            error = raised
        finally:
            self._ended(instance, error)

    async def _enter_and_leave(
        self, instance: Instance, scope: Scope, given: Mapping[str, object], *, check_health: bool
    ) -> None:
        plan, loop = instance.plan, asyncio.get_running_loop()
        async with (
            asyncio.timeout(self.limits.activation_timeout_s) as deadline,
            self._standing_on(plan, scope) as components,
        ):
            arguments = await self._arguments(plan, components, given)
            instance.settings = arguments[plan.spec.settings[0]] if plan.spec.settings else None
            async with entered(plan.spec, arguments) as value:
                if check_health and not await check(value, plan.resolution.candidate, self.limits.health_timeout_s):
                    raise HealthCheckFailed(f"{plan} was made, and says that it is not healthy.")
                deadline.reschedule(None)
                self._failures.pop(plan.identity, None)
                instance.became_ready(value, self._clock())
                self._observer.made(instance)
                await instance.ending.wait()
                deadline.reschedule(loop.time() + self.limits.close_timeout_s)

    @asynccontextmanager
    async def _standing_on(self, plan: Plan, scope: Scope) -> AsyncGenerator[dict[str, object]]:
        """Hold what the plan stands on, from before the factory is entered until after it is left."""
        held: list[Instance] = []
        try:
            components: dict[str, object] = {}
            for name, need in plan.needs:
                if need is None:
                    components[name] = None
                    continue
                held.append(await self._stand_on(plan, need, scope))
                components[name] = held[-1].hand_out(plan.question.tenant)
            yield components
        finally:
            for instance in reversed(held):
                instance.unsupport()

    async def _stand_on(self, plan: Plan, need: Plan, scope: Scope) -> Instance:
        try:
            instance = scope.find(need.identity) or self.start(need, scope)
            instance.support()
            try:
                await ready(instance)
            except BaseException:
                instance.unsupport()
                raise
        except (ActivationFailed, HealthCheckFailed) as error:
            message = f"{plan} stands on what failed: {error.message}"
            raise _Beneath(message, retry_after_s=error.retry_after_s) from error
        return instance

    async def _arguments(
        self, plan: Plan, components: dict[str, object], given: Mapping[str, object]
    ) -> dict[str, object]:
        arguments = components | {name: given[kind] for name, kind in plan.spec.connections}
        if plan.spec.tenant:
            arguments[plan.spec.tenant[0]] = plan.tenant
        if plan.spec.settings:
            name, model = plan.spec.settings
            arguments[name] = await self._settings(plan, model)
        elif plan.settings:
            raise ConfigurationError(
                f"{plan}: expected no settings, found {', '.join(sorted(plan.settings))}: its factory takes none.",
                hint="Give the factory a parameter annotated with a pydantic model, or remove the settings.",
            )
        return arguments

    async def _settings(self, plan: Plan, model: Any) -> object:
        where = str(plan.resolution.candidate)
        tenant = plan.question.tenant
        rendered = await render(dict(plan.settings), env=self._env, secrets=self.secrets, tenant=tenant, where=where)
        return validated(model, rendered, where)

    def _ended(self, instance: Instance, error: BaseException | None) -> None:
        if instance.state is State.ACTIVATING:
            told = _told(instance.plan, error, self._scrub)
            failure = self._remember(instance.plan, told, lasting=error is not None and not isinstance(error, _Beneath))
            instance.became_failed(told)
            self._observer.failed(instance.plan, failure)
            return
        instance.state = State.CLOSED
        instance.value = None
        self._observer.closed(instance, error)

    def _remember(self, plan: Plan, error: PointsmanError, *, lasting: bool) -> Failure:
        before = self._failures.get(plan.identity)
        count = before.count + 1 if before else 1
        wait = min(self.limits.backoff_min_s * 2.0 ** min(count - 1, 30), self.limits.backoff_max_s)
        failure = Failure(count, error, self._clock() + wait)
        if lasting:
            self._failures[plan.identity] = failure
        return failure

    def _refuse_while_backing_off(self, plan: Plan) -> None:
        failure = self._failures.get(plan.identity)
        if failure is None or (left := failure.until - self._clock()) <= 0:
            return
        raise ActivationFailed(
            f"{failure.error.message} It is tried again in {left:.1f} s.", retry_after_s=max(left, 0.1)
        ) from failure.error


async def ready(instance: Instance) -> None:
    """Wait until an instance is ready.

    Raises:
        ActivationFailed: It could not be made.
        HealthCheckFailed: It says that it is not healthy.
    """
    if instance.state is State.ACTIVATING:
        await instance.settled.wait()
    if instance.error is not None:
        raise type(instance.error)(instance.error.message, retry_after_s=instance.error.retry_after_s) from (
            instance.error.__cause__ or instance.error
        )


class _Beneath(ActivationFailed):
    """What an instance stands on failed: the failure is remembered there, not here."""


def _told(plan: Plan, error: BaseException | None, scrub: Callable[[str], str]) -> PointsmanError:
    """Return what those who wait are told of an activation that ended without an instance."""
    match error:
        case None:
            told: PointsmanError = ActivationFailed(f"{plan} was no longer wanted.")
        case _Beneath():
            told = ActivationFailed(error.message, retry_after_s=error.retry_after_s)
        case LifecycleError():
            return error
        case TimeoutError():
            told = ActivationFailed(f"{plan} was not made in time.")
        case asyncio.CancelledError():
            told = ActivationFailed(f"{plan} was cancelled while it was made.")
        case _:
            told = ActivationFailed(scrub(f"{plan} could not be made: {type(error).__name__}: {error}"))
    told.__cause__ = error
    return told


def validated(model: Any, values: Mapping[str, object], where: str) -> object:
    """Return the settings model of these values.

    Raises:
        ConfigurationError: They do not fit; names fields and rules, never values.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['type']}"
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise ConfigurationError(
            f"The settings of {where} do not fit {model.__name__}: {faults}.",
            hint=f"Known fields: {', '.join(model.model_fields)}.",
        ) from None
