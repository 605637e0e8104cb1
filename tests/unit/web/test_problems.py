"""What each error tells its caller."""

from __future__ import annotations

import inspect
import json

import pytest
from starlette.exceptions import HTTPException

from pointsman import errors
from pointsman.web.problems import ROWS, Problem, problem_of
from tests.unit.web import asgi

CLASSES = [
    found for found in vars(errors).values() if inspect.isclass(found) and issubclass(found, errors.PointsmanError)
]


def made(kind: type[errors.PointsmanError]) -> errors.PointsmanError:
    return kind("extra", "who") if kind is errors.MissingExtraError else kind("A secret detail.")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_one_problem_and_the_public_learns_no_detail_of_our_faults(
    kind: type[errors.PointsmanError],
) -> None:
    problem = problem_of(made(kind), instance="/notes")
    assert (problem.code, problem.type) == (kind.code, f"urn:pointsman:problem:{kind.code}")
    if problem.status >= 500:
        assert set(problem.as_dict()) <= {"type", "title", "status", "instance", "code", "retryable"}
    assert 400 <= problem.status <= 504


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_operators_learn_the_detail(kind: type[errors.PointsmanError]) -> None:
    assert problem_of(made(kind), public=False).detail


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind.retryable], ids=lambda kind: kind.__name__)
def test_what_may_be_tried_again_is_no_fault_of_the_callers(kind: type[errors.PointsmanError]) -> None:
    assert problem_of(made(kind)).status in {500, 503, 504}


def test_the_table_names_classes_of_the_tree_only() -> None:
    assert set(ROWS) <= set(CLASSES)


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (errors.ComponentPaused("x", retry_after_s=4.2), 503, [("Retry-After", "5")]),
        (errors.ComponentDraining("x", retry_after_s=0.1), 503, [("Retry-After", "1")]),
        (errors.NoEligibleCandidate("x"), 503, []),
        (errors.ProviderTimeout("x"), 504, []),
        (errors.TenantError("x"), 400, []),
        (errors.TenantError("x", status=404), 404, []),
        (errors.TenantError("x", status=403), 403, []),
        (errors.IdentityError("x"), 401, [("WWW-Authenticate", "Bearer")]),
        (errors.IdentityError("x", status=403), 403, []),
        (errors.BodyTooLarge("x"), 413, []),
        (errors.UnsupportedMediaType("x"), 415, []),
        (errors.UnknownComponent("x"), 500, []),
    ],
)
def test_status_and_headers(error: errors.PointsmanError, status: int, headers: list[tuple[str, str]]) -> None:
    problem = problem_of(error)
    assert (problem.status, list(problem.headers)) == (status, headers)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnknownComponent("x"), 404),
        (errors.UnknownProvider("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.ControlFull("x"), 409),
        (errors.Stale("x"), 412),
        (errors.BadSignature("x"), 422),
    ],
)
def test_what_an_operator_asked_wrongly_is_the_operators_fault(error: errors.PointsmanError, status: int) -> None:
    assert problem_of(error, public=False).status == status
    assert problem_of(error).status == 500


def test_an_input_error_names_each_field() -> None:
    fields = ({"in": "body", "pointer": "/title", "detail": "too short", "code": "string_too_short"},)
    document = problem_of(errors.InputError("The shape is wrong.", errors=fields), instance="/notes").as_dict()
    assert document == {
        "type": "urn:pointsman:problem:invalid-input",
        "title": "Invalid input",
        "status": 422,
        "detail": "The shape is wrong.",
        "instance": "/notes",
        "code": "invalid-input",
        "retryable": False,
        "errors": [dict(fields[0])],
    }


def test_a_starlette_exception_keeps_its_detail_and_headers_below_500() -> None:
    problem = problem_of(HTTPException(404, "There is no note 7.", headers={"X-A": "b", "Content-Length": "9"}))
    assert (problem.title, problem.detail, problem.code) == ("Not Found", "There is no note 7.", "http-404")
    assert problem.headers == (("X-A", "b"),)
    assert problem_of(HTTPException(404)).detail == ""
    assert problem_of(HTTPException(503, "the database is at 10.0.0.1")).detail == ""
    assert problem_of(HTTPException(503)).retryable
    assert problem_of(HTTPException(599)).title == "Status 599"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_gets_none(status: int) -> None:
    response = problem_of(HTTPException(status, headers={"ETag": "x"})).response()
    assert (response.body, response.headers["etag"]) == (b"", "x")


def test_anything_else_is_an_internal_error() -> None:
    assert problem_of(ValueError("secret")).as_dict() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal-error",
        "retryable": False,
    }


def test_secrets_are_taken_out_of_details() -> None:
    def scrub(text: str) -> str:
        return text.replace("hunter2", "***")

    fields = ({"in": "query", "name": "q", "detail": "not hunter2", "code": "x"},)
    problem = problem_of(errors.InputError("It is hunter2.", errors=fields), scrub=scrub)
    assert (problem.detail, problem.errors[0]["detail"]) == ("It is ***.", "not ***")
    assert problem_of(HTTPException(400, "hunter2"), scrub=scrub).detail == "***"


async def test_a_problem_is_an_asgi_application_that_speaks_ascii() -> None:
    problem = Problem(400, "Bad Request", "x", detail="\u202egnihtyna\x07 é")
    sent = (await asgi.played(problem, asgi.http())).sent
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert sent[1]["body"].isascii()
    assert json.loads(sent[1]["body"])["detail"] == "\u202egnihtyna\x07 é"
