"""What the lifecycle is given of the world, each part replaceable in a test.

Values only: secrets, variables, clocks, timers and a listener.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import SecretSource
from pointsman.values import frozen


def _later(delay_s: float, call: Callable[..., object], *given: object) -> None:
    asyncio.get_running_loop().call_later(delay_s, call, *given)


async def _refuse(_values: Mapping[str, Any], where: str) -> None:
    raise ConfigurationError(
        f"{where}: expected settings of the image alone, found some of a manifest, and nothing here that judges them."
    )


@frozen
class Surroundings:
    """The world around instances.

    Attributes:
        secrets: Where ``${secret:}`` is read; ``None`` where none may be used.
        secret_epoch: The number of a secret's last rotation.
        scrub: Takes resolved secrets out of a message.
        environ: Variables for ``${env:}``.
        clock: Monotonic seconds.
        now: Wall time, aware UTC.
        later: Calls a function on the loop after some seconds: ``later(30.0, function, argument)``.
        look_again: Raises where settings that a manifest says, of somebody, lead to where they may not: called right
            before an instance is made of them, when names can be resolved. Unsaid: refuses all.
        tell: Who hears of lives: ``tell("instance-made", component=…, …)``; must not raise.
    """

    secrets: SecretSource | None = None
    secret_epoch: Callable[[str], int] = lambda _name: 0
    scrub: Callable[[str], str] = str
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], float] = monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    later: Callable[..., object] = _later
    look_again: Callable[[Mapping[str, Any], str], Awaitable[None]] = _refuse
    tell: Callable[..., None] = lambda _event, **_fields: None
