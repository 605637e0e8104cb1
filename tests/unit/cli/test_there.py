"""A running service is asked over HTTP: what it refuses is our error, what is no answer is told as none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pointsman.cli.desk import Asked, Ordered
from pointsman.cli.there import there
from pointsman.declarations import Component
from pointsman.errors import (
    ComponentPaused,
    ConfigurationError,
    OutcomeUnknown,
    PointsmanError,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    UnknownComponent,
)

RATES = Component[Any]("service", "rates")
Answer = Callable[[httpx.Request], httpx.Response]


def problem(status: int, code: str, **fields: Any) -> Answer:
    return lambda _request: httpx.Response(status, json={"code": code, "detail": "why", "status": status, **fields})


def raising(error: type[httpx.HTTPError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("no line", request=request)  # type: ignore[call-arg]

    return answer


async def asked(answer: Answer) -> Any:
    async with there("http://localhost:1", "secret", httpx.MockTransport(answer)) as desk:
        return await desk.explain(RATES, Asked(tenant="acme", requires=("a", "b")))


async def ordered(answer: Answer, **fields: Any) -> Any:
    async with there("http://localhost:1", "secret", httpx.MockTransport(answer)) as desk:
        return await desk.order(Ordered("pause", {"domain": "service", "key": "rates", "ttl_s": None}, **fields))


async def test_the_question_is_sent_as_the_api_reads_it() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"ok": True})

    assert await asked(answer) == {"ok": True}
    assert str(seen[0].url) == "http://localhost:1/admin/explain/service/rates?tenant=acme&requires=a&requires=b"
    assert seen[0].headers["Authorization"] == "Bearer secret"
    await ordered(answer, headers={"If-Match": "s3"}, dry_run=True)
    assert (seen[1].method, str(seen[1].url)) == ("POST", "http://localhost:1/admin/pause?dry_run=true")
    assert seen[1].headers["If-Match"] == "s3"
    assert seen[1].content == b'{"domain":"service","key":"rates"}'


async def test_a_path_in_the_url_is_where_the_routes_lie() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(200, json=[])

    async with there("http://localhost:1/ops/", "", httpx.MockTransport(answer)) as desk:
        await desk.activity()
    assert seen == ["/ops/activity"]


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (problem(404, "unknown-component"), UnknownComponent, "unknown-component"),
        (problem(503, "component-paused"), ComponentPaused, "component-paused"),
        (problem(418, "teapot"), PointsmanError, "teapot"),
        (lambda _request: httpx.Response(502, text="<html>"), ProviderError, "provider"),
        (lambda _request: httpx.Response(200, text="<login>"), ProviderError, "provider"),
        (lambda _request: httpx.Response(302, json={}), PointsmanError, "http-302"),
        (raising(httpx.ConnectError), ProviderUnavailable, "provider-unavailable"),
        (raising(httpx.ReadTimeout), ProviderTimeout, "provider-timeout"),
        (raising(httpx.ReadError), ProviderUnavailable, "provider-unavailable"),
    ],
)
async def test_a_refusal_is_the_error_that_its_code_names(
    answer: Answer, kind: type[PointsmanError], code: str
) -> None:
    with pytest.raises(PointsmanError) as refused:
        await asked(answer)
    assert type(refused.value) is kind
    assert refused.value.code == code


async def test_fields_that_were_refused_are_named() -> None:
    fields = [{"in": "body", "pointer": "/reason", "detail": "too long", "code": "invalid"}]
    with pytest.raises(PointsmanError, match="why; /reason: too long"):
        await asked(problem(422, "invalid-input", errors=fields))


async def test_without_a_token_it_is_said_where_one_goes() -> None:
    with pytest.raises(PointsmanError) as refused:
        await asked(problem(401, "unauthenticated"))
    assert "POINTSMAN_TOKEN" in refused.value.hint


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ReadError, httpx.WriteTimeout, httpx.RemoteProtocolError])
async def test_an_order_without_an_answer_may_have_been_carried_out(error: type[httpx.HTTPError]) -> None:
    with pytest.raises(OutcomeUnknown):
        await ordered(raising(error))


async def test_an_order_that_was_not_sent_was_not_carried_out() -> None:
    with pytest.raises(ProviderUnavailable):
        await ordered(raising(httpx.ConnectError))


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "https:///admin"])
async def test_what_is_no_url_of_a_service_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        async with there(url, ""):
            pass


async def test_a_token_that_travels_in_the_open_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with there("http://example.com", "secret"):
        pass
    async with there("https://example.com", "secret"), there("http://127.0.0.1:8080", "secret"):
        pass
    assert capsys.readouterr().err == "The token travels to example.com unencrypted.\n"
