from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.declarations import Component
from pointsman.errors import ConfigurationError
from pointsman.resolution.selection import BUCKETS, Choices, Split, bucket_of, draw, parse_selection

CACHE = Component[Any]("adapter", "cache")
SPLIT = {"incumbent": "redis", "to": [["memory", 500]], "salt": "spring"}


def test_a_name_selects_outright() -> None:
    assert parse_selection("redis", "settings") == "redis"


def test_a_split_is_read_as_it_is_written() -> None:
    assert parse_selection(SPLIT, "settings") == Split("redis", (("memory", 500),), "spring")
    assert parse_selection({"incumbent": "a", "to": [("b", 0), ["c", 10_000]]}, "x") == Split(
        "a", (("b", 0), ("c", 10_000))
    )


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "expected a provider, or a split"),
        (7, "expected a provider, or a split"),
        ("", "a provider of letters"),
        ("re dis", "a provider of letters"),
        ({}, "expected a provider, or a split"),
        ({"incumbent": "redis"}, "expected a provider, or a split"),
        ({"to": [["memory", 1]]}, "expected a provider, or a split"),
        ({**SPLIT, "weight": 3}, "expected a provider, or a split"),
        ({**SPLIT, "incumbent": "re/dis"}, "the incumbent of letters"),
        ({**SPLIT, "incumbent": None}, "the incumbent of letters"),
        ({**SPLIT, "to": []}, "found 0 with 0"),
        ({**SPLIT, "to": 500}, "a list of challengers"),
        ({**SPLIT, "to": None}, "a list of challengers"),
        ({**SPLIT, "to": {"memory": 500}}, "a list of challengers"),
        ({**SPLIT, "to": "ab"}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["memory"]]}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["memory", 1, 2]]}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["memory", "5"]]}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["memory", 5.0]]}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["memory", True]]}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["memory", -1]]}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["memory", 10_001]]}, "[provider, weight in 1/10 000]"),
        ({**SPLIT, "to": [["mem ory", 5]]}, "a challenger of letters"),
        ({**SPLIT, "to": [["memory", 6_000], ["disk", 4_001]]}, "found 2 with 10001"),
        ({**SPLIT, "to": [["redis", 5]]}, "each provider once"),
        ({**SPLIT, "to": [["memory", 5], ["memory", 6]]}, "each provider once"),
        ({**SPLIT, "salt": 7}, "a salt of at most 128"),
        ({**SPLIT, "salt": "x" * 129}, "a salt of at most 128"),
    ],
)
def test_what_is_no_selection_is_refused_with_its_place(value: object, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_selection(value, "settings/adapters.yml: cache")
    assert complaint in str(refused.value)
    assert "settings/adapters.yml: cache: " in str(refused.value)


def test_weights_may_fill_all_buckets() -> None:
    split = parse_selection({**SPLIT, "to": [["memory", 4_000], ["disk", 6_000]]}, "x")
    assert isinstance(split, Split)
    assert {draw(split, CACHE, f"s{n}") for n in range(200)} == {"memory", "disk"}


def test_a_split_reads_as_percentages_and_names_its_incumbent_first() -> None:
    split = Split("redis", (("memory", 500), ("disk", 1)), "s")
    assert str(split) == "redis (split: memory 5 %, disk 0.01 %)"
    assert split.providers == ("redis", "memory", "disk")


def test_without_a_subject_the_incumbent_serves_whatever_the_weights() -> None:
    assert draw(Split("redis", (("memory", BUCKETS),)), CACHE, None) == "redis"


def test_an_empty_subject_is_a_subject() -> None:
    assert draw(Split("redis", (("memory", BUCKETS),)), CACHE, "") == "memory"


def test_a_subject_that_is_no_valid_unicode_still_has_a_bucket() -> None:
    assert 0 <= bucket_of("salt", CACHE, "\udcff") < BUCKETS


@pytest.mark.parametrize(
    ("salt", "component", "subject"),
    [("autumn", CACHE, "acme"), ("spring", ("adapter", "queue"), "acme"), ("spring", ("task", "cache"), "acme"),
     ("spring", CACHE, "globex")],
)  # fmt: skip
def test_salt_component_and_subject_all_move_the_bucket(salt: str, component: Component[Any], subject: str) -> None:
    assert bucket_of(salt, component, subject) != bucket_of("spring", CACHE, "acme")


def test_a_layer_yields_every_rule_with_the_tenant_that_it_is_for() -> None:
    queue = Component[Any]("adapter", "queue")
    choices = Choices({CACHE: "redis", queue: "nats"}, {"acme": {CACHE: "memory"}, "globex": {}})
    assert list(choices) == [(None, CACHE, "redis"), (None, queue, "nats"), ("acme", CACHE, "memory")]
    assert list(Choices()) == []


names = st.text(max_size=12)
weights = st.integers(0, BUCKETS)


@settings(deadline=None, max_examples=150)
@given(salt=names, subjects=st.lists(names, max_size=40), lower=weights, higher=weights)
def test_raising_the_weight_of_one_challenger_moves_nobody_back(
    salt: str, subjects: list[str], lower: int, higher: int
) -> None:
    lower, higher = sorted((lower, higher))
    before, after = (
        {subject for subject in subjects if draw(Split("a", (("b", weight),), salt), CACHE, subject) == "b"}
        for weight in (lower, higher)
    )
    assert before <= after


@settings(deadline=None, max_examples=150)
@given(
    salt=names,
    subject=names,
    to=st.lists(weights, min_size=1, max_size=5).filter(lambda all_weights: sum(all_weights) <= BUCKETS),
)
def test_challengers_take_buckets_from_0_in_their_order_and_the_incumbent_the_rest(
    salt: str, subject: str, to: list[int]
) -> None:
    split = Split("incumbent", tuple((f"c{place}", weight) for place, weight in enumerate(to)), salt)
    owners = [f"c{place}" for place, weight in enumerate(to) for _ in range(weight)]
    owners += ["incumbent"] * (BUCKETS - len(owners))
    assert draw(split, CACHE, subject) == owners[bucket_of(salt, CACHE, subject)]


def test_the_share_of_a_challenger_is_its_weight() -> None:
    split = Split("redis", (("memory", 2_500),), "fair")
    drawn = sum(draw(split, CACHE, f"tenant-{number}") == "memory" for number in range(8_000))
    assert 1_850 < drawn < 2_150  # four standard deviations; the draw is fixed, so this never flickers
