"""A route of ours matches what Starlette's own route of the same path matches."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.routing import compile_path

from pointsman.web.injection import http_endpoint
from pointsman.web.routes import HandlerRoute, convertors_of
from tests.programs import python

TEXTS = st.sampled_from(["/", "a", "notes", ".", "+", "é", "{", "}", "$", "\n", "7", "-1.5", "{a b}", "{a:}"])
PARAMETERS = st.sampled_from(["{a}", "{b:str}", "{c:int}", "{d:float}", "{e:path}", "{f:uuid}"])
PATHS = st.lists(TEXTS | PARAMETERS, max_size=6, unique=True).map(lambda parts: "/" + "".join(parts))
ASKED = st.lists(TEXTS, max_size=6).map(lambda parts: "/" + "".join(parts))


async def handler() -> None: ...


def route(path: str) -> HandlerRoute:
    endpoint = http_endpoint(handler, (), status=200, max_body_bytes=1)
    return HandlerRoute(path, endpoint, methods=("GET",), name="one", convertors=convertors_of(path))


@given(PATHS, ASKED)
@example("/notes/{a}", "/notes/7\n")
@example("/{c:int}.{a}", "/7.a")
@example("/{e:path}/notes", "/a/b/notes")
def test_it_finds_the_texts_that_starlette_finds(path: str, asked: str) -> None:
    regex, _, convertors = compile_path(path)
    ours, theirs = route(path).texts(asked), regex.match(asked)
    assert (ours and ours.groupdict()) == (theirs and theirs.groupdict())
    assert convertors_of(path) == convertors


def test_head_comes_with_get_alone() -> None:
    assert route("/").methods == {"GET", "HEAD"}
    assert HandlerRoute("/", route("/").endpoint, methods=("POST",), name="one", convertors={}).methods == {"POST"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/{a}/{a:int}", "the parameter a comes twice"),
        ("/{a:number}", "there is no convertor 'number', only str, path"),
    ],
)
def test_a_path_that_is_wrong_is_refused(path: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convertors_of(path)


def test_starlette_is_loaded_module_by_module_when_it_is_asked_for() -> None:
    asked = (
        "import sys\n"
        "from pointsman.web import application, starlette\n"
        "assert not [name for name in sys.modules if name.startswith('starlette')]\n"
        "assert starlette.datastructures.URL('/a').path == '/a'\n"
        "assert 'starlette.routing' not in sys.modules\n"
        "try:\n"
        "    starlette.nothing\n"
        "except AttributeError as error:\n"
        "    print(error)\n"
    )
    done = python(asked)
    assert (done.stdout, done.stderr) == ("module 'pointsman.web.starlette' has no attribute 'nothing'\n", "")
