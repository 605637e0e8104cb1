"""Which code a manifest may name: patterns that the image grants, and the fields in which code is named.

Nothing is imported. An admitted text is handed on as a `GatedReference`, so that whoever loads it later, loads it
under the stricter rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from pointsman.errors import ConfigurationError
from pointsman.resolution.reference import GatedReference, is_gated_form
from pointsman.resolution.template import Path, map_text, walk

SHIPPED: Final = "pointsman.adapters.**:*"
"""The adapters that come with the package."""
REFERENCE_FIELDS: Final = frozenset(
    {"callable", "factory", "function", "handler", "hook", "payload_model", "result_model", "settings_model", "task"}
)
"""Fields of DAGs, workflows, events, tasks and metadata that may name code; everything under ``hooks`` does, too."""

_WORD = "[A-Za-z][A-Za-z0-9_]*"
_PATTERN = re.compile(rf"(?P<module>{_WORD}(?:\.{_WORD})*)(?P<below>\.\*\*)?:(?P<name>\*|{_WORD})", re.ASCII)


class FactoryPattern(msgspec.Struct, frozen=True):
    """One grant: ``pkg.mod:Name``, ``pkg.mod:*``, or ``pkg.**:*`` for every module below ``pkg``."""

    module: str
    name: str
    below: bool = False

    def covers(self, reference: str) -> bool:
        """Tell whether a reference of the gated form is granted."""
        module, _, name = reference.partition(":")
        here = module.startswith(f"{self.module}.") if self.below else module == self.module
        return here and self.name in {"*", name}


def parse_factory_pattern(text: str) -> FactoryPattern:
    """Return the grant that settings write.

    Raises:
        ConfigurationError: It is of none of the three forms.
    """
    found = _PATTERN.fullmatch(text)
    if found is None or (found["below"] and found["name"] != "*"):
        raise ConfigurationError(
            f"Expected a factory pattern, found {text!r}.", hint="Write pkg.mod:Name, pkg.mod:* or pkg.**:*."
        )
    return FactoryPattern(found["module"], found["name"], below=bool(found["below"]))


def is_granted(reference: str, patterns: Collection[FactoryPattern]) -> bool:
    """Tell whether a text is of the gated form and covered by a grant."""
    return is_gated_form(reference) and any(pattern.covers(reference) for pattern in patterns)


def named_references(value: object) -> Iterator[str]:
    """Yield every text of a free-form section that names code."""
    return (text for path, text in walk(value) if _names_code(path, text))


def gated(value: object) -> object:
    """Return a free-form section in which every text that names code is a `GatedReference`."""
    return map_text(value, lambda text, path: GatedReference(text) if _names_code(path, text) else text)


def _names_code(path: Path, text: str) -> bool:
    fields = [part for part in path if isinstance(part, str)]
    return ":" in text and bool(fields) and (fields[-1] in REFERENCE_FIELDS or "hooks" in fields)
