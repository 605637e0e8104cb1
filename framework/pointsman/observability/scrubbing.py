"""Take resolved secrets out of every text that leaves the process.

Remembers secrets for nothing else. Bounded: of very many the oldest are forgotten, and what is shorter than
`MIN_LENGTH` characters is not remembered, since it would be found in any text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Final
from urllib.parse import quote, quote_plus

MIN_LENGTH: Final = 4
MIN_LINE_LENGTH: Final = 16
MAX_SECRETS: Final = 4096
REPLACEMENT: Final = "[secret]"


class Scrubber:
    """The secrets that were resolved so far. May be used from any thread."""

    def __init__(self, max_secrets: int = MAX_SECRETS) -> None:
        self._max_secrets = max_secrets
        self._secrets: dict[str, None] = {}
        self._forms: tuple[str, ...] = ()
        self._lock = Lock()

    def remember(self, value: str) -> None:
        """Scrub this value from now on: as it is, line by line, and as URLs, JSON and ``repr`` write it."""
        if len(value) < MIN_LENGTH:
            return
        with self._lock:
            self._secrets.pop(value, None)
            self._secrets[value] = None
            if len(self._secrets) > self._max_secrets:
                del self._secrets[next(iter(self._secrets))]
            forms = {form for secret in self._secrets for form in _forms(secret)}
            self._forms = tuple(sorted(forms, key=len, reverse=True))

    def scrub(self, text: str) -> str:
        """Return the text with every remembered secret replaced, longer ones first."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, REPLACEMENT)
        return text

    def scrub_value(self, value: object) -> object:
        """Return a value of a log line with every text in it scrubbed; what is no plain value becomes text."""
        if isinstance(value, str):
            return self.scrub(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.scrub(str(key)): self.scrub_value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.scrub_value(inner) for inner in value]
        return self.scrub(str(value))


def _forms(secret: str) -> Iterator[str]:
    """Yield the texts in which a secret may appear."""
    yield secret
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield from (line for line in secret.splitlines() if len(line) >= MIN_LINE_LENGTH)
