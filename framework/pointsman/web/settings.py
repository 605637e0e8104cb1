"""The sections ``web`` and ``debug`` of the settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class WebSettings(BaseModel):
    """What the HTTP surface takes.

    Attributes:
        max_body_bytes: The cap of a body that a handler is given as a model.
        startup_wait_s: How long the server's start waits until there is a catalog; then probes are served, routes 503.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_body_bytes: int = Field(default=1_048_576, ge=1)
    startup_wait_s: float = Field(default=5.0, ge=0, le=240, allow_inf_nan=False)


class DebugSettings(BaseModel):
    """What is shown to whoever asks; off in production.

    Attributes:
        resolution_header: Every answer tells which providers served it: ``X-Pointsman-Resolution``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    resolution_header: bool = False
