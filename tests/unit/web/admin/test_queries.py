from __future__ import annotations

import pytest

from pointsman.errors import InputError
from pointsman.web.admin.queries import Query


def names(error: InputError) -> list[tuple[str, str]]:
    return [(one["name"], one["code"]) for one in error.errors]


def test_values_are_read_as_they_are_said() -> None:
    asked = Query(
        b"tenant=acme&requires=a,b&requires=c&probe=Yes&limit=7",
        ("tenant", "requires", "probe", "limit"),
        ("requires",),
    )
    assert (asked.text("tenant"), asked.texts("requires")) == ("acme", ("a", "b", "c"))
    assert (asked.flag("probe"), asked.number("limit", 50, 500)) == (True, 7)


def test_what_is_not_said_has_a_default() -> None:
    asked = Query(b"", ("tenant",))
    assert (asked.text("tenant"), asked.texts("requires"), asked.flag("probe"), asked.number("limit", 50, 500)) == (
        None, (), False, 50,
    )  # fmt: skip


def test_every_unknown_or_repeated_name_is_told() -> None:
    with pytest.raises(InputError) as caught:
        Query(b"dryrun=true&a=1&a=2&" + b"x" * 80 + b"=1", ("dry_run", "a"))
    assert names(caught.value) == [("dryrun", "unknown"), ("x" * 64, "unknown"), ("a", "twice")]
    with pytest.raises(InputError):
        Query(b"dry_run=true", ())


@pytest.mark.parametrize("text", [b"maybe", b"", b"truth", b"2"])
def test_a_flag_is_true_or_false(text: bytes) -> None:
    with pytest.raises(InputError) as caught:
        Query(b"dry_run=" + text, ("dry_run",)).flag("dry_run")
    assert names(caught.value) == [("dry_run", "invalid")]


@pytest.mark.parametrize("text", ["0", "501", "-1", "many", "", "%D9%A3", "9" * 5000])
def test_a_number_is_within_its_bounds(text: str) -> None:
    with pytest.raises(InputError):
        Query(f"limit={text}".encode(), ("limit",)).number("limit", 50, 500)


def test_a_query_without_end_is_refused() -> None:
    with pytest.raises(InputError):
        Query(b"&".join(b"requires=a" for _ in range(65)), ("requires",), ("requires",))
