"""How a JSON body is read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from pointsman.errors import BodyTooLarge, UnsupportedMediaType
from pointsman.web.bodies import MISSING, JsonBody, read_body, replayed
from pointsman.web.parameters import WantedBody
from tests.unit.web import asgi

JSON = {"Content-Type": "application/json; charset=utf-8"}


class Draft(BaseModel):
    title: str = Field(min_length=2)
    tags: dict[str, int] = {}


def body(*, optional: bool = False) -> JsonBody:
    return JsonBody(WantedBody("draft", Draft, optional, None), 100)


def parts(*chunks: bytes) -> list[dict[str, Any]]:
    return [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]


async def read(wanted: JsonBody, *chunks: bytes, headers: dict[str, str] = JSON) -> tuple[Any, Any, bytes]:
    exchange = asgi.Exchange(parts(*chunks))
    return await wanted.read(asgi.http(headers=headers), exchange.receive)


async def test_a_body_in_pieces_becomes_the_model() -> None:
    assert await read(body(), b'{"tit', b'le": "ab"}') == (Draft(title="ab"), (), b'{"title": "ab"}')


async def test_every_fault_is_told_by_its_pointer() -> None:
    _, errors, _ = await read(body(), b'{"title": "a", "tags": {"x/y~z": "no"}}')
    assert [(error["pointer"], error["code"]) for error in errors] == [
        ("/title", "string_too_short"),
        ("/tags/x~1y~0z", "int_parsing"),
    ]
    assert {error["in"] for error in errors} == {"body"}


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 90])
async def test_what_is_no_json_is_one_error_of_the_whole(text: bytes) -> None:
    _, (error,), _ = await read(body(), text)
    assert (error["pointer"], error["code"]) == ("", "json_invalid")


async def test_no_body_is_missing_unless_none_will_do() -> None:
    assert await read(body(), b"", headers={}) == (None, MISSING, b"")
    assert await read(body(optional=True), b"", headers={}) == (None, (), b"")


@pytest.mark.parametrize("given", [None, "text/plain", "application/x-www-form-urlencoded", "text/json+json"])
async def test_only_what_says_that_it_is_json_is_read(given: str | None) -> None:
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        await read(body(), b'{"title": "ab"}', headers={"Content-Type": given} if given else {})


@pytest.mark.parametrize("given", ["application/json", "APPLICATION/JSON", "application/problem+json"])
async def test_json_has_several_names(given: str) -> None:
    _, errors, _ = await read(body(), b'{"title": "ab"}', headers={"Content-Type": given})
    assert errors == ()


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    exchange = asgi.Exchange(parts(b"x"))
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        await read_body(asgi.http(headers={"Content-Length": "101"}), exchange.receive, 100)
    assert len(exchange.received) == 1


@pytest.mark.parametrize("length", ["1", "-5", "x", ""])
async def test_a_body_that_lies_about_its_length_is_counted(length: str) -> None:
    exchange = asgi.Exchange(parts(b"x" * 60, b"x" * 60, b"x"))
    with pytest.raises(BodyTooLarge):
        await read_body(asgi.http(headers={"Content-Length": length}), exchange.receive, 100)
    assert len(exchange.received) == 1


async def test_a_client_that_goes_away_ends_the_reading() -> None:
    exchange = asgi.Exchange(parts(b"x", b"y")[:1])
    with pytest.raises(ClientDisconnect):
        await read_body(asgi.http(), exchange.receive, 100)


async def test_a_body_can_be_received_once_more() -> None:
    exchange = asgi.Exchange([])
    receive = replayed(b"x", exchange.receive)
    assert await receive() == {"type": "http.request", "body": b"x", "more_body": False}
    assert await receive() == {"type": "http.disconnect"}
