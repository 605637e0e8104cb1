"""Serve an application in memory, started and stopped as a server would, with what the test says above all layers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from pointsman.declarations import parse_component
from pointsman.errors import ConfigurationError
from pointsman.manifests.schema import Order
from pointsman.tenancy.settings import TenancySettings

if TYPE_CHECKING:
    from starlette.types import Message

    from pointsman.resolution.contribution import ProviderName
    from pointsman.runtime.inputs import Inputs
    from pointsman.web.application import Pointsman

BASE_URL = "http://testserver"


@asynccontextmanager
async def serving(
    app: Pointsman,
    *,
    tenant: str | None = None,
    selections: Mapping[str, str] | None = None,
    provider_settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncGenerator[httpx.AsyncClient]:
    """Start an application, and give a client that asks it for a tenant.

    Args:
        tenant: Sent with every request in the header that the tenancy settings name.
        selections: Component to provider, ``{"adapter/cache": "memory"}``, above every layer but a tenant's override.
        provider_settings: ``{"adapter/database/sqlite": {…}}``, above every layer, tenants' own too.

    Raises:
        ConfigurationError: The application cannot start; tells why.
    """
    runtime = app.runtime
    given = {_provider(name): values for name, values in (provider_settings or {}).items()}
    overrides = {str(parse_component(name)): (_order(provider),) for name, provider in (selections or {}).items()}

    def say(inputs: Inputs) -> Inputs:
        return replace(inputs, given={**inputs.given, **given}, overrides={**inputs.overrides, **overrides})

    runtime.points.change(say)
    headers = {} if tenant is None else {runtime.settings.section(TenancySettings).header: tenant}
    async with (
        started(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=BASE_URL, headers=headers
        ) as client,
    ):
        yield client


@asynccontextmanager
async def started(app: Pointsman) -> AsyncGenerator[None]:
    """Run the lifespan protocol around a block, as a server does around its life.

    Raises:
        ConfigurationError: The application refuses to start, or fails to end.
    """
    words: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}

    async def say(word: str) -> None:
        words.put_nowait({"type": f"lifespan.{word}"})
        answer = asyncio.create_task(answers.get())
        await asyncio.wait({answer, life}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await life  # raises what ended it
            raise ConfigurationError(f"The application ended at its {word}.")
        if answer.result()["type"] == f"lifespan.{word}.failed":
            raise ConfigurationError(answer.result().get("message", f"The application failed at its {word}."))

    life = asyncio.create_task(app(scope, words.get, answers.put), name="lifespan")
    try:
        await say("startup")
        try:
            yield
        finally:
            await say("shutdown")
    finally:
        if not life.done():
            life.cancel()
        await asyncio.wait({life})
        if not life.cancelled():
            life.exception()  # told above, by its message


def _provider(name: str) -> ProviderName:
    match name.split("/"):
        case [domain, key, provider]:
            return domain, key, provider
        case _:
            raise ConfigurationError(
                f"Expected domain/key/provider, found {name!r}.", hint="Write adapter/cache/redis."
            )


def _order(provider: str) -> Order:
    return Order(op="serving", kind="use", tenants="*", value=provider, cseq=0)
