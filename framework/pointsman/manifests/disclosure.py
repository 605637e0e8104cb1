"""A secret never travels to a place that a less trusted layer named.

Settings of one provider come from the image and from the manifest, field by field. This looks at what each tenant's
provider will be handed in the end: if one field carries a secret and another, which the manifest wrote, says where to
connect or how to prove who answers, the place must have been granted for this very provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from pointsman.errors import DestinationForbidden
from pointsman.manifests.admission import field_of
from pointsman.manifests.destinations import Pattern, destinations_in, is_granted
from pointsman.manifests.schema import Manifest
from pointsman.resolution.contribution import Layered
from pointsman.resolution.listing import distinct_of
from pointsman.resolution.template import walk

Merged: TypeAlias = Mapping[str, tuple[Any, bool]]
"""Field to its value, and whether the manifest wrote it."""

_SECRET: Final = re.compile(r"\$\{(?:secret|env):")
_SECRET_FIELD: Final = re.compile(
    r"password|passwd|secret|token|credential|private_?key|api_?key|access_?key|authorization", re.IGNORECASE
)
_STEERING_FIELD: Final = re.compile(
    r"(?:^|_)(?:port|proxy|proxies|scheme|protocol|tls|ssl|verify|insecure|ca|cert|certs|certificate)(?:$|_)",
    re.IGNORECASE,
)
"""Fields that lead elsewhere, or make anybody believable, without being a destination themselves."""


def check_disclosure(manifest: Manifest, image: Layered, granted: Mapping[str, tuple[Pattern, ...]]) -> None:
    """Refuse a manifest that would take a secret along.

    Args:
        manifest: Its settings for everyone and for tenants.
        image: The provider settings of the image.
        granted: Full provider name to places that its secrets may see.

    Raises:
        DestinationForbidden: It would.
    """
    for provider in _providers(manifest):
        for tenant in dict.fromkeys((None, *manifest.tenants, *image.tenants)):
            merged = _merged(provider, tenant, manifest, image)
            if any(_is_secret(name, value, ours=ours) for name, (value, ours) in merged.items()):
                for name, (value, ours) in merged.items():
                    if ours:
                        _check_field(provider, name, value, granted.get(provider, ()))


def _providers(manifest: Manifest) -> Iterator[str]:
    found = dict.fromkeys(manifest.provider_settings)
    for _, entry in distinct_of(manifest.tenants):
        found |= dict.fromkeys(entry.provider_settings)
    return iter(found)


def _merged(provider: str, tenant: str | None, manifest: Manifest, image: Layered) -> Merged:
    """Merge as the catalog does: image over manifest, and a tenant's own over everyone's."""
    domain, key, name = provider.split("/")
    own = manifest.tenants.get(tenant) if tenant is not None else None
    layers: tuple[tuple[Mapping[str, Any], bool], ...] = (
        (manifest.provider_settings.get(provider, {}), True),
        (image.everyone.get((domain, key, name), {}), False),
        (own.provider_settings.get(provider, {}) if own else {}, True),
        (image.tenants.get(tenant, {}).get((domain, key, name), {}) if tenant is not None else {}, False),
    )
    return {name: (value, ours) for values, ours in layers for name, value in values.items()}


def _is_secret(name: str, value: object, *, ours: bool) -> bool:
    """Tell whether a field carries a secret: by reference, or written out in the image under a name that says so."""
    texts = [text for _, text in walk(value, (name,))]
    named = not ours and _SECRET_FIELD.search(name) is not None and any(texts)
    return named or any(_SECRET.search(text) for text in texts)


def _check_field(provider: str, name: str, value: object, granted: tuple[Pattern, ...]) -> None:
    if _STEERING_FIELD.search(name):
        raise _refusal(provider, name)
    for path, text in walk(value, (name,)):
        places = () if _SECRET.search(text) else destinations_in(text, field_of(path))
        if not all(is_granted(place, granted) for place in places):
            raise _refusal(provider, name)


def _refusal(provider: str, name: str) -> DestinationForbidden:
    return DestinationForbidden(
        f"{provider}: expected the image to say where its secrets go, found {name} in the manifest.",
        hint=f"Set {name} in the image's settings, or grant places under trust.secret_destinations: {provider}.",
    )
