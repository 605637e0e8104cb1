"""No remembered secret leaves in any of the forms in which texts carry it."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pointsman.observability.scrubbing import REPLACEMENT, Scrubber

secrets = st.text(st.characters(codec="utf-8"), min_size=4, max_size=30)


@given(secrets)
def test_a71_a_secret_is_scrubbed_in_every_form(secret: str) -> None:
    scrubber = Scrubber()
    scrubber.remember(secret)
    for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assume(form not in REPLACEMENT)
        assert form not in scrubber.scrub(f"<{form}>")


def test_the_longer_of_two_secrets_goes_first() -> None:
    scrubber = Scrubber()
    scrubber.remember("hunter2")
    scrubber.remember("hunter2-and-more")
    assert scrubber.scrub("a hunter2-and-more b hunter2 c") == "a [secret] b [secret] c"


def test_each_line_of_a_key_file_is_scrubbed_alone_too() -> None:
    scrubber = Scrubber()
    scrubber.remember("-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIN\nx\n-----END KEY-----\n")
    assert scrubber.scrub("found MC4CAQAwBQYDK2VwBCIEIN in x") == "found [secret] in x"


@pytest.mark.parametrize("text", ["", "a", "abc"])
def test_what_any_text_contains_is_not_remembered(text: str) -> None:
    scrubber = Scrubber()
    scrubber.remember(text)
    assert scrubber.scrub("a abc") == "a abc"


def test_of_very_many_the_longest_unused_is_forgotten() -> None:
    scrubber = Scrubber(max_secrets=2)
    for secret in ("first", "second", "first", "third"):
        scrubber.remember(secret)
    assert scrubber.scrub("first second third") == "[secret] second [secret]"


def test_values_are_scrubbed_however_deep_and_stay_what_they_are() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd hunter2"

    scrubber = Scrubber()
    scrubber.remember("hunter2")
    value = {"hunter2": [1, 2.5, None, True, ("x hunter2", {"hunter2"})], "odd": Odd()}
    assert scrubber.scrub_value(value) == {
        "[secret]": [1, 2.5, None, True, ["x [secret]", ["[secret]"]]],
        "odd": "odd [secret]",
    }
