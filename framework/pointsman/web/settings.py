"""The sections ``web`` and ``debug`` of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pointsman.rules import FORBID, Bounds
from pointsman.values import frozen


@frozen(kw_only=True)
class WebSettings:
    """What the HTTP surface takes.

    Attributes:
        max_body_bytes: The cap of a body that a handler is given as a model.
        startup_wait_s: How long the server's start waits until there is a catalog; then probes are served, routes 503.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    max_body_bytes: Annotated[int, Bounds(ge=1)] = 1_048_576
    startup_wait_s: Annotated[float, Bounds(ge=0, le=240, allow_inf_nan=False)] = 5.0


@frozen(kw_only=True)
class DebugSettings:
    """What is shown to whoever asks; off in production.

    Attributes:
        resolution_header: Every answer tells which providers served it: ``X-Pointsman-Resolution``.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    resolution_header: bool = False
