"""What a manifest's names resolve to is looked at right before an instance is made, and fails closed."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any

import pytest

from pointsman.errors import DestinationForbidden, ProviderUnavailable
from pointsman.manifests.destinations import Address, is_private_address, parse_pattern
from pointsman.manifests.lookup import addresses_of, check_addresses

OUTSIDE = "93.184.215.14"


class Zone:
    """Answers for every name, and remembers which were asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = [ipaddress.ip_address(address) for address in addresses]
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Collection[Address]:
        self.asked.append(host)
        if not self.addresses:
            raise OSError(-2, "Name or service not known")
        return self.addresses


async def look(values: dict[str, Any], zone: Zone, *private: str) -> list[str]:
    await check_addresses(values, tuple(map(parse_pattern, private)), "service/rates=bank", zone)
    return sorted(zone.asked)


async def test_names_that_lead_out_of_the_network_pass_each_asked_once() -> None:
    values = {
        "base_url": "https://api.example.com/v1",
        "token_url": "https://api.example.com/token",
        "brokers": "redis://a.example.net:6379,b.example.net:6380",
        "spare": {"endpoint": ["https://api.example.com/v1"]},
        "https://keys.example.org": 1,
        "model": "claude-3.5-sonnet",
    }
    asked = ["a.example.net", "api.example.com", "b.example.net", "keys.example.org"]
    assert await look(values, Zone(OUTSIDE, "2606:2800:21f:cb07:6820:80da:af6b:8b2c")) == asked


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "::1", "10.0.0.7", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0",
        "fe80::1", "fd00:ec2::254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1",
    ],
)  # fmt: skip
async def test_a_name_with_any_private_address_is_refused(address: str) -> None:
    for addresses in ((address,), (OUTSIDE, address), (address, OUTSIDE)):
        with pytest.raises(DestinationForbidden, match=r"service/rates=bank: expected api\.example\.com to lead out"):
            await look({"base_url": "https://api.example.com"}, Zone(*addresses))


async def test_a_private_address_that_was_granted_passes_and_another_does_not() -> None:
    values = {"url": "redis://cache.example.com:6379"}
    assert await look(values, Zone("10.0.0.7"), "10.0.0.0/8") == ["cache.example.com"]
    assert await look(values, Zone("10.0.0.7"), "redis://10.0.0.7:6379") == ["cache.example.com"]
    for granted in ("10.1.0.0/16", "redis://10.0.0.7:6380", "https://10.0.0.7:6379"):
        with pytest.raises(DestinationForbidden, match=r"10\.0\.0\.7"):
            await look(values, Zone("10.0.0.7"), granted)


async def test_a_name_that_was_granted_as_private_may_lead_anywhere_and_is_not_asked() -> None:
    for name in ("cache.example.com", "*.example.com"):
        assert await look({"url": f"redis://{name.replace('*', 'a')}"}, Zone("127.0.0.1"), f"redis://{name}") == []
    assert await look({"host": "redis"}, Zone("10.0.0.7"), "redis") == []


async def test_addresses_paths_and_secrets_are_not_asked() -> None:
    values = {"url": f"http://{OUTSIDE}:8080", "path": "/srv/data", "dsn": "${secret:DSN}", "name": "${tenant}"}
    assert await look(values, Zone()) == []


async def test_a_name_that_nobody_can_resolve_is_refused() -> None:
    with pytest.raises(ProviderUnavailable, match=r"expected an address of api\.example\.com, found none"):
        await look({"base_url": "https://api.example.com"}, Zone())


async def test_this_machine_resolves_its_own_name_to_itself() -> None:
    found = await addresses_of("localhost")
    assert found
    assert all(map(is_private_address, found))
