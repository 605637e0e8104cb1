"""Where a request names its tenant."""

from __future__ import annotations

import pytest

from pointsman.errors import ConfigurationError, IdentityError, TenantError
from pointsman.tenancy.sources import (
    bearer_token,
    from_claims,
    from_header,
    from_host,
    from_path,
    function_of,
    taken_in,
)


def host(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", value.encode("latin-1"))]


def test_a_header_is_read_once_or_not_at_all() -> None:
    assert from_header([(b"a", b"1"), (b"x-tenant-id", b"acme")], b"x-tenant-id") == "acme"
    assert from_header([(b"a", b"1")], b"x-tenant-id") is None


def test_a_header_that_comes_twice_is_refused_even_when_both_agree() -> None:
    with pytest.raises(TenantError, match="found 2") as caught:
        from_header([(b"x-tenant-id", b"acme"), (b"x-tenant-id", b"acme")], b"x-tenant-id")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("value", "domain", "tenant"),
    [
        ("acme.notebook.example", "", "acme"),
        ("ACME.Notebook.Example:8443", "", "acme"),
        ("acme.notebook.example.", "notebook.example", "acme"),
        ("acme.other.example", "notebook.example", None),
        ("notebook.example", "notebook.example", None),
        ("evilnotebook.example", "notebook.example", None),
        ("a.b.notebook.example", "notebook.example", "a.b"),
        ("localhost:8000", "", None),
        ("127.0.0.1:8000", "", None),
        ("[::1]:8000", "", None),
        ("", "", None),
    ],
)
def test_the_host_gives_the_label_in_front_of_the_domain(value: str, domain: str, tenant: str | None) -> None:
    assert from_host(host(value), domain) == tenant


@pytest.mark.parametrize(
    "value", ["acme/../x", "acme@globex.example", "acme example", "acme.example:port", "é.example"]
)
def test_what_is_no_host_is_refused(value: str) -> None:
    with pytest.raises(TenantError):
        from_host(host(value))


def test_no_host_names_nobody() -> None:
    assert from_host([]) is None


@pytest.mark.parametrize(
    ("path", "root", "tenant", "taken"),
    [
        ("/acme/notes", "", "acme", "/acme"),
        ("/acme", "", "acme", "/acme"),
        ("/api/acme/notes", "/api", "acme", "/api/acme"),
        ("/apis/acme", "/api", "apis", "/api/apis"),
        ("/", "", None, ""),
        ("//admin", "", None, ""),
        ("/api/", "/api", None, "/api"),
    ],
)
def test_the_path_gives_its_first_segment(path: str, root: str, tenant: str | None, taken: str) -> None:
    assert from_path(path, root) == (tenant, taken)


def test_a_prefix_that_is_taken_in_leaves_the_path_whole() -> None:
    scope = {"path": "/acme/notes", "raw_path": b"/acme/notes", "root_path": ""}
    assert taken_in(scope, "/acme") == {"path": "/acme/notes", "raw_path": b"/acme/notes", "root_path": "/acme"}
    assert scope["root_path"] == ""


def test_a_prefix_alone_has_a_root_of_its_own() -> None:
    child = taken_in({"path": "/acme", "raw_path": b"/%61cme"}, "/acme")
    assert (child["path"], child["raw_path"]) == ("/acme/", b"/%61cme/")
    assert taken_in({"path": "/acme"}, "/acme") == {"path": "/acme/", "root_path": "/acme"}


def test_a_claim_is_text_or_nothing() -> None:
    assert from_claims({"org_id": "acme"}, "org_id") == "acme"
    assert from_claims({}, "org_id") is None
    with pytest.raises(TenantError, match="found list") as caught:
        from_claims({"org_id": ["acme"]}, "org_id")
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("value", "token"),
    [(b"Bearer abc", "abc"), (b"bearer  abc ", "abc"), (b"abc", "abc"), (b"Basic abc", None), (b"", None)],
)
def test_a_token_stands_alone_or_behind_bearer(value: bytes, token: str | None) -> None:
    assert bearer_token([(b"authorization", value)], b"authorization") == token


def test_no_token_is_none_and_two_are_refused() -> None:
    assert bearer_token([], b"authorization") is None
    with pytest.raises(IdentityError, match="found 2"):
        bearer_token([(b"authorization", b"a"), (b"authorization", b"b")], b"authorization")


def test_a_function_is_imported_by_its_reference() -> None:
    assert function_of("posixpath:basename")("a/acme") == "acme"


@pytest.mark.parametrize("reference", ["no_such_module:f", "posixpath:no_such_function", "posixpath:sep"])
def test_a_reference_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(ConfigurationError, match=r"tenancy\.source"):
        function_of(reference)
