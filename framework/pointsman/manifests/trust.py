"""What one replica believes, and what time it takes it to be.

There is no trust by default: without a root nothing is read, but for unsigned documents in development, and there is
no development on Cloud Run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointsman.errors import ConfigurationError, NotYetValid
from pointsman.manifests.limits import DEFAULT_LIMITS, Limits
from pointsman.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pointsman.manifests.root import TrustRoot
    from pointsman.manifests.schema import Audience

DEVELOPMENT: Final = "development"
ON_CLOUD_RUN: Final = "K_SERVICE"


@frozen
class Trust:
    """What documents are judged by; made by `establish_trust`, renewed with a rotated root.

    Attributes:
        root: None only where ``unsigned`` is true.
        audience: This replica's own service and environment.
        unsigned: Documents without an envelope are read; say so in every log line.
    """

    root: TrustRoot | None
    audience: Audience
    limits: Limits = DEFAULT_LIMITS
    unsigned: bool = False

    def require_root(self) -> TrustRoot:
        """Return the root.

        Raises:
            ConfigurationError: There is none, and something signed was found.
        """
        if self.root is None:
            raise ConfigurationError(
                "A signed document was found, and no trust root is configured to judge it.",
                hint="Set trust.root, or make a root: pointsman keys root",
            )
        return self.root

    def now(self, wall: datetime) -> datetime:
        """Return the time by which documents are judged: never before the image's root was issued.

        Raises:
            NotYetValid: The clock is further behind that than the tolerated skew.
        """
        if self.root is None:
            return wall
        if wall < self.root.anchor - self.limits.skew:
            raise NotYetValid(f"The clock says {wall}, and the image's root was issued at {self.root.anchor}.")
        return max(wall, self.root.anchor)


def establish_trust(
    root: TrustRoot | None, audience: Audience, environ: Mapping[str, str], limits: Limits = DEFAULT_LIMITS
) -> Trust:
    """Return what this replica believes.

    Args:
        root: From the image, rotated as far as it goes.
        audience: ``service`` and ``environment`` of the settings.
        environ: The process's environment variables.
        limits: From the settings.

    Raises:
        ConfigurationError: There is no root outside of development, the root is for another audience, or
            ``environment: development`` was found on Cloud Run.
    """
    development = audience.environment == DEVELOPMENT
    if development and ON_CLOUD_RUN in environ:
        raise ConfigurationError(
            f"environment: {DEVELOPMENT} accepts unsigned manifests, and is refused where {ON_CLOUD_RUN} is set.",
            hint="Set environment to production, or to whatever the audience of your manifests says.",
        )
    if root is None and not development:
        raise ConfigurationError(
            f"Expected a trust root in environment {audience.environment!r}, found none.",
            hint="Make one with `pointsman keys root`, and set trust.root to its file.",
        )
    if root is not None and root.audience != audience:
        raise ConfigurationError(f"Expected a trust root for {audience}, found one for {root.audience}.")
    return Trust(root, audience, limits, unsigned=development)
