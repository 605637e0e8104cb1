"""Read ``${secret:}`` through the secrets component, keep values for a while, and count rotations.

A value never leaves through here but to the factory that asked; each one is remembered only so that messages can be
scrubbed of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from pointsman.declarations import Component
from pointsman.errors import UnknownComponent
from pointsman.resolution.decision import Question

if TYPE_CHECKING:
    from pointsman.lifecycle.manager import LifecycleManager

SECRETS = Component[Any]("adapter", "secrets")


class _Secrets(Protocol):
    """The shape of `pointsman.adapters.secrets.protocol.Secrets`, as far as it is needed."""

    async def get_secret(self, name: str) -> str: ...


class _Kept(msgspec.Struct, frozen=True):
    value: str
    until: float


class SecretReader:
    """Where the lifecycle gets secrets from.

    Args:
        remember: Told of each value, for scrubbing.
        clock: Monotonic seconds.
        ttl_s: How long a value is kept, seconds.
    """

    def __init__(self, remember: Callable[[str], None], clock: Callable[[], float], ttl_s: float = 300.0) -> None:
        self._remember = remember
        self._clock = clock
        self._ttl_s = ttl_s
        self._kept: dict[str, _Kept] = {}
        self._epochs: dict[str, int] = {}
        self._rotations = 0
        self.lifecycle: LifecycleManager | None = None

    def epoch(self, name: str) -> int:
        """Return the number of a secret's last rotation; part of the identity of what names it."""
        return self._epochs.get(name, 0)

    @contextmanager
    def rotating(self, names: Iterable[str]) -> Iterator[None]:
        """Forget values, and make everything that names them another identity; not so if the block fails."""
        before = {name: self.epoch(name) for name in names}
        self._rotations += 1
        self._number(dict.fromkeys(before, self._rotations))
        try:
            yield
        except BaseException:
            self._number(before)
            raise

    async def get(self, name: str) -> str:
        """Return the current value of a secret.

        Raises:
            LookupError: There is none of this name, or no secrets component.
            PointsmanError: The secrets component cannot be had.
        """
        kept = self._kept.get(name)
        if kept is not None and self._clock() < kept.until:
            return kept.value
        epoch = self.epoch(name)
        value = await self._read(name)
        self._remember(value)
        if self.epoch(name) == epoch:  # else it may have been read before the rotation
            self._kept[name] = _Kept(value, self._clock() + self._ttl_s)
        return value

    def _number(self, epochs: Mapping[str, int]) -> None:
        self._epochs.update(epochs)
        for name in epochs:
            self._kept.pop(name, None)

    async def _read(self, name: str) -> str:
        if self.lifecycle is None:
            raise LookupError(name)
        lease = self.lifecycle.lease()
        try:
            source = cast("_Secrets", await lease.take(Question(SECRETS)))
            return await source.get_secret(name)
        except UnknownComponent as error:
            raise LookupError(name) from error
        finally:
            lease.close()
