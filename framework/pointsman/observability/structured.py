"""structlog, loaded without Rich.

structlog's console looks for Rich when it is imported, and loading that takes longer than all else of logging
together; our console and our tracebacks do not use it. Where somebody has loaded Rich before, nothing is hidden.
"""

from __future__ import annotations

from pointsman.unopened import without

with without("rich"):
    import structlog

__all__ = ["structlog"]
