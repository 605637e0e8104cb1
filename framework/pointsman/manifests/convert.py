"""Read a manifest of the predecessor, YAML or JSON, and write it in our words.

Its signature is dropped: it covers other bytes, and one key signing twice met its threshold. What it cannot know
(version, epoch, life, audience) the caller says. Nothing is admitted here: a converted manifest still has to pass the
gate.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import yaml

from pointsman.errors import Malformed
from pointsman.manifests.schema import SPEC_VERSION, CandidateEntry, Manifest, Values

if TYPE_CHECKING:
    from pointsman.manifests.drafts import Heading

TEXTS: Final = frozenset({"description", "documentation_url", "license", "owner", "python_version", "version"})
"""Fields that YAML may have read as numbers."""
T = TypeVar("T")

_BARE_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*")


class _Old(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The predecessor's top level; all but the entries is dropped."""

    entries: tuple[Values, ...] = ()
    source: str = ""
    signature: str | None = None
    signature_algorithm: str | None = None


def convert_manifest(text: str, heading: Heading) -> Manifest:
    """Return the manifest that one of the predecessor's says, under our heading: what the predecessor's does not say.

    Raises:
        Malformed: It is neither YAML nor JSON, an entry has a field that the predecessor did not have, or a value is
            not of its shape; names the entry and the field.
    """
    old = _shaped(_parsed(text), _Old, "manifest")
    return Manifest(
        spec_version=SPEC_VERSION,
        epoch=heading.epoch,
        version=heading.version,
        issued_at=heading.issued_at,
        expires=heading.expires,
        audience=heading.audience,
        candidates=tuple(_entry(entry, f"entries[{index}]") for index, entry in enumerate(old.entries)),
    )


def _parsed(text: str) -> object:
    try:
        try:
            return json.loads(text)
        except ValueError:
            return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise Malformed(f"Expected a manifest in YAML or JSON: {error}.") from error


def _entry(values: Values, where: str) -> CandidateEntry:
    entry = {name: value for name, value in values.items() if value is not None}
    for name in TEXTS & entry.keys():
        if isinstance(entry[name], int | float):
            entry[name] = str(entry[name])
    if isinstance(entry.get("os_platform"), str):
        entry["os_platform"] = [entry["os_platform"]]
    if _BARE_VERSION.fullmatch(str(entry.get("python_version", ""))):
        entry["python_version"] = f">={entry['python_version']}"
    return _shaped(entry, CandidateEntry, where)


def _shaped(value: object, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError) as error:
        raise Malformed(f"{where}: {error}.", hint="Mend the entry, or take the field out.") from error
