from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import ConfigurationError, DestinationForbidden
from pointsman.manifests.destinations import (
    Destination,
    is_private_address,
    names_destination,
    parse_destinations,
    parse_pattern,
)


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("https://API.example.com:8443/v1?x=1#y", "url", (Destination("https", "api.example.com", 8443, "/v1"),)),
        ("redis://user:p%40ss@cache.example.com/0", "url", (Destination("redis", "cache.example.com", None, "/0"),)),
        ("mongodb://a.example:1,b.example:2/db", "dsn",
         (Destination("mongodb", "a.example", 1, "/db"), Destination("mongodb", "b.example", 2, "/db"))),
        ("a.example:9092,b.example:9093", "servers",
         (Destination("", "a.example", 9092), Destination("", "b.example", 9093))),
        ("api.example.com", "host", (Destination("", "api.example.com"),)),
        ("api.example.com./v1", "host", (Destination("", "api.example.com", None, "/v1"),)),
        ("http://[2001:DB8::1]:80/", "url", (Destination("http", "2001:db8::1", 80, "/"),)),
        ("file:///srv/notes.db", "url", (Destination("file", "", None, "/srv/notes.db"),)),
        ("/srv/notes.db", "x", (Destination(path="/srv/notes.db"),)),
        ("notes.db", "path", (Destination(path="./notes.db"),)),
        ("./notes.db", "x", (Destination(path="./notes.db"),)),
        ("postgresql://db.example/x?host=elsewhere.example&sslmode=on", "dsn",
         (Destination("postgresql", "db.example", None, "/x"), Destination("", "elsewhere.example"))),
    ],
)  # fmt: skip
def test_a_text_is_read_as_every_place_that_it_leads_to(
    text: str, field: str, expected: tuple[Destination, ...]
) -> None:
    assert parse_destinations(text, field) == expected


@pytest.mark.parametrize(
    "text", ["https://", "https://user@", "https://user@/x", "https://a@b@c", "1://a", "a,,b", "a:1:2"]
)
def test_a_text_that_leads_nowhere_in_particular_is_refused(text: str) -> None:
    with pytest.raises(DestinationForbidden):
        parse_destinations(text)


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("https://api.example.com", ["https://api.example.com/x", "https://api.example.com:443"],
         ["http://api.example.com", "https://api.example.com:444", "https://api.example.com.evil", "https://x.api.example.com"]),
        ("*.example.com", ["https://a.example.com", "https://a.b.example.com", "ftp://a.example.com"],
         ["https://example.com", "https://a.example.com:444", "https://aexample.com"]),
        ("*.example.com:*", ["redis://a.example.com:9", "a.example.com:1"], ["/a.example.com"]),
        ("redis://cache.example.com:6380", ["redis://cache.example.com:6380/1"], ["redis://cache.example.com"]),
        ("cache.example.com:6379", ["redis://cache.example.com", "cache.example.com:6379"], ["https://cache.example.com"]),
        ("https://api.example.com/v1", ["https://api.example.com/v1", "https://api.example.com/v1/x"],
         ["https://api.example.com/v10", "https://api.example.com/", "https://api.example.com"]),
        ("10.0.0.0/8", ["redis://10.1.2.3:6379", "10.255.0.1:1"], ["redis://11.0.0.1", "https://a.example"]),
        ("2001:db8::/32", ["http://[2001:db8::7]:80"], ["http://[2001:db9::7]"]),
        ("/srv/data", ["/srv/data", "/srv/data/x/y", "file:///srv/data/x"], ["/srv/database", "/srv", "./srv/data"]),
        ("/", ["/etc/passwd"], ["./x", "https://a.example/"]),
        ("./state", ["./state/x", "./state"], ["/state", "./stated"]),
        ("[2001:db8::1]:443", ["https://[2001:db8:0::1]"], ["https://[2001:db8::2]"]),
    ],
)  # fmt: skip
def test_a_pattern_covers_what_it_says(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    granted = parse_pattern(pattern)
    for text in covered:
        assert all(granted.covers(one) for one in parse_destinations(text)), text
    for text in not_covered:
        assert not any(granted.covers(one) for one in parse_destinations(text)), text


@pytest.mark.parametrize(
    "text",
    ["", "https://", "https://a b", "https://user@a.example", "https://a.example?x=1", "a.*.example", "**", "*.*",
     "https://a.example:port", "/srv/../etc", "https://a.example/..", "~", "127.1", "a,b", "https://a.example,b.example"],
)  # fmt: skip
def test_a_pattern_that_grants_nothing_sensible_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected a destination"):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("field", "text"),
    [("base_url", "x"), ("baseUrl", "x"), ("redis.host", "x"), ("bootstrap-servers", "x"), ("note", "https://x"),
     ("note", "see:https://x"), ("note", "x:80"), ("note", "x:80/y"), ("note", "x:80, y:81"), ("note", "127.0.0.1"),
     ("note", "localhost"), ("note", "/x"), ("note", "a/../b"), ("note", "user=x host=y"), ("note", "https:x"),
     ("note", "\\\\x\\y")],
)  # fmt: skip
def test_what_leads_somewhere_is_noticed(field: str, text: str) -> None:
    assert names_destination(field, text)


@pytest.mark.parametrize(
    ("field", "text"),
    [("base_url", ""), ("database", "notes"), ("model", "claude-3.5-sonnet"), ("model", "llama3:8b"),
     ("topic", "orders.created"), ("region", "europe-west1"), ("prefix", "notes:"),
     ("note", "Read https://x first."), ("version", "1.2.3"), ("at", "10:3x")],
)  # fmt: skip
def test_what_leads_nowhere_is_left_alone(field: str, text: str) -> None:
    assert not names_destination(field, text)


def test_a_destination_is_shown_without_credentials() -> None:
    assert [str(one) for one in parse_destinations("redis://user:pass@a.example:1/0?host=[::1]:2")] == [
        "redis://a.example:1/0",
        "[::1]:2",
    ]
    assert str(Destination(path="/x")) == "/x"


@given(st.text(max_size=60))
def test_a_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    names_destination("url", text)
    for field in ("url", "path"):
        try:
            destinations = parse_destinations(text, field)
        except DestinationForbidden:
            continue
        assert destinations
        assert all(isinstance(one.private, bool) and str(one) for one in destinations)


@given(st.ip_addresses(v=4))
def test_an_address_is_as_private_as_the_one_that_it_carries(address: ipaddress.IPv4Address) -> None:
    private = is_private_address(address)
    number = int(address)
    assert is_private_address(ipaddress.IPv6Address(0xFFFF << 32 | number)) is private
    assert is_private_address(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | number)) is private
    if private:
        assert is_private_address(ipaddress.IPv6Address(0x2002 << 112 | number << 80))


@pytest.mark.parametrize("text", ["a:1" * 5000 + "!", "[" * 5000, "a/" * 5000 + "\\", "0x" * 5000, "," * 5000])
def test_no_text_takes_longer_than_its_length(text: str) -> None:
    names_destination("note", text)
    with pytest.raises(DestinationForbidden):
        parse_destinations(f"https://{text}\x00", "url")
