"""The section `control` of the settings: where the fleet agrees, and how old what it agreed on may be."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from pointsman.control.pacing import Limits


class ControlSettings(BaseModel):
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

    model_config = ConfigDict(extra="forbid", frozen=True)
    renders_blanks: ClassVar[bool] = True

    store: str = ""
    releases: str = ""
    key: SecretStr | None = None
    key_file: Path | None = None
    soft_limit_s: float = Field(default=10.0, ge=1, le=3600)
    hard_limit_s: float = Field(default=60.0, ge=2, le=86_400)
    release_interval_s: float = Field(default=60.0, ge=5, le=86_400)
    bake_s: float = Field(default=60.0, ge=0, le=604_800)
    image_manifest: Path = Path("settings/manifest.dsse.json")

    @model_validator(mode="after")
    def _check(self) -> ControlSettings:
        if self.hard_limit_s <= self.soft_limit_s:
            raise ValueError("hard_limit_s must be above soft_limit_s")
        if self.key is not None and self.key_file is not None:
            raise ValueError("say key or key_file, not both")
        return self

    def limits(self) -> Limits:
        """Return the ages as the refresher takes them."""
        return Limits(self.soft_limit_s, self.hard_limit_s, self.release_interval_s)
