"""What a manifest may not do, however well it is signed.

A manifest chooses among what the image offers. It names no code outside of what the image grants, leads no provider
to a place that was not granted, takes no secret that was not granted, and does not speak of who is believed. Nothing
here is imported or resolved: an admitted reference is looked at again when it is loaded (`resolution.reference`), an
admitted host when its name is resolved (`manifests.lookup`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from pointsman.errors import (
    ArtifactsDisabled,
    ComponentForbidden,
    ConfigurationError,
    DestinationForbidden,
    FactoryForbidden,
    Malformed,
    SecretForbidden,
)
from pointsman.manifests.canonical import encode_all
from pointsman.manifests.factories import SHIPPED, FactoryPattern, is_granted, named_references, parse_factory_pattern
from pointsman.manifests.packed import OPENS, Packed
from pointsman.manifests.schema import CandidateEntry, Manifest, Values
from pointsman.resolution.contribution import Layered
from pointsman.resolution.listing import distinct_of
from pointsman.resolution.template import Kind, Path, parse_template, walk
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.manifests.destinations import Destination, Pattern

IMAGE_ONLY: Final = frozenset({"adapter/secrets", "adapter/identity"})
"""Components that say where secrets come from and who is believed: no manifest registers, selects or sets them."""

_IMAGE_KEYS: Final = frozenset(component.partition("/")[2] for component in IMAGE_ONLY)

_BLANK = re.compile(r"\$\{\s*(?:env|secret)\b", re.IGNORECASE)
MAX_KNOWN: Final = 10_000
"""Factories that are remembered as granted while a manifest is looked at."""
_NO_IMAGE: Final = Layered()

Patterns: TypeAlias = tuple["Pattern", ...]


@frozen
class Gate:
    """What this image lets a manifest do; by default the shipped adapters, and nothing outside of the process.

    Attributes:
        factories: Code that may be named.
        destinations: Places that settings may name; none of them private, whatever a wildcard covers.
        private_destinations: Loopback, link-local, private and metadata addresses and names that may be named.
        secrets: Full provider name to the secrets it may be handed: ``NAME`` for any field, or ``field=NAME``.
        secret_destinations: Full provider name to places that may see its secrets although the manifest names them.
    """

    factories: tuple[FactoryPattern, ...] = (parse_factory_pattern(SHIPPED),)
    destinations: Patterns = ()
    private_destinations: Patterns = ()
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    secret_destinations: Mapping[str, Patterns] = field(default_factory=dict)

    def check_place(self, destination: Destination, where: str) -> None:
        """Refuse a destination that was not granted.

        Raises:
            DestinationForbidden: It was not; a private one needs a grant of its own.
        """
        from pointsman.manifests.destinations import is_granted

        granted, name = (
            (self.private_destinations, "trust.private_destinations")
            if destination.private
            else (self.destinations, "trust.destinations")
        )
        if not is_granted(destination, granted):
            raise DestinationForbidden(
                f"{where}: expected a destination of {name}, found {destination}.",
                hint=f"Add it to {name} in the image's settings, if the manifest may lead there.",
            )


def admit(manifest: Manifest, gate: Gate, image: Layered = _NO_IMAGE) -> None:
    """Refuse a manifest that reaches for more than the image grants.

    Args:
        manifest: Verified.
        gate: The image's grants.
        image: The provider settings of the image, in which its secrets stand as ``${secret:}`` and ``${env:}``.

    Raises:
        ArtifactsDisabled: A candidate carries an artifact.
        ComponentForbidden: It speaks of a component that only the image decides.
        FactoryForbidden: It names code that was not granted.
        SecretForbidden: It reads the environment, or a secret that was not granted.
        DestinationForbidden: A setting leads somewhere that was not granted, or would take a secret there.
        Malformed: A ``${`` opens no blank that there is.
    """
    for entry in _whole(manifest):
        if entry.uri is not None or entry.sha256 is not None:
            raise ArtifactsDisabled(f"{_name(entry)}: expected no artifact, found uri or sha256.")
    _check_components(manifest)
    _check_factories(manifest, gate)
    _check_blanks(manifest)
    said = list(provider_values(manifest))
    if said:
        from pointsman.manifests.disclosure import check_disclosure  # most manifests leave settings to the image

        for where, provider, values in said:
            _check_values(where, provider, values, gate)
        check_disclosure(manifest, image, gate.secret_destinations)


def provider_values(manifest: Manifest) -> Iterator[tuple[str, str, Values]]:
    """Yield ``(place for messages, full provider name, settings)``: for everyone first, then tenant by tenant.

    Of tenants who share an entry one speaks for all.
    """
    for provider, values in manifest.provider_settings.items():
        yield f"provider_settings.{provider}", provider, values
    for tenant, entry in distinct_of(manifest.tenants):
        for provider, values in entry.provider_settings.items():
            yield f"tenants.{tenant}.provider_settings.{provider}", provider, values


def _check_components(manifest: Manifest) -> None:
    for component, where in _spoken_of(manifest):
        if component in IMAGE_ONLY:
            raise ComponentForbidden(
                f"{where}: expected nothing about {component} in a manifest: only the image decides about it.",
                hint=f"Say it in the image's settings instead of the manifest: {component}.",
            )


def _spoken_of(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield every component that a manifest says something about, and where."""
    yield from ((component, "candidates") for component in _image_components(manifest.candidates))
    for component in manifest.selections:
        yield component, "selections"
    for component in manifest.components:
        yield component, "components"
    for tenant, of_tenant in distinct_of(manifest.tenants):
        for component in of_tenant.selections:
            yield component, f"tenants.{tenant}.selections"
    for where, provider, _ in provider_values(manifest):
        yield provider.rpartition("/")[0], where


def _check_factories(manifest: Manifest, gate: Gate) -> None:
    granted = _all_granted(_factories(manifest.candidates), gate)
    references = _named(manifest) if granted else _references(manifest)
    for where, reference in references:
        if not is_granted(reference, gate.factories):
            raise FactoryForbidden(
                f"{where}: expected code that trust.factories grants, found {reference[:120]!a}.",
                hint="Add pkg.mod:Name, pkg.mod:* or pkg.**:* to trust.factories in the image's settings.",
            )


def _all_granted(factories: Iterable[str], gate: Gate) -> bool:
    known: set[str] = set()
    for factory in factories:
        if factory not in known:
            if not is_granted(factory, gate.factories):
                return False
            if len(known) < MAX_KNOWN:
                known.add(factory)
    return True


def _named(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield where code is named, and how, but for the factories."""
    for entry in _whole(manifest):
        yield from _named_by(entry)
    for where in ("workflows", "events", "tasks"):
        yield from ((where, reference) for reference in named_references(getattr(manifest, where)))


def _references(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield where code is named, and how, entry by entry."""
    for entry in manifest.candidates:
        yield _name(entry), entry.factory
        yield from _named_by(entry)


def _named_by(entry: CandidateEntry) -> Iterator[tuple[str, str]]:
    if entry.settings_model is not None:
        yield f"{_name(entry)}: settings_model", entry.settings_model
    for section in (entry.dag, entry.metadata, entry.retry_policy):
        if section:
            yield from ((_name(entry), reference) for reference in named_references(section))


def _whole(manifest: Manifest) -> Sequence[CandidateEntry]:
    """Return the entries that may say more than who they are and how they rank."""
    listed = manifest.candidates
    return listed.whole if isinstance(listed, Packed) else listed


def _image_components(listed: Sequence[CandidateEntry]) -> Iterable[str]:
    """Yield the components whose keys are those of the image's own."""
    if isinstance(listed, Packed):
        domains = listed.entries.domains.items()
        return (f"{domain}/{key}" for domain, keys in domains for key in _IMAGE_KEYS if key in keys)
    return (f"{entry.domain}/{entry.key}" for entry in listed if entry.key in _IMAGE_KEYS)


def _factories(listed: Sequence[CandidateEntry]) -> Iterable[str]:
    return listed.factories() if isinstance(listed, Packed) else {entry.factory for entry in listed}


def _check_blanks(manifest: Manifest) -> None:
    """Refuse blanks where nothing is filled in: outside of provider settings, and in every key."""
    settings_keys = [key for _, _, values in provider_values(manifest) for key in keys_in(values)]
    for text in (*_plain_texts(manifest), *settings_keys):
        if _BLANK.search(text):
            raise SecretForbidden(
                f"Expected ${{env:}} nowhere in a manifest, and ${{secret:}} in provider settings only, "
                f"found {text[:80]!a}."
            )


def _plain_texts(manifest: Manifest) -> Iterator[str]:
    """Yield every text and key outside of provider settings, without the candidates that have no blank at all."""
    for suspects in _suspects(manifest.candidates):
        yield from _texts_of(msgspec.json.decode(suspects))
    yield from _texts_of(msgspec.to_builtins(replace(manifest, candidates=(), tenants={}, provider_settings={})))
    yield from manifest.tenants
    for _, entry in distinct_of(manifest.tenants):
        yield from _texts_of(msgspec.to_builtins(replace(entry, provider_settings={})))


def _suspects(listed: Sequence[CandidateEntry]) -> Iterable[bytes]:
    if isinstance(listed, Packed):
        return listed.suspects
    text = encode_all(listed)
    return (text,) if OPENS in text else ()


def _texts_of(content: object) -> Iterator[str]:
    yield from (text for _, text in walk(content))
    yield from keys_in(content)


def keys_in(value: object) -> Iterator[str]:
    """Yield every key in a value, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from keys_in(inner)


def _check_values(where: str, provider: str, values: Values, gate: Gate) -> None:
    for key in keys_in(values):
        _check_destination(f"{where}: a key", "", key, gate)
    for path, text in walk(values):
        place = f"{where}.{'.'.join(map(str, path))}"
        if not _is_secret(place, path, text, gate.secrets.get(provider, frozenset())):
            _check_destination(place, field_of(path), text, gate)


def _check_destination(place: str, name: str, text: str, gate: Gate) -> None:
    from pointsman.manifests.destinations import destinations_in

    try:
        destinations = destinations_in(text, name)
    except DestinationForbidden as error:
        raise DestinationForbidden(f"{place}: {error.message}", hint=error.hint) from error
    for destination in destinations:
        gate.check_place(destination, place)


def _is_secret(place: str, path: Path, text: str, granted: frozenset[str]) -> bool:
    """Tell whether a setting is a granted secret.

    Raises:
        SecretForbidden: It reads the environment, is made of more than a secret, or is one that was not granted.
        Malformed: A ``${`` opens no blank that there is.
    """
    try:
        template = parse_template(text, place)
    except ConfigurationError as error:
        raise Malformed(error.message, hint=error.hint) from error
    forbidden = [blank for blank in template.references if blank.kind is not Kind.TENANT]
    if not forbidden:
        return False
    secret = template.whole
    if secret is None or secret.kind is not Kind.SECRET:
        raise SecretForbidden(f"{place}: expected ${{secret:NAME}} as the whole value, or none, found {forbidden[0]}.")
    if not granted & {secret.name, f"{'.'.join(map(str, path))}={secret.name}"}:
        raise SecretForbidden(
            f"{place}: expected a secret that the image grants this provider, found {secret}.",
            hint="Grant it in the image's settings: trust.secrets, provider to secret names.",
        )
    return True


def field_of(path: Path) -> str:
    """Return the name by which a setting is called: the last key on its way, list positions left out."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _name(entry: CandidateEntry) -> str:
    return f"candidates.{entry.domain}/{entry.key}={entry.provider}"
