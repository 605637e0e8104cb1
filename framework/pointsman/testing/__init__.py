"""FOR USERS' TESTS: replace a component, serve an application in memory."""

from pointsman.testing.replacing import override
from pointsman.testing.serving import serving

__all__ = ["override", "serving"]
