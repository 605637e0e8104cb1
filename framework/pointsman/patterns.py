"""Regular expressions that are compiled when they are first used.

A start declares far more of them than it matches with, and compiling costs more than the module around it. What is
matched against at every start gains nothing by this. Never checks an expression when it is declared: a test does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import AnyStr, cast


def late_pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what serves as ``re.compile(text, flags)``; each of its methods, once it was used, as fast as there.

    Raises:
        re.error: When it is first used: the text is no regular expression.
    """
    return cast("re.Pattern[AnyStr]", _Late(lambda: re.compile(text, flags)))


class _Late:
    def __init__(self, compiled: Callable[[], object]) -> None:
        self._compiled = compiled

    def __getattr__(self, name: str) -> object:
        found: object = getattr(self._compiled(), name)
        setattr(self, name, found)
        return found
