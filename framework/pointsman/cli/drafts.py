"""Draft what people sign: a manifest of its source, a release of manifests; and tell two manifests apart.

Pure: what a draft follows and what time it is are arguments. Nothing here signs, reads or writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pointsman.errors import Malformed, NotFound
from pointsman.manifests.canonical import encode
from pointsman.manifests.schema import (
    MAX_APPROVED,
    SPEC_VERSION,
    Approved,
    Manifest,
    Release,
    tag_of,
)

if TYPE_CHECKING:
    from pointsman.manifests.trust import Trust

HEADING: Final = ("spec_version", "epoch", "version", "issued_at", "expires", "audience")
"""What a source may leave out, and the draft fills in."""


@dataclass(frozen=True, slots=True)
class Life:
    """From when, and for how long, a document is good."""

    issued_at: datetime
    days: float

    @property
    def expires(self) -> datetime:
        """When it ends."""
        return self.issued_at + timedelta(days=self.days)


def manifest_of(source: Mapping[str, Any], heading: Mapping[str, Any], life: Life, where: str) -> Manifest:
    """Return the manifest that a source says.

    Args:
        source: Fields of a manifest; those of `HEADING` may be left out.
        heading: Said for this one draft, before the source; None and empty count as unsaid.
        life: For where the source does not say.
        where: The source's name, for messages.

    Raises:
        Malformed: A field is missing, unknown, or not of its shape; named by its path.
    """
    said = {name: value for name, value in heading.items() if value}
    dates = {"issued_at": life.issued_at, "expires": life.expires}
    filled = {"spec_version": SPEC_VERSION, "epoch": 1, **dates, **source, **said}
    if missing := [name for name in HEADING if name not in filled]:
        raise Malformed(
            f"{where}: expected {', '.join(missing)}, found nothing.",
            hint="Write it into the source, or say it: pointsman manifest pack --help",
        )
    try:
        manifest = msgspec.convert({"type": tag_of(Manifest), **filled}, Manifest)
    except (msgspec.ValidationError, TypeError) as error:
        raise Malformed(f"{where}: {error}.", hint="Compare it with: pointsman manifest init") from error
    if manifest.spec_version != SPEC_VERSION:
        raise Malformed(f"{where}: expected spec_version {SPEC_VERSION}, found {manifest.spec_version}.")
    return manifest


def release_after(
    previous: Release | None, current: Approved, trust: Trust, life: Life, *, floor: int | None = None, root: int = 1
) -> Release:
    """Return the release that puts a manifest in force, and keeps those before it approved to fall back to.

    Args:
        previous: The release in the store; one of another epoch counts no more.
        current: The manifest that should run.
        trust: Of the publisher.
        floor: No manifest below this version may run any more; never falls.
        root: The root that replicas are to use from now on; never falls.
    """
    epoch = trust.root.epoch if trust.root is not None else 1
    if previous is not None and previous.epoch != epoch:
        previous = None
    lowest = max(floor or 0, previous.floor if previous else 0)
    kept = [
        entry
        for entry in (previous.approved if previous else ())
        if entry.version != current.version and entry.version >= lowest
    ]
    kept.sort(key=lambda entry: (entry.digest != (previous.current if previous else ""), -entry.version))
    return Release(
        spec_version=SPEC_VERSION,
        epoch=epoch,
        version=previous.version + 1 if previous else 1,
        issued_at=life.issued_at,
        expires=life.expires,
        audience=trust.audience,
        floor=lowest,
        current=current.digest,
        approved=(current, *kept[: MAX_APPROVED - 1]),
        root=max(root, previous.root if previous else 1),
        min_control_seq=previous.min_control_seq if previous else 0,
    )


def approved_as(release: Release, name: str) -> Approved:
    """Return the approved manifest that a version, or the beginning of a digest, names.

    Raises:
        NotFound: None or more than one is named so.
    """
    found = [
        entry
        for entry in release.approved
        if (name.isdecimal() and entry.version == int(name)) or (len(name) >= 6 and entry.digest.startswith(name))
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{entry.version} ({entry.digest[:12]})" for entry in release.approved)
    raise NotFound(
        f"Expected one approved manifest named {name!r}, found {len(found)}.",
        hint=f"Approved by release {release.version}: {known}.",
    )


def differences(old: Manifest, new: Manifest, ignored: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return what changed from one manifest to another: ``{"path", "before", "after"}``, by path.

    A candidate is known by its name, not by its place in the list. ``ignored`` paths are left out.
    """
    before, after = _flat(old), _flat(new)
    return [
        {"path": path, "before": before.get(path), "after": after.get(path)}
        for path in dict.fromkeys((*before, *after))
        if path not in ignored and before.get(path) != after.get(path)
    ]


def _flat(manifest: Manifest) -> dict[str, Any]:
    tree: dict[str, Any] = msgspec.json.decode(encode(manifest))
    entries = tree.pop("candidates", [])
    tree["candidates"] = {f"{entry['domain']}/{entry['key']}={entry['provider']}": entry for entry in entries}
    return dict(_leaves(tree, ""))


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else key)]
    return [(path, value)] if path and value != {} else []
