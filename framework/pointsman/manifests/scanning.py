"""What the bytes of JSON tell before anybody reads them: how deep they nest, how long their numbers are.

Linear in the length of what nobody has verified yet, and never recursive.
"""

from __future__ import annotations

import re
from typing import Final

from pointsman.errors import Malformed
from pointsman.patterns import late_pattern

MAX_DEPTH: Final = 64
"""Levels of arrays and objects; a head with its deepest order has nine."""

_STRINGS = late_pattern(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # linear: it cannot fail once it has begun
_NOT_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")
_LONG_NUMBER = late_pattern(rb"[0-9]{16}")
_LONG = b"0" * 16
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


def check_depth(data: bytes, what: str) -> None:
    """Refuse deep nesting before any reader recurses; a raised recursion limit would let one overflow the C stack.

    Two quotes that follow each other, once all but quotes and brackets is gone, are a string without brackets, or an
    end and a beginning with nothing between: either way all that is left stays within, or without, a string.

    Raises:
        Malformed: It nests deeper than 64 levels, or a bracket is not closed.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return  # whether they are closed, the reader sees
    if b"\\" in data:
        data = _STRINGS.sub(b"", data)
    marks = data.translate(None, _NOT_MARKS).replace(b'""', b"")
    brackets = (_STRINGS.sub(b"", marks) if b'"' in marks else marks).translate(_AS_ARRAYS)
    for _ in range(MAX_DEPTH):
        inner_gone = brackets.replace(b"[]", b"")
        if len(inner_gone) == len(brackets):
            break
        brackets = inner_gone
    if brackets:
        raise Malformed(f"{what}: expected at most {MAX_DEPTH} levels of nesting, each of them closed.")


def has_long_number(data: bytes) -> bool:
    """Tell whether 16 digits stand in a row outside of strings; first whether they do anywhere, which is cheap."""
    return _LONG in data.translate(_DIGITS) and _LONG_NUMBER.search(_STRINGS.sub(b"", data)) is not None
