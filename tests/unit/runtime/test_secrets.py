"""Secrets come through the secrets component, are kept for a while, are scrubbed everywhere and may be rotated."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from pointsman.errors import ActivationFailed
from pointsman.lifecycle.planning import is_registered
from pointsman.runtime.secrets import SECRETS, SecretReader
from tests.workshop import Clock, Product, Replica, replica_of, until, world_of


class Settings(BaseModel):
    token: SecretStr
    url: str = ""


class Vault:
    """A secrets component whose values a test changes."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.read: list[str] = []
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def get_secret(self, name: str) -> str:
        self.read.append(name)
        value = self.values.get(name)
        self.reached.set()
        await self.open.wait()
        if value is None:
            raise LookupError(name)
        return value


async def with_vault(vault: Vault, **options: Any) -> Replica:
    replica = Replica(
        adapters={"provider_settings": {"cache/own": {"token": "${secret:TOKEN}", "url": "redis://:${secret:TOKEN}@h"}}}
    )

    async def secrets() -> Vault:
        return vault

    replica.assemble(
        replica.candidate("adapter/secrets=vault", secrets, priority=9),
        replica.candidate("adapter/cache=own", replica.factory("own", settings=Settings, **options), priority=9),
    )
    return replica


def token_of(product: Product) -> str:
    settings: Settings = product.given["settings"]
    assert settings.url == f"redis://:{settings.token.get_secret_value()}@h"
    return settings.token.get_secret_value()


async def test_a_secret_reaches_the_factory_that_names_it_and_is_read_once() -> None:
    vault = Vault(TOKEN="hunter2")
    replica = await with_vault(vault)
    async with replica.runtime as runtime:
        assert token_of(await runtime.lifecycle.activate("adapter", "cache")) == "hunter2"
        assert vault.read == ["TOKEN"]
        assert "hunter2" not in str(runtime.explain("adapter", "cache"))


async def test_a_value_is_kept_for_a_while_and_remembered_for_scrubbing() -> None:
    clock, remembered = Clock(), []
    async with replica_of() as replica:
        vault = Vault(TOKEN="one")

        async def secrets() -> Vault:
            return vault

        replica.resolver.register(replica.candidate("adapter/secrets=vault", secrets, priority=9))
        reader = SecretReader(remembered.append, clock, ttl_s=10)
        with pytest.raises(LookupError):
            await reader.get("TOKEN")  # no lifecycle yet
        reader.lifecycle = replica.manager
        assert await reader.get("TOKEN") == "one"
        vault.values["TOKEN"] = "two"
        clock.advance(9)
        assert await reader.get("TOKEN") == "one"
        clock.advance(1)
        assert await reader.get("TOKEN") == "two"
        assert remembered == ["one", "two"]
        with pytest.raises(LookupError):
            await reader.get("GONE")
        assert [instance.leases for instance in replica.manager.keeper.instances] == [0]


async def test_a_secret_that_nobody_has_is_named_and_its_value_never() -> None:
    replica = await with_vault(Vault())
    async with replica.runtime as runtime:
        with pytest.raises(ActivationFailed, match="expected secret TOKEN, found that the secrets component has none"):
            await runtime.lifecycle.activate("adapter", "cache")


async def test_a71_a_resolved_secret_is_scrubbed_from_every_message() -> None:
    async def leak(product: Product) -> None:
        raise ConnectionError(f"{product.given['settings'].url} refused")

    replica = await with_vault(Vault(TOKEN="hunter2"), enter=leak)
    async with replica.runtime as runtime:
        with pytest.raises(ActivationFailed, match=r"redis://:\[secret\]@h refused"):
            await runtime.lifecycle.activate("adapter", "cache")
        assert "hunter2" not in str(replica.told) + str(runtime.lifecycle.board.as_dict())


async def test_a_rotation_makes_anew_what_names_the_secret_and_nothing_else() -> None:
    vault = Vault(TOKEN="one", OTHER="other")
    replica = await with_vault(vault)
    replica.resolver.register(replica.candidate("adapter/queue=nats"))
    async with replica.runtime as runtime:
        old = await runtime.lifecycle.activate("adapter", "cache")
        queue = await runtime.lifecycle.activate("adapter", "queue")
        vault.values["TOKEN"] = "two"
        await runtime.rotate(["OTHER"])
        assert await runtime.lifecycle.activate("adapter", "cache") is old
        await runtime.rotate(["TOKEN"])
        new = await runtime.lifecycle.activate("adapter", "cache")
        assert (token_of(old), token_of(new)) == ("one", "two")
        assert await runtime.lifecycle.activate("adapter", "queue") is queue
        await until(lambda: not old.open)


async def test_a_rotation_to_a_value_that_does_not_work_leaves_the_old_serving_also_later() -> None:
    vault = Vault(TOKEN="one")

    async def check(product: Product) -> None:
        if token_of(product) == "bad":
            raise PermissionError("rejected")

    replica = await with_vault(vault, enter=check)
    async with replica.runtime as runtime:
        old = await runtime.lifecycle.activate("adapter", "cache")
        vault.values["TOKEN"] = "bad"
        with pytest.raises(ActivationFailed, match="PermissionError: rejected"):
            await runtime.rotate(["TOKEN"])
        assert await runtime.lifecycle.activate("adapter", "cache") is old
        replica.resolver.register(replica.candidate("adapter/queue=nats"))  # any change plans all anew
        assert await runtime.lifecycle.activate("adapter", "cache") is old
        vault.values["TOKEN"] = "two"
        await runtime.rotate(["TOKEN"])
        assert token_of(await runtime.lifecycle.activate("adapter", "cache")) == "two"


async def test_a_value_that_was_read_before_a_rotation_is_not_kept_after_it() -> None:
    vault = Vault(TOKEN="one")
    replica = await with_vault(vault)
    async with replica.runtime as runtime:
        vault.open.clear()
        reading = asyncio.ensure_future(runtime.secrets.get("TOKEN"))
        await vault.reached.wait()
        vault.values["TOKEN"] = "two"
        with runtime.secrets.rotating(["TOKEN"]):
            vault.open.set()
            assert await reading == "one"
        assert await runtime.secrets.get("TOKEN") == "two"
        assert runtime.secrets.epoch("TOKEN") == 1
        assert runtime.secrets.epoch("OTHER") == 0


async def test_where_there_is_no_secrets_component_there_is_no_secret() -> None:
    async with world_of() as world:
        reader = SecretReader(lambda _: None, world.clock)
        reader.lifecycle = world.manager
        with pytest.raises(LookupError, match="TOKEN"):
            await reader.get("TOKEN")
        assert not is_registered(world.resolver.catalog, SECRETS)
