"""Read the query of an operator's request, strictly: a misspelt ``dry_run`` must not become the real thing.

What is unknown, comes twice, or is no value of its kind is an error that names it; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

from pointsman.errors import InputError

MAX_FIELDS: Final = 64
_FLAGS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Query:
    """The query of one request.

    Args:
        raw: As ASGI gives it.
        known: The names that this route takes.
        many: Those of them that may come more than once.

    Raises:
        InputError: A name is unknown, or comes twice; all of them are told.
    """

    def __init__(self, raw: bytes, known: Collection[str], many: Collection[str] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except ValueError as error:
            raise InputError(f"Expected at most {MAX_FIELDS} query parameters.") from error
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)
        faults = [(name, "unknown", f"expected one of {', '.join(known) or 'none'}") for name in self._unknown(known)]
        faults += [(name, "twice", "expected it once") for name in self._twice(many)]
        if faults:
            raise _wrong(*faults)

    def text(self, name: str) -> str | None:
        """Return a value, or ``None``."""
        return next(iter(self._values.get(name, ())), None)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values; commas part them, too."""
        return tuple(part for text in self._values.get(name, ()) for part in text.split(",") if part)

    def flag(self, name: str) -> bool:
        """Return whether it is said to be so.

        Raises:
            InputError: It is neither true nor false.
        """
        text = self.text(name)
        if text is None:
            return False
        if text.lower() not in _FLAGS:
            raise _wrong((name, "invalid", "expected true or false"))
        return _FLAGS[text.lower()]

    def number(self, name: str, unsaid: int, most: int) -> int:
        """Return a number from 1 to ``most``.

        Raises:
            InputError: It is none.
        """
        text = self.text(name)
        if text is None:
            return unsaid
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most):
            raise _wrong((name, "invalid", f"expected 1 to {most}"))
        return int(text)

    def _unknown(self, known: Collection[str]) -> list[str]:
        return [name for name in self._values if name not in known]

    def _twice(self, many: Collection[str]) -> list[str]:
        return [name for name, values in self._values.items() if len(values) > 1 and name not in many]


def _wrong(*faults: tuple[str, str, str]) -> InputError:
    return InputError(
        " ".join(f"{name[:64]!a}: {detail}." for name, _, detail in faults),
        errors=tuple(
            {"in": "query", "name": name[:64], "detail": detail, "code": code} for name, code, detail in faults
        ),
    )
