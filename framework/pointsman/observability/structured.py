"""structlog, loaded without Rich.

structlog's console looks for Rich when it is imported, and loading that takes longer than all else of logging
together; our console and our tracebacks do not use it. Where somebody has loaded Rich before, nothing is hidden.
"""

from __future__ import annotations

import sys

_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment] # how Python says that a module cannot be imported
try:
    import structlog
finally:
    if _hidden:
        del sys.modules["rich"]

__all__ = ["structlog"]
