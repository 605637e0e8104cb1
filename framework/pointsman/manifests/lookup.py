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
from pointsman.manifests.destinations import Address, Destination, destinations_in, is_granted, is_private_address
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
    unsure = [place for place in dict.fromkeys(_places(values)) if place.named and not is_granted(place, private)]
    known = {host: await _resolved(host, where, resolve) for host in dict.fromkeys(place.host for place in unsure)}
    for place in unsure:
        for address in filter(is_private_address, known[place.host]):
            if not is_granted(replace(place, host=str(address)), private):
                raise _forbidden(place.host, address, where)


def _forbidden(host: str, address: Address, where: str) -> DestinationForbidden:
    return DestinationForbidden(
        f"{where}: expected {host} to lead out of this network, found the address {address}.",
        hint="Add the name or the address to trust.private_destinations in the image's settings, if it may.",
    )


async def _resolved(host: str, where: str, resolve: Resolve) -> Collection[Address]:
    try:
        return await resolve(host)
    except OSError as error:
        raise ProviderUnavailable(
            f"{where}: expected an address of {host}, found none.",
            hint="Where only a proxy can tell, add the name to trust.private_destinations, too.",
        ) from error


def _places(values: Mapping[str, Any]) -> Iterator[Destination]:
    """Yield every place that settings lead to; a secret is the image's, and may lead anywhere."""
    texts = [("", key) for key in keys_in(values)]
    texts += [(field_of(path), text) for path, text in walk(values)]
    for name, text in texts:
        if "${" not in text:
            yield from destinations_in(text, name)
