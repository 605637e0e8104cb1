"""What a store's answer means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import StoreError, Unavailable
from pointsman.stores.answers import http_date, refusal, seconds, store_now

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Tue, 29 Feb 2028 12:00:00 GMT", datetime(2028, 2, 29, 12, tzinfo=UTC)),
        ("Tue, 29 Feb 2028 12:00:00 +0200", datetime(2028, 2, 29, 10, tzinfo=UTC)),
        ("Tue, 29 Feb 2028 12:00:00 -0000", datetime(2028, 2, 29, 12, tzinfo=UTC)),
        ("Tue, 29 Feb 2027 12:00:00 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Fri, 31 Dec 9999 23:00:00 -1400", None),
    ],
)
def test_an_http_date_is_read_as_utc_or_not_at_all(text: str | None, date: datetime | None) -> None:
    assert http_date(text) == date


@given(st.text(max_size=60))
def test_no_header_of_any_text_raises(text: str) -> None:
    http_date(text)
    seconds(text)
    store_now({"Date": text, "Age": text}, NOW)


def test_the_time_in_a_cache_counts() -> None:
    headers = {"Date": "Tue, 29 Feb 2028 12:00:00 GMT", "Age": "60"}
    assert store_now(headers, NOW) == datetime(2028, 2, 29, 12, 1, tzinfo=UTC)


def test_an_age_that_leads_out_of_the_calendar_does_not_count() -> None:
    headers = {"Date": "Fri, 31 Dec 9999 12:00:00 GMT", "Age": "9" * 30}
    assert store_now(headers, NOW) == datetime(9999, 12, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "after_s"), [("7", 7), ("9" * 40, 60), ("-1", 1), ("soon", 1), (None, 1)])
def test_retry_after_is_bounded_and_else_a_second(text: str | None, after_s: float) -> None:
    error = refusal(503, "reading head", headers={"Retry-After": text} if text else {})
    assert isinstance(error, Unavailable)
    assert error.retry_after_s == after_s


def test_what_a_store_says_is_cut_and_quoted() -> None:
    error = refusal(418, "reading head", reason="\x1b[31m" + "tea" * 1000)
    assert type(error) is StoreError
    assert not error.retryable
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400
