"""How routes are declared, compiled and found."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, NoMatchFound, Route

from pointsman.declarations import Use
from pointsman.errors import ConfigurationError
from pointsman.web.access import COMPONENTS
from pointsman.web.dispatch import Dispatch
from pointsman.web.routing import Router, compiled, uses_of
from tests.unit.web import asgi

router = Router()


@router.get("/notes")
async def index() -> str:
    return "index"


@router.post("/notes", status=201)
async def create() -> str:
    return "create"


@router.get("/notes/{note_id}", name="note")
async def show(note_id: int) -> str:
    return f"show {note_id}"


@router.put("/notes/{note_id}")
@router.patch("/notes/{note_id}")
async def change(note_id: int, request: Request) -> str:
    return f"{request.method} {note_id}"


@router.delete("/notes/{note_id}")
async def remove(note_id: int) -> None: ...


@router.route("/any/{path:path}", methods=["get", "POST"])
async def anything(path: str, cache: Annotated[Any, Use("adapter", "cache")] | None) -> str:
    return path


@router.websocket("/live")
async def live(cache: Annotated[Any, Use("adapter", "cache")]) -> None: ...


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"plain {request.url_for('note', note_id='7').path}")


def dispatch(behind: Any = None) -> Dispatch:
    mount = Mount("/sub", routes=[Route("/plain", plain)])
    return Dispatch([*compiled([router], max_body_bytes=100), Route("/slash/", plain), mount], behind)


async def ask(app: Any, path: str, method: str = "GET", **scope: Any) -> tuple[int, bytes]:
    given = {COMPONENTS: asgi.FakeComponents(), "app": app}
    sent = (await asgi.played(app, asgi.http(path, method, **scope, **given))).sent
    return sent[0]["status"], sent[1]["body"]


def test_decorated_functions_stay_what_they_were() -> None:
    assert index.__name__ == "index"
    assert [declared.handler for declared in router.declared][:2] == [index, create]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/notes", (200, b"index")),
        ("HEAD", "/notes", (200, b"index")),
        ("POST", "/notes", (201, b"create")),
        ("GET", "/notes/7", (200, b"show 7")),
        ("PUT", "/notes/7", (200, b"PUT 7")),
        ("PATCH", "/notes/7", (200, b"PATCH 7")),
        ("DELETE", "/notes/7", (204, b"")),
        ("GET", "/any/a/b", (200, b"a/b")),
        ("POST", "/any/", (200, b"")),
        ("GET", "/sub/plain", (200, b"plain /notes/7")),
    ],
)
async def test_the_first_route_that_matches_serves(method: str, path: str, expected: tuple[int, bytes]) -> None:
    assert await ask(dispatch(), path, method) == expected


async def test_a_method_that_no_route_of_the_path_serves_is_405_and_tells_all_that_do() -> None:
    with pytest.raises(HTTPException) as caught:
        await ask(dispatch(), "/notes/7", "POST")
    assert caught.value.status_code == 405
    assert caught.value.headers == {"Allow": "DELETE, GET, HEAD, PATCH, PUT"}


@pytest.mark.parametrize("path", ["/", "//notes", "/notes/7/8", "/Notes"])
async def test_a_path_that_no_route_has_is_404(path: str) -> None:
    with pytest.raises(HTTPException) as caught:
        await ask(dispatch(), path)
    assert caught.value.status_code == 404


async def test_an_unknown_websocket_is_404() -> None:
    with pytest.raises(HTTPException) as caught:
        await asgi.played(dispatch(), asgi.websocket("/notes"))
    assert caught.value.status_code == 404


@pytest.mark.parametrize(("path", "location"), [("/notes/", "/notes"), ("/slash", "/slash/")])
async def test_a_slash_too_many_or_too_few_is_led_to_the_right_path(path: str, location: str) -> None:
    sent = (await asgi.played(dispatch(), asgi.http(path, headers={"host": "a.example"}))).sent
    assert sent[0]["status"] == 307
    assert (b"location", f"http://a.example{location}".encode()) in sent[0]["headers"]


async def test_what_no_route_serves_goes_to_the_application_behind() -> None:
    behind = dispatch(PlainTextResponse("behind"))
    assert await ask(behind, "/nope") == (200, b"behind")
    assert await ask(behind, "/notes/7", "POST") == (200, b"behind")
    assert await ask(behind, "/notes") == (200, b"index")


def test_a_name_that_no_route_has_has_no_path() -> None:
    assert dispatch().url_path_for("note", note_id="7") == "/notes/7"
    with pytest.raises(NoMatchFound):
        dispatch().url_path_for("nope")


def test_the_uses_of_all_handlers_are_told_with_who_asks() -> None:
    uses = list(uses_of(compiled([router], max_body_bytes=100)))
    assert [(where.partition(":")[2], required) for _, where, required in uses] == [
        ("anything, parameter cache", False),
        ("live, parameter cache", True),
    ]


def test_parts_are_kept_in_order() -> None:
    outer = Router()
    outer.include(router)
    outer.include(index)
    assert outer.parts == (router, index)


def with_body(a: list[int], b: dict[str, int]) -> None: ...


@pytest.mark.parametrize(
    ("path", "message"),
    [("/{a}/{a}", "the parameter a comes twice"), ("/{a:nope}", "the path /{a:nope} is wrong"), ("/x", "parameter `b")],
)
def test_what_is_wrong_with_a_route_names_its_handler(path: str, message: str) -> None:
    wrong = Router()
    wrong.get(path)(with_body)
    with pytest.raises(ConfigurationError, match=f":with_body: .*{message}"):
        compiled([wrong], max_body_bytes=100)


@pytest.mark.parametrize(("path", "methods"), [("notes", ["GET"]), ("/notes", []), ("/notes", "GET")])
def test_a_declaration_that_means_nothing_is_refused_at_once(path: str, methods: Any) -> None:
    with pytest.raises(ConfigurationError):
        Router().route(path, methods=methods)
