"""Turn settings into what a source brings to the catalog, every name made full.

Pure: whether the providers exist is for the catalog to say. Every mistake tells its file and line, and no value.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pointsman.declarations import Candidate, Component, check_name, component_of, parse_component
from pointsman.errors import ConfigurationError
from pointsman.manifests.contents import candidate_of
from pointsman.manifests.schema import CandidateEntry
from pointsman.resolution.contribution import Contribution, Layered, Policy, ProviderName
from pointsman.resolution.selection import Choices, Selection, Split, parse_selection
from pointsman.resolution.template import Kind, Path, check_references
from pointsman.runtime.settings_models import DOMAIN_OF
from pointsman.runtime.sources.tree import Tree, meant, placed
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.runtime.settings_models import DomainSettings, PolicySettings, TenantSettings

SECRETS: Final = Component[Any]("adapter", "secrets")
_FACTORY: Final = r"(?a)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_AT: Final = r" - at `\$\.?(?P<path>[^`]*)`$"
_UNKNOWN: Final = r"unknown field `(?P<name>[^`]*)`"
"""Compiled when they are first asked for: most services declare no candidate in settings."""

Values = Mapping[str, Any]


@frozen
class Said:
    """The sections that name components, and where each was written.

    Attributes:
        domains: Path of a section in the tree, its domain, and what it says.
    """

    tree: Tree
    domains: tuple[tuple[Path, str, DomainSettings], ...]
    tenants: Mapping[str, TenantSettings]
    components: Mapping[str, PolicySettings]


def contribution_of(said: Said, marks: Mapping[str, Candidate], known: Iterable[Candidate]) -> Contribution:
    """Return what settings bring.

    Args:
        said: The sections, their blanks unread.
        marks: Reference ``pkg.mod:Name`` to the mark of that included factory.
        known: Further candidates among which a bare provider is looked for.

    Raises:
        ConfigurationError: A name, an entry, a selection or a blank is wrong.
    """
    candidates = tuple(_candidates(said, marks))
    choices = Choices(dict(_choices(said)), dict(_tenants_choices(said)))
    keys = _keys_of_providers((*candidates, *marks.values(), *known), choices)
    return Contribution(
        candidates=candidates,
        choices=choices,
        provider_settings=Layered(_provider_settings(said, keys), _tenants_settings(said)),
        labels={tenant: entry.labels for tenant, entry in said.tenants.items()},
        policies=dict(_policies(said)),
    )


# --- candidates ---


def _candidates(said: Said, marks: Mapping[str, Candidate]) -> Iterator[Candidate]:
    for path, domain, section in said.domains:
        for number, entry in enumerate(section.candidates):
            at = (*path, "candidates", number)
            with placed(said.tree.where(at)):
                read = _entry(entry, domain)
                yield _candidate(read, marks.get(read.factory))


def _candidate(entry: CandidateEntry, mark: Candidate | None) -> Candidate:
    """Return the candidate of an image's entry: its references lead to whatever they name, as code of its own does."""
    candidate = candidate_of(entry, mark)
    return replace(
        candidate,
        factory=candidate.factory if mark else entry.factory,
        settings_model=entry.settings_model or candidate.settings_model,
    )


def _entry(entry: Values, domain: str) -> CandidateEntry:
    if entry.get("domain", domain) != domain:
        raise ConfigurationError(f"expected domain {domain}, found another.", hint="Move the entry to its own section.")
    try:
        read = msgspec.convert({**entry, "domain": domain}, CandidateEntry)
    except msgspec.ValidationError as error:
        raise _told(str(error)) from None
    if not re.fullmatch(_FACTORY, read.factory):
        raise ConfigurationError("factory: expected module:name.", hint="Write acme_rates.bank:BankRates.")
    if read.uri is not None or read.sha256 is not None:
        raise ConfigurationError("expected no artifact: artifacts are disabled.", hint="Take out uri and sha256.")
    return read


def _told(message: str) -> ConfigurationError:
    """Return msgspec's refusal without the values that it may repeat."""
    at = re.search(_AT, message)
    what = message[: at.start()] if at else message
    hint = ""
    if unknown := re.search(_UNKNOWN, message):
        what = f"{unknown['name']}: expected a candidate's field, found an unknown name"
        hint = meant(unknown["name"], CandidateEntry.__struct_fields__)
    elif what.startswith("Invalid"):
        what = "expected another value"
    return ConfigurationError(f"{at['path']}: {what}." if at and at["path"] else f"{what}.", hint=hint)


# --- selections ---


def _choices(said: Said) -> Iterator[tuple[Component[Any], Selection]]:
    for path, domain, section in said.domains:
        for key, value in section.selections.items():
            where = said.tree.where((*path, "selections", key))
            if "/" in key:
                raise ConfigurationError(
                    f"{where}: expected a key, found a full name.", hint=f"Write {key.rpartition('/')[2]}."
                )
            with placed(where):
                component = component_of(domain, key)
            yield component, parse_selection(value, where)


def _tenants_choices(said: Said) -> Iterator[tuple[str, dict[Component[Any], Selection]]]:
    for tenant, entry in said.tenants.items():
        chosen = {}
        for name, value in entry.selections.items():
            where = said.tree.where(("tenants", tenant, "selections", name))
            with placed(where):
                component = parse_component(name)
            chosen[component] = parse_selection(value, where)
        if chosen:
            yield tenant, chosen


# --- provider settings ---


def _keys_of_providers(candidates: Iterable[Candidate], choices: Choices) -> Mapping[tuple[str, str], set[str]]:
    """Return the keys that have a provider, by domain and provider."""
    keys: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for candidate in candidates:
        keys[candidate.domain, candidate.provider].add(candidate.key)
    for _, component, selection in choices:
        for provider in selection.providers if isinstance(selection, Split) else (selection,):
            keys[component.domain, provider].add(component.key)
    return keys


def _provider_settings(said: Said, keys: Mapping[tuple[str, str], set[str]]) -> dict[ProviderName, Values]:
    found: dict[ProviderName, Values] = {}
    named: dict[ProviderName, Path] = {}
    for path, domain, section in said.domains:
        paths = [(*path, "provider_settings", name) for name in section.provider_settings]
        for at in sorted(paths, key=lambda path: _rank(said.tree, path)):
            name = str(at[-1])
            where = said.tree.where(at)
            with placed(where):
                full = _full_name(domain, name, keys)
            if full in named and _rank(said.tree, named[full]) == _rank(said.tree, at):
                first = said.tree.where(named[full])
                raise ConfigurationError(f"{where}: expected each provider once, found it as {first} too.")
            named[full] = at
            found[full] = {**found.get(full, {}), **section.provider_settings[name]}
            _check_blanks(found[full], full, where)
    return found


def _rank(tree: Tree, path: Path) -> int:
    origin = tree.origin(path)
    return origin.rank if origin else 0


def _full_name(domain: str, name: str, keys: Mapping[tuple[str, str], set[str]]) -> ProviderName:
    """Return the full name of ``key/provider``, or of a bare provider that only one key has."""
    key, slash, provider = name.partition("/")
    if slash:
        check_name(key, "a component's key")
        check_name(provider, "a provider")
        return domain, key, provider
    having = sorted(keys.get((domain, name), ()))
    if len(having) == 1:
        return domain, having[0], name
    if not having:
        known = {f"{key}/{provider}" for (of, provider), some in keys.items() if of == domain for key in some}
        raise ConfigurationError("expected a provider, found a name that nobody registers.", hint=meant(name, known))
    choice = " or ".join(f"{key}/{name}" for key in having)
    raise ConfigurationError(f"expected a provider of one key, found one of {len(having)}.", hint=f"Write {choice}.")


def _tenants_settings(said: Said) -> dict[str, dict[ProviderName, Values]]:
    found: dict[str, dict[ProviderName, Values]] = {}
    for tenant, entry in said.tenants.items():
        for name, values in entry.provider_settings.items():
            where = said.tree.where(("tenants", tenant, "provider_settings", name))
            full = _three_parts(name, where)
            found.setdefault(tenant, {})[full] = values
            _check_blanks(values, full, where)
    return found


def _three_parts(name: str, where: str) -> ProviderName:
    match name.split("/"):
        case [domain, key, provider]:
            with placed(where):
                check_name(domain, "a component's domain")
                check_name(key, "a component's key")
                check_name(provider, "a provider")
            return domain, key, provider
        case _:
            raise ConfigurationError(f"{where}: expected domain/key/provider.", hint="Write adapter/cache/redis.")


def _check_blanks(values: Values, name: ProviderName, where: str) -> None:
    """Refuse malformed blanks; what opens the secrets may not stand on a secret."""
    allowed = (Kind.ENV,) if name[:2] == SECRETS else tuple(Kind)
    check_references(values, allowed=allowed, where=where)


# --- policies ---


def _policies(said: Said) -> Iterator[tuple[Component[Any], Policy]]:
    for name, entry in said.components.items():
        with placed(said.tree.where(("components", name))):
            yield parse_component(name), entry.policy()


def domains_of(domains: Mapping[str, DomainSettings], tree: Tree) -> Iterator[tuple[Path, str, DomainSettings]]:
    """Yield the user's own domains; the six of the house have sections of their own.

    Raises:
        ConfigurationError: A name is not valid, or is one of the six.
    """
    sections = {domain: section for section, domain in DOMAIN_OF.items()}
    for name, said in domains.items():
        where = tree.where(("domains", name))
        with placed(where):
            check_name(name, "a domain")
        if name in sections:
            raise ConfigurationError(
                f"{where}: the domain {name} has a section of its own.", hint=f"Write it under {sections[name]}."
            )
        yield ("domains", name), name, said
