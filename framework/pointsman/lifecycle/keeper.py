"""Keep instances: one owned task each, which enters the factory, waits for the end, and leaves the factory.

Enter and exit are one task, since anyio's cancel scopes demand it; its context is empty, and no caller who goes away
cancels an activation that others wait for. One activation at a time per identity in a scope; a failed one is
remembered with a backoff. Nothing here decides which instance serves whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

import msgspec

from pointsman.errors import (
    ActivationFailed,
    ComponentsClosed,
    ConfigurationError,
    HealthCheckFailed,
    LifecycleError,
    PointsmanError,
)
from pointsman.lifecycle.factories import Given, entered
from pointsman.lifecycle.health import check
from pointsman.lifecycle.instance import Instance, State
from pointsman.lifecycle.rendering import rendered_settings
from pointsman.lifecycle.reporting import in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.limits import Limits
    from pointsman.lifecycle.surroundings import Surroundings


class Scope(Protocol):
    """Where instances are looked up by identity, and put: an epoch, a warming, a request."""

    def find(self, identity: Identity) -> Instance | None:
        """Return a usable instance of this identity, or ``None``."""
        ...

    def put(self, instance: Instance) -> None:
        """Take in a new instance."""
        ...


class Failure(msgspec.Struct, frozen=True):
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
        """What a plan needs could not be made."""
        ...

    def forgotten(self, identity: Identity) -> None:
        """The failures of an identity are so long ago that they count no more."""
        ...

    def ended(self, instance: Instance, error: BaseException | None) -> None:
        """The task of an instance, ready once or not, has ended; leaving its factory may have raised."""
        ...


class Keeper:
    """Starts and owns the tasks of all instances.

    Args:
        limits: Bounds and backoff.
        observer: Who is told.
        surroundings: Secrets, variables, clocks.
    """

    def __init__(self, limits: Limits, observer: Observer, surroundings: Surroundings) -> None:
        self.limits = limits
        self._observer = observer
        self._surroundings = surroundings
        self._clock: Callable[[], float] = surroundings.clock
        self._tasks: dict[asyncio.Task[None], Instance] = {}
        self._failures: dict[Identity, Failure] = {}
        self._closed = False

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every instance whose task has not ended."""
        return tuple(self._tasks.values())

    def forget(self, plan: Plan) -> None:
        """Let a plan, and all that it stands on, be tried again at once: somebody asked on purpose."""
        for part in plan.closure():
            self._failures.pop(part.identity, None)

    def start(self, plan: Plan, scope: Scope, *, given: Given | None = None, check_health: bool = True) -> Instance:
        """Begin to make an instance and what it stands on, and put all into the scope before anybody asks again.

        Args:
            given: Arguments that only a request has.
            check_health: Whether it must say that it is healthy before it serves.

        Raises:
            ActivationFailed: It, or what it stands on, failed lately; ``retry_after_s`` says when it is tried again.
            CapacityExceeded: There is no room for another tenant's instance.
            ComponentsClosed: Everything was closed.
        """
        self._refuse(plan)
        self._observer.admit(plan)
        instance = Instance(plan, self._clock, self._stand_on(plan, scope, given or {}))
        scope.put(instance)
        life = self._live(instance, given or {}, check_health=check_health)
        task = asyncio.get_running_loop().create_task(life, name=f"pointsman {plan}", context=Context())
        self._tasks[task] = instance
        task.add_done_callback(self._tasks.pop)
        return instance

    async def obtain(self, plan: Plan, scope: Scope, *, given: Given | None = None) -> Instance:
        """Return a ready instance under a fresh lease, which the caller gives back with ``release``.

        Raises:
            ActivationFailed: The factory raised, hung, or failed lately.
            HealthCheckFailed: The instance says that it is not healthy.
            Exception: Whatever the factory of a ``request`` instance raised.
        """
        instance = scope.find(plan.identity) or self.start(plan, scope, given=given)
        instance.lease()
        try:
            await ready(instance)
        except BaseException:
            instance.release()
            raise
        return instance

    async def wait(self, timeout_s: float) -> bool:
        """Wait until every instance is closed, later ones too; returns whether that came in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self._tasks and (left := end - loop.time()) > 0:
            await asyncio.wait(list(self._tasks), timeout=left)
        return not self._tasks

    async def cancel(self) -> None:
        """Start nothing any more, cancel every task that is left, and wait for it."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stand_on(self, plan: Plan, scope: Scope, given: Given) -> list[Instance | None]:
        """Hold what a plan stands on, in the order of its needs; begins to make what is not live."""
        held: list[Instance | None] = []
        try:
            for _, need in plan.needs:
                instance = None
                if need is not None:
                    instance = scope.find(need.identity) or self.start(need, scope, given=given)
                    instance.support()
                held.append(instance)
        except BaseException as error:
            _leave(held)
            if not isinstance(error, ActivationFailed):
                raise
            failure = self._failure_beneath(plan, error)
            self._observer.failed(plan, failure)
            raise failure.error from error
        return held

    async def _live(self, instance: Instance, given: Given, *, check_health: bool) -> None:
        error: BaseException | None = None
        try:
            await self._enter_and_leave(instance, given, check_health=check_health)
        except asyncio.CancelledError as cancelled:
            error = cancelled
            raise
        except Exception as raised:  # noqa: BLE001 - the boundary around the user's factory; told to all who wait
            error = raised
        finally:
            _leave(instance.needs)
            self._ended(instance, error)

    async def _enter_and_leave(self, instance: Instance, given: Given, *, check_health: bool) -> None:
        plan, limits, loop = instance.plan, self.limits, asyncio.get_running_loop()
        well: bool | None = None  # unknown, where the factory swallows that its time is over
        async with asyncio.timeout(limits.activation_timeout_s) as deadline:
            arguments = await self._arguments(instance, given)
            instance.settings = arguments[plan.spec.settings[0]] if plan.spec.settings else None
            async with entered(plan.spec, arguments) as value:
                well = not check_health or await check(value, plan.resolution.candidate, limits.health_timeout_s)
                if well:
                    deadline.reschedule(None)
                    self._failures.pop(plan.identity, None)
                    instance.became_ready(value)
                    self._observer.made(instance)
                    await instance.ending.wait()
                deadline.reschedule(loop.time() + limits.close_timeout_s)
        if well is False:
            raise HealthCheckFailed(f"{plan} was made, and says that it is not healthy.")

    async def _arguments(self, instance: Instance, given: Given) -> dict[str, object]:
        plan = instance.plan
        arguments = await _components(instance)
        for name, kind in plan.spec.connections:
            if (make := given.get(kind)) is None:
                raise ConfigurationError(f"{plan} asks for a request (parameter `{name}`), and there is none here.")
            arguments[name] = make()
        if plan.spec.tenant:
            arguments[plan.spec.tenant[0]] = plan.tenant
        if plan.spec.settings:
            name, model = plan.spec.settings
            arguments[name] = await rendered_settings(plan, model, self._surroundings)
        elif plan.settings:
            raise ConfigurationError(
                f"{plan}: expected no settings, found {', '.join(sorted(plan.settings))}: its factory takes none.",
                hint="Give the factory a parameter annotated with a pydantic model, or remove the settings.",
            )
        return arguments

    def _ended(self, instance: Instance, error: BaseException | None) -> None:
        if instance.state is not State.ACTIVATING:
            instance.became_closed()
        elif instance.plan.lifetime == "request":
            instance.became_failed(self._told_in_a_request(instance.plan, error))  # and nobody else hears of it
        else:
            failure = self._failure(instance.plan, error)
            instance.became_failed(failure.error)
            self._observer.failed(instance.plan, failure)
        self._observer.ended(instance, error)

    def _told_in_a_request(self, plan: Plan, error: BaseException | None) -> Exception:
        """Return what a request is told that failed to make a part of itself: as if its handler had raised it."""
        if isinstance(error, _Beneath):
            return self._failure_beneath(plan, error).error
        if isinstance(error, Exception) and not isinstance(error, TimeoutError):
            return error
        return _told(plan, error, self._surroundings.scrub)

    def _failure(self, plan: Plan, error: BaseException | None) -> Failure:
        """Return, and remember for its backoff, the failure of an activation."""
        if isinstance(error, _Beneath):
            return self._failure_beneath(plan, error)
        before = self._failures.get(plan.identity)
        count = before.count + 1 if before else 1
        wait = min(self.limits.backoff_min_s * 2.0 ** min(count - 1, 30), self.limits.backoff_max_s)
        told = _told(plan, error, self._surroundings.scrub)
        told.retry_after_s = wait
        failure = self._failures[plan.identity] = Failure(count, told, self._clock() + wait)
        self._surroundings.later(wait + self.limits.backoff_max_s, self._outgrow, plan.identity, failure)
        return failure

    def _failure_beneath(self, plan: Plan, error: PointsmanError) -> Failure:
        """Return the failure of what stands on a failure, which is remembered there and not here."""
        wait = error.retry_after_s or self.limits.backoff_min_s
        told = ActivationFailed(f"{plan} stands on what failed: {error.message}", retry_after_s=wait)
        told.__cause__ = error.__cause__
        return Failure(1, told, self._clock() + wait)

    def _outgrow(self, identity: Identity, failure: Failure) -> None:
        if self._failures.get(identity) is failure:
            del self._failures[identity]
            self._observer.forgotten(identity)

    def _refuse(self, plan: Plan) -> None:
        """Refuse to start what failed lately, and anything at all once everything is closed."""
        if self._closed:
            raise ComponentsClosed(f"The process is stopping: {plan} is not made any more.")
        failure = self._failures.get(plan.identity)
        if failure is not None and (left := failure.until - self._clock()) > 0:
            raise ActivationFailed(
                f"{failure.error.message} It is tried again in {left:.1f} s.", retry_after_s=max(left, 0.1)
            ) from failure.error


async def ready(instance: Instance) -> None:
    """Wait until an instance is ready.

    Raises:
        ActivationFailed: It could not be made.
        HealthCheckFailed: It says that it is not healthy.
        Exception: Whatever the factory of a ``request`` instance raised.
    """
    if instance.state is State.ACTIVATING:
        await instance.settled.wait()
    if instance.error is not None:
        raise _for_one(instance.error)
    if instance.state is not State.READY:
        raise ActivationFailed(f"{instance.plan} ended before it could be used.")


def _for_one(error: Exception) -> Exception:
    """Return an error for one of those who wait: raising writes into an error, so each gets one of its own."""
    if not isinstance(error, LifecycleError):
        return error  # of a ``request`` instance, for which one waits
    own = type(error)(error.message, hint=error.hint, retry_after_s=error.retry_after_s)
    own.__cause__ = error.__cause__ or error
    return own


class _Beneath(ActivationFailed):
    """What an instance stands on failed."""


async def _components(instance: Instance) -> dict[str, object]:
    """Return what an instance stands on, by parameter, once all of it is ready."""
    components: dict[str, object] = {}
    for (name, _), need in zip(instance.plan.needs, instance.needs, strict=True):
        if need is not None:
            try:
                await ready(need)
            except (ActivationFailed, HealthCheckFailed) as error:
                raise _Beneath(error.message, retry_after_s=error.retry_after_s) from error
        components[name] = need.hand_out(instance.plan.question.tenant) if need is not None else None
    return components


def _leave(needs: Iterable[Instance | None]) -> None:
    """Let go of what an instance stood on."""
    for need in reversed(tuple(needs)):
        if need is not None:
            need.unsupport()


def _told(plan: Plan, error: BaseException | None, scrub: Callable[[str], str]) -> PointsmanError:
    """Return what those who wait are told of an activation that ended without an instance."""
    match error:
        case HealthCheckFailed():
            told: PointsmanError = HealthCheckFailed(scrub(error.message))
        case None:
            told = ActivationFailed(f"{plan} was not made, and its factory does not say why.")
        case TimeoutError():
            told = ActivationFailed(f"{plan} was not made in time.")
        case asyncio.CancelledError():
            told = ActivationFailed(f"{plan} was cancelled while it was made.")
        case _:
            told = ActivationFailed(scrub(f"{plan} could not be made: {in_words(error)}"))
    told.__cause__ = error
    return told
