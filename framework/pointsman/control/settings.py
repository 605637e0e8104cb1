"""The section `control` of the settings: where the fleet agrees, and how old what it agreed on may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, ClassVar

from pointsman.control.pacing import Limits
from pointsman.rules import FORBID, Bounds
from pointsman.values import frozen


@frozen(kw_only=True)
class ControlSettings:
    """Where the head and the releases lie, and the ages that matter.

    Attributes:
        store: URL of the store that holds ``head`` and ``ops/``; empty: this replica has no fleet.
        releases: URL of the store that holds ``release``, ``manifests/`` and ``roots/``; empty: the same.
        key: The control key's text, or ``${env:NAME}`` or ``${secret:NAME}``; without a key this replica only reads.
        key_file: A file that holds it, instead.
        soft_limit_s: Older than this the head is read again.
        hard_limit_s: Older than this the replica is stale.
        release_interval_s: How often the publisher's release is looked at.
        bake_s: How long a manifest has to go well before it counts as good.
        image_manifest: The manifest that came with the image; one that is not there is none.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID
    renders_blanks: ClassVar[bool] = True

    store: str = ""
    releases: str = ""
    key: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    soft_limit_s: Annotated[float, Bounds(ge=1, le=3600)] = 10.0
    hard_limit_s: Annotated[float, Bounds(ge=2, le=86_400)] = 60.0
    release_interval_s: Annotated[float, Bounds(ge=5, le=86_400)] = 60.0
    bake_s: Annotated[float, Bounds(ge=0, le=604_800)] = 60.0
    image_manifest: Path = Path("settings/manifest.dsse.json")

    def __post_init__(self) -> None:
        if self.hard_limit_s <= self.soft_limit_s:
            raise ValueError("hard_limit_s must be above soft_limit_s")
        if self.key is not None and self.key_file is not None:
            raise ValueError("say key or key_file, not both")

    def limits(self) -> Limits:
        """Return the ages as the refresher takes them."""
        return Limits(self.soft_limit_s, self.hard_limit_s, self.release_interval_s)
