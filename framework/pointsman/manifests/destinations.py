"""Where a setting may lead: reading URLs, hosts, DSNs and paths, and matching them with what an image grants.

A destination that two readers could take for different places is refused rather than guessed at. Nothing is resolved
here; `is_private_address` is for those who resolve a name, or follow a redirect, and must look again (`lookup`).
"""

from __future__ import annotations

import ipaddress
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote

import msgspec

from pointsman.errors import ConfigurationError, DestinationForbidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS: Final[Mapping[str, int]] = MappingProxyType({
    "amqp": 5672, "amqps": 5671, "http": 80, "https": 443, "mongodb": 27017, "mysql": 3306, "nats": 4222,
    "postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379, "ws": 80, "wss": 443,
})  # fmt: skip
"""Ports that need not be written."""
PRIVATE_NAMES: Final = frozenset({"localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp"})
"""Last labels of names that lead to this machine, its neighbours, or the metadata server."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

_IGNORE = re.ASCII | re.IGNORECASE
_NAMED = re.compile(
    r"(?:^|[_.-])(?:url|uri|dsn|host|hostname|endpoint|address|addr|server|broker|bootstrap|proxy|socket|path|dir"
    r"|directory|folder|file|filename|base|domain|gateway|webhook|connection_string)s?$",
    _IGNORE,
)
_NAMED_A_PATH = re.compile(r"(?:^|[_.-])(?:path|dir|directory|folder|file|filename)s?$", _IGNORE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SHAPED = re.compile(
    r"\S*://|(?:https?|wss?|ftp|file|data|unix|jdbc):"  # a URL, or what some readers take for one
    r"|[/\\~]|\.\.?[/\\]|[a-z]:[/\\]|.*[/\\]\.\.(?:[/\\]|$)"  # a path of this machine, or a step up
    r"|(?:[^\s/:,]++:[0-9]{1,5}+[,\s]*+)++(?:[/?]|$)"  # host:port, also several
    r"|localhost\b|\[[0-9a-f:.]+\]|(?:[0-9]+|0x[0-9a-f]+)(?:\.(?:[0-9]+|0x[0-9a-f]+)){3}",  # an address
    _IGNORE | re.DOTALL,
)
_KEYWORDS = re.compile(r"(?:^|[\s;])(?:host|hostaddr|server|data source|address|addr)\s*=", _IGNORE)
_PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~]+", _IGNORE)
"""What a destination is written with: no blank, quote, backslash, brace, nor another alphabet."""
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^/?#@]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?"
    r"(?:\?(?P<query>[^#]*))?(?:#.*)?",
    _IGNORE,
)
_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?", _IGNORE)
_GRANTED_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|\*|(?:\*\.)?[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}|\*))?", _IGNORE)


class Destination(msgspec.Struct, frozen=True):
    """A place that a setting names; a path of this machine has no host, and begins with ``/`` or ``./``."""

    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""

    @property
    def private(self) -> bool:
        """Whether the host is this machine, its neighbours, or the metadata server, as far as its name tells."""
        address = _address(self.host)
        if address is not None:
            return is_private_address(address)
        return bool(self.host) and ("." not in self.host or self.host.rpartition(".")[2] in PRIVATE_NAMES)

    @property
    def named(self) -> bool:
        """Whether the host is a name, of which only resolving tells where it is."""
        return bool(self.host) and _address(self.host) is None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}{'://' if self.scheme else ''}{host}{f':{self.port}' if self.port else ''}{self.path}"


class Pattern(msgspec.Struct, frozen=True):
    """What an image grants: ``[scheme://]host[:port][/path]``, a network, or a path that covers all below it.

    Attributes:
        host: Exact, ``*.example.com`` (any name below it) or ``*``; empty for paths.
        port: None is the scheme's own, or none written; ``*`` is any.
    """

    scheme: str = ""
    host: str = ""
    port: int | str | None = None
    path: str = ""
    network: Network | None = None

    def covers(self, destination: Destination) -> bool:
        """Tell whether the destination is one of those granted."""
        if self.network is not None:
            address = _address(destination.host)
            return address is not None and address in self.network
        return (
            self.scheme in {"", destination.scheme}
            and self._covers_host(destination.host)
            and self._covers_port(destination)
            and self._covers_path(destination.path)
        )

    def _covers_host(self, host: str) -> bool:
        if self.host.startswith("*"):
            return bool(host) and host.endswith(self.host[1:])
        return self.host == host

    def _covers_port(self, destination: Destination) -> bool:
        usual = PORTS.get(destination.scheme)
        return self.port == "*" or (self.port or usual) == (destination.port or usual)

    def _covers_path(self, path: str) -> bool:
        above = self.path.rstrip("/")
        return path == above or path.startswith(f"{above}/")


def parse_pattern(text: str) -> Pattern:
    """Return the pattern that settings write.

    Raises:
        ConfigurationError: It is none of ``https://api.example.com``, ``*.example.com:443``, ``10.0.0.0/8``,
            ``/var/data``, ``./state``.
    """
    try:
        if text.startswith(("/", "./")):
            return Pattern(path=_path(text))
        if network := _network(text):
            return Pattern(network=network)
        url = _URL.fullmatch(text if "://" in text else f"any://{text}")
        granted = _GRANTED_HOST.fullmatch(url["hosts"]) if url and url["user"] is None and not url["query"] else None
        if url is not None and granted is not None:
            host, port = granted["host"].lower(), granted["port"]
            return Pattern(
                scheme=url["scheme"].lower() if "://" in text else "",
                host=host if host.startswith("*") else _host(host),
                port=int(port) if port and port != "*" else port,
                path=_path(url["path"] or "/"),
            )
    except DestinationForbidden:
        pass
    raise ConfigurationError(
        f"Expected a destination, found {text!r}.",
        hint="Write https://api.example.com, *.example.com:443, 10.0.0.0/8, /var/data or ./state.",
    )


def names_destination(field: str, text: str) -> bool:
    """Tell whether a setting leads anywhere, by its own name or by the shape of its text."""
    return bool(text) and any((_NAMED.search(_snake(field)), _SHAPED.match(text.strip()), _KEYWORDS.search(text)))


def parse_destinations(text: str, field: str = "") -> tuple[Destination, ...]:
    """Return every place that the text of a setting leads to: each of several hosts, and those in a query.

    Without a scheme it is a path if the field is named so, or if it begins like one; otherwise it is a host.

    Raises:
        DestinationForbidden: It could be read in more than one way.
    """
    if not _PLAIN.fullmatch(text) or _KEYWORDS.search(text):
        raise _unreadable()
    if "://" in text:
        return tuple(_read_url(text))
    if _NAMED_A_PATH.search(_snake(field)) or text.startswith(("/", ".", "~")):
        return (Destination(path=_path(text if text.startswith(("/", "./")) else f"./{text}")),)
    return tuple(_read_url(f"any://{text}", scheme=""))


def destinations_in(text: str, field: str = "") -> tuple[Destination, ...]:
    """Return every place that a setting leads to; none where neither its name nor its text says that it leads anywhere.

    Raises:
        DestinationForbidden: It leads somewhere, and could be read in more than one way.
    """
    return parse_destinations(text, field) if names_destination(field, text) else ()


def is_granted(destination: Destination, patterns: Iterable[Pattern]) -> bool:
    """Tell whether a place is one of those granted."""
    return any(pattern.covers(destination) for pattern in patterns)


def is_private_address(address: Address) -> bool:
    """Tell whether an address is loopback, link-local, private, shared, reserved or multicast: not the internet's.

    One that carries another (IPv4-mapped, 6to4, Teredo, NAT64) is judged by what it carries, too.
    """
    return any(not inner.is_global or inner.is_multicast for inner in _carried(address))


def _read_url(text: str, scheme: str | None = None) -> Iterator[Destination]:
    url = _URL.fullmatch(text)
    if url is None:
        raise _unreadable()
    scheme = url["scheme"].lower() if scheme is None else scheme
    path = _path(url["path"]) if url["path"] else ""
    if not url["hosts"] and (not path or url["user"] is not None):
        raise _unreadable()
    for one in url["hosts"].split(","):
        found = _HOST.fullmatch(one)
        if url["hosts"] and found is None:
            raise _unreadable()
        port = int(found["port"]) if found and found["port"] else None
        yield Destination(scheme, _host(found["host"]) if found else "", port, path)
    yield from _read_query(url["query"] or "")


def _read_query(query: str) -> Iterator[Destination]:
    """A query names hosts too: ``postgresql://db/notes?host=elsewhere``."""
    for pair in re.split("[&;]", query):
        name, _, value = (unquote(part) for part in pair.partition("="))
        yield from destinations_in(value, name)


def _path(text: str) -> str:
    """Return the path if it says where it leads: no step up, no home, nothing left to unescape."""
    plain = unquote(text)
    if ".." in plain.split("/") or plain.startswith(("//", "./~")) or not _PLAIN.fullmatch(plain) or "%" in plain:
        raise _unreadable()
    return plain


def _host(text: str) -> str:
    """Return the host in its one form; a number that is no dotted quad can be read as several addresses."""
    name = text.lower().removesuffix(".")
    last = name.rpartition(".")[2]
    if name.startswith("["):
        address, wanted = _address(name[1:-1]), 6
    elif last.isdigit() or last.startswith("0x"):
        address, wanted = _address(name), 4
    elif all(name.split(".")):
        return name
    else:
        raise _unreadable()
    if address is None or address.version != wanted:
        raise _unreadable()
    return str(address)


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text) if "/" in text else None
    except ValueError:
        return None


def _carried(address: Address) -> Iterator[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    else:
        yield address
        yield from (inner for inner in (address.sixtofour, *(address.teredo or ())) if inner is not None)
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def _snake(field: str) -> str:
    return _HUMP.sub("_", field)


def _unreadable() -> DestinationForbidden:
    """Return the refusal; it does not repeat the text, in which a password may stand."""
    return DestinationForbidden(
        "Expected a destination that can be read in one way only.",
        hint="Write a plain URL, host:port or path: ASCII, no blanks, no ${…}, no '..', no unusual numbers.",
    )
