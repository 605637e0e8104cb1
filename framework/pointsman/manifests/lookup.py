"""Look again where a manifest's settings lead, right before an instance is made of them: at what names resolve to.

`admission` judges a name by its text; whoever runs its zone may give it the address of this machine, its neighbours or
the metadata server all the same. Never connects to anything. A client that resolves a name once more, or follows a
redirect, is the provider's own, and so is that look; no client of ours follows a redirect.
"""

from __future__ import annotations

import ipaddress
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from socket import SOCK_STREAM
from typing import Any, TypeAlias

from msgspec.structs import replace

from pointsman.errors import DestinationForbidden, ProviderUnavailable
from pointsman.manifests.admission import Patterns, field_of, keys_in
from pointsman.manifests.destinations import (
    Address,
    Destination,
    is_private_address,
    names_destination,
    parse_destinations,
)
from pointsman.resolution.template import walk

Resolve: TypeAlias = Callable[[str], Awaitable[Collection[Address]]]


async def addresses_of(host: str) -> Collection[Address]:
    """Return every address of a name, as this machine resolves it.

    Raises:
        OSError: It has none, or nobody can tell now.
    """
    found = await get_running_loop().getaddrinfo(host, None, type=SOCK_STREAM)
    return {ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found}


async def check_addresses(
    values: Mapping[str, Any], private: Patterns, where: str, resolve: Resolve = addresses_of
) -> None:
    """Refuse settings in which a name leads to a private address that was not granted.

    Args:
        values: What a manifest says, admitted.
        private: ``trust.private_destinations``; a name that is granted there may lead anywhere.
        where: Whose settings they are, for messages.
        resolve: Returns the addresses of a name.

    Raises:
        DestinationForbidden: One does.
        ProviderUnavailable: A name cannot be resolved, so that nobody can tell.
    """
    for place in set(_places(values)):
        if _is_name(place) and not any(pattern.covers(place) for pattern in private):
            try:
                addresses = await resolve(place.host)
            except OSError as error:
                raise ProviderUnavailable(
                    f"{where}: expected an address of {place.host}, found none.",
                    hint="Where only a proxy can tell, add the name to trust.private_destinations, too.",
                ) from error
            for address in filter(is_private_address, addresses):
                _check_address(replace(place, host=str(address)), place.host, private, where)


def _check_address(place: Destination, name: str, private: Patterns, where: str) -> None:
    if not any(pattern.covers(place) for pattern in private):
        raise DestinationForbidden(
            f"{where}: expected {name} to lead out of this network, found the address {place.host}.",
            hint="Add the name or the address to trust.private_destinations in the image's settings, if it may.",
        )


def _places(values: Mapping[str, Any]) -> Iterator[Destination]:
    """Yield every place that settings lead to; a secret is the image's, and may lead anywhere."""
    texts = [("", key) for key in keys_in(values)]
    texts += [(field_of(path), text) for path, text in walk(values)]
    for name, text in texts:
        if "${" not in text and names_destination(name, text):
            yield from parse_destinations(text, name)


def _is_name(place: Destination) -> bool:
    """Whether only resolving tells where it is; an address was judged when the manifest was admitted."""
    try:
        ipaddress.ip_address(place.host)
    except ValueError:
        return bool(place.host)
    return False
