"""What a manifest brings to the catalog, in the shape in which settings bring theirs.

Pure. No factory is imported: what an entry leaves out, the mark of an included factory of the same reference says.
Whether a selection names a provider that somebody registers is for the catalog to say, since others register too.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from pointsman.declarations import Candidate, Constraints, parse_component
from pointsman.errors import ConfigurationError, Malformed
from pointsman.manifests.entries import Entries
from pointsman.manifests.factories import gated
from pointsman.manifests.packed import packed
from pointsman.manifests.roll import by_tenant
from pointsman.manifests.schema import CandidateEntry, Capability, Manifest, PolicyEntry
from pointsman.resolution.contribution import Contribution, Layered, Policy, ProviderValues
from pointsman.resolution.reference import GatedReference
from pointsman.resolution.selection import Choices, Selections, parse_selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from pointsman.manifests.schema import Choice, TenantEntry, Values

T = TypeVar("T")

PLATFORMS: Final[Mapping[str, str]] = MappingProxyType({"windows": "win32", "macos": "darwin"})
"""What manifests may call a platform, to what ``sys.platform`` calls it."""
KEPT: Final = (
    "dag", "documentation_url", "event_fanout_policy", "event_filters", "event_max_concurrency", "event_priority",
    "event_topics", "license", "requires_secrets", "retry_policy", "side_effect_free", "timeout_seconds",
)  # fmt: skip
"""Fields that say how the work is done; a candidate carries them in its metadata under the same names."""


def contribution_of(manifest: Manifest, marks: Mapping[str, Candidate]) -> Contribution:
    """Return everything that a manifest brings.

    Args:
        manifest: Verified and admitted.
        marks: What the image says of its own factories, by their references ``pkg.mod:Name``: those that `provides`
            marked, and the shipped ones.

    Raises:
        Malformed: A candidate is there twice, a requirement cannot be read, or a split's weights exceed 10 000.
    """
    with _as_malformed():
        return Contribution(
            candidates=_candidates(manifest, marks),
            choices=Choices(_selections(manifest.selections, "selections"), _tenants_selections(manifest)),
            provider_settings=Layered(
                _provider_values(manifest.provider_settings),
                by_tenant(manifest.tenants, lambda _, entry: _provider_values(entry.provider_settings) or None),
            ),
            labels=_labels(manifest),
            policies={parse_component(name): _policy(entry) for name, entry in manifest.components.items()},
        )


def candidate_of(entry: CandidateEntry, mark: Candidate | None = None) -> Candidate:
    """Return the candidate that an entry registers.

    Args:
        entry: As a manifest, or a settings file, writes it.
        mark: What the image says of the same factory; it speaks for every field that the entry leaves out, and its
            metadata stand against the entry's.

    Raises:
        ConfigurationError: A name is not valid, or a requirement cannot be read.
    """
    return Candidate(
        entry.domain,
        entry.key,
        entry.provider,
        mark.factory if mark else GatedReference(entry.factory),
        priority=_said(entry.priority, mark.priority if mark else None),
        stack_level=_said(entry.stack_level, mark.stack_level if mark else 0),
        lifetime=_said(entry.lifetime, mark.lifetime if mark else "shared"),
        capabilities=_names(entry.capabilities) or (mark.capabilities if mark else ()),
        constraints=_constraints(entry, mark.constraints if mark else Constraints()),
        settings_model=_model(entry, mark),
        health=mark.health if mark else None,
        description=_said(entry.description, mark.description if mark else ""),
        version=_said(entry.version, mark.version if mark else ""),
        owner=_said(entry.owner, mark.owner if mark else ""),
        metadata={**_gated(entry.metadata), **(mark.metadata if mark else {}), **_kept(entry)},
    )


def _candidates(manifest: Manifest, marks: Mapping[str, Candidate]) -> Entries:
    candidates = packed(manifest.candidates)
    judged: set[tuple[str | None, tuple[str, ...], tuple[str, ...]]] = set()
    for entry in candidates.whole:
        demands = entry.python_version, entry.requires, entry.conflicts_with
        if demands not in judged:
            _check_specifiers(entry)
            judged.add(demands)
    return Entries(candidates, marks, candidate_of)


def _said(value: T | None, default: T) -> T:
    """Return what the entry says; 0 and the empty text are something said."""
    return default if value is None else value


def _model(entry: CandidateEntry, mark: Candidate | None) -> type[BaseModel] | str | None:
    if entry.settings_model:
        return GatedReference(entry.settings_model)
    return mark.settings_model if mark else None


def _names(capabilities: tuple[str | Capability, ...]) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else one.name for one in capabilities)


def _constraints(entry: CandidateEntry, marked: Constraints) -> Constraints:
    _check_specifiers(entry)
    return Constraints(
        python=entry.python_version or marked.python,
        platforms=tuple(PLATFORMS.get(name.lower(), name) for name in entry.os_platform or ()) or marked.platforms,
        packages=entry.requires or marked.packages,
        conflicts=entry.conflicts_with or marked.conflicts,
        tenants=entry.tenants or marked.tenants,
        not_tenants=entry.not_tenants or marked.not_tenants,
    )


def _check_specifiers(entry: CandidateEntry) -> None:
    """Refuse now what could only be found wrong when a request weighs the candidate."""
    if not (entry.python_version or entry.requires or entry.conflicts_with):
        return
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    where = f"candidates.{entry.domain}/{entry.key}={entry.provider}"
    try:
        SpecifierSet(entry.python_version or "")
        plain = [Requirement(text) for text in (*entry.requires, *entry.conflicts_with)]
    except (InvalidSpecifier, InvalidRequirement) as error:
        raise ConfigurationError(
            f"{where}: expected version specifiers and requirements: {error}.", hint="Write >=3.12, or redis>=5."
        ) from error
    if any(one.url or one.marker for one in plain):
        raise ConfigurationError(f"{where}: expected requirements of a name and versions, found more.")


def _kept(entry: CandidateEntry) -> dict[str, Any]:
    values = {name: getattr(entry, name) for name in KEPT}
    kept = {name: value for name, value in values.items() if value is not None and value is not False and value != ()}
    described = {one.name: msgspec.to_builtins(one) for one in entry.capabilities if not isinstance(one, str)}
    return _gated({**kept, "capabilities": described} if described else kept)


def _gated(values: Values) -> Values:
    return cast("Values", gated(values))


def _selections(choices: Mapping[str, Choice], where: str) -> Selections:
    return {
        parse_component(name): parse_selection(msgspec.to_builtins(choice), f"{where}.{name}")
        for name, choice in choices.items()
    }


def _tenants_selections(manifest: Manifest) -> Mapping[str, Selections]:
    """Return each tenant's own; tenants that select the same share one mapping, and mappings share their words."""
    known: dict[bytes, Selections] = {}
    words: dict[Any, Any] = {}

    def made(tenant: str, entry: TenantEntry) -> Selections | None:
        said = msgspec.json.encode(entry.selections)  # as short as a key can be: there may be many
        if entry.selections and said not in known:
            found = _selections(entry.selections, f"tenants.{tenant}.selections").items()
            known[said] = {words.setdefault(one, one): words.setdefault(value, value) for one, value in found}
        return known.get(said)

    return by_tenant(manifest.tenants, made)


def _labels(manifest: Manifest) -> Mapping[str, Mapping[str, str]]:
    """Return every tenant's labels; tenants with the same share one mapping."""
    known: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    return by_tenant(
        manifest.tenants, lambda _, entry: known.setdefault(tuple(entry.labels.items()), dict(entry.labels))
    )


def _provider_values(settings: Mapping[str, Values]) -> ProviderValues:
    found = {}
    for name, values in settings.items():
        domain, key, provider = name.split("/")
        found[domain, key, provider] = values
    return found


def _policy(entry: PolicyEntry) -> Policy:
    return Policy(**{name: getattr(entry, name) for name in entry.__struct_fields__})


@contextmanager
def _as_malformed() -> Iterator[None]:
    """A word that no settings file may use is a manifest's fault where a manifest uses it."""
    try:
        yield
    except ConfigurationError as error:
        raise Malformed(f"manifest: {error.message}", hint=error.hint) from error
