from __future__ import annotations

from typing import Any

import pytest

from pointsman.errors import UnsupportedMediaType
from pointsman.web.admin.guard import check_media_type, refused
from pointsman.web.admin.settings import AdminSettings

OPEN = AdminSettings()
CLOSED = AdminSettings(allowed_hosts=("Ops.example", "localhost:8080", "::1"))


def scope(*headers: tuple[str, str], scheme: str = "http") -> dict[str, Any]:
    return {"headers": [(name.encode(), value.encode("latin-1")) for name, value in headers], "scheme": scheme}


@pytest.mark.parametrize("host", ["ops.example", "OPS.EXAMPLE:443", "localhost:8080", "[::1]", "[::1]:8080"])
def test_an_allowed_host_passes(host: str) -> None:
    assert refused(scope(("host", host)), CLOSED) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "evil.example")],
        [("host", "localhost:8081")],
        [("host", "localhost")],
        [("host", "ops.example.evil")],
        [("host", "evil@ops.example:x@")],
        [("host", "[")],
        [("host", "")],
        [("host", "ops.example"), ("host", "evil.example")],
    ],
)
def test_any_other_host_is_421(headers: list[tuple[str, str]]) -> None:
    problem = refused(scope(*headers), CLOSED)
    assert problem is not None
    assert (problem.status, problem.code) == (421, "foreign-host")
    assert refused(scope(*headers), OPEN) is None


@pytest.mark.parametrize(
    "origin", ["https://ops.example", "http://ops.example", "HTTPS://OPS.example", "https://console.example"]
)
def test_an_own_or_an_allowed_origin_passes(origin: str) -> None:
    settings = AdminSettings(allowed_origins=("https://console.example",))
    assert refused(scope(("host", "ops.example"), ("origin", origin)), settings) is None


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "ops.example"), ("origin", "null")],
        [("origin", "null")],
        [("origin", "http://")],
        [("host", "ops.example"), ("origin", "")],
        [("host", "ops.example"), ("origin", "https://evil.example")],
        [("host", "ops.example"), ("origin", "https://ops.example:8443")],
        [("host", "ops.example"), ("origin", "https://ops.example.evil")],
        [("host", "ops.example"), ("origin", "https://[")],
        [("host", "ops.example"), ("origin", "https://ops.example"), ("origin", "https://evil.example")],
    ],
)
def test_any_other_origin_is_403(headers: list[tuple[str, str]]) -> None:
    problem = refused(scope(*headers), OPEN)
    assert problem is not None
    assert (problem.status, problem.code) == (403, "foreign-origin")


def test_a_page_that_came_unencrypted_is_none_of_ours_where_we_are() -> None:
    assert refused(scope(("host", "ops.example"), ("origin", "http://ops.example"), scheme="https"), OPEN) is not None


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_a_command(kind: str) -> None:
    check_media_type(scope(("content-type", kind)))


@pytest.mark.parametrize("kinds", [[], ["text/plain"], ["application/jsonp"], ["application/json", "text/plain"]])
def test_nothing_else_is(kinds: list[str]) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_media_type(scope(*(("content-type", kind) for kind in kinds)))
