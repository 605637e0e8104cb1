from __future__ import annotations

from collections.abc import Callable

import pytest

from pointsman.declarations import Candidate
from pointsman.errors import ConfigurationError
from pointsman.resolution.contribution import Source
from pointsman.resolution.precedence import (
    Registration,
    beats,
    deciding_rule,
    infer_priority,
    ordinal,
    parse_stack_order,
    register_as,
    standing,
)

Make = Callable[..., Candidate]


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", {}),
        (" , ,", {}),
        ("sites:100,splash:50,base:10", {"sites": 100, "splash": 50, "base": 10}),
        ("a,b,c", {"a": 0, "b": 10, "c": 20}),
        ("a:7,b,c:-3,d", {"a": 7, "b": 10, "c": -3, "d": 30}),
        (" a : 5 , b ", {"a": 5, "b": 10}),
        ("a,,b", {"a": 0, "b": 10}),
        ("a:1,a:2", {"a": 2}),
    ],
)
def test_a_stack_order_gives_priorities_by_package(text: str, order: dict[str, int]) -> None:
    assert parse_stack_order(text) == order


@pytest.mark.parametrize("text", ["a:", "a:b", "a:1.5", "a:1:2", ":5", ":", "ok:1,a:x", "a: one"])
def test_a_malformed_stack_order_is_refused_with_the_entry_and_a_good_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match="POINTSMAN_STACK_ORDER: expected name or name:integer") as refused:
        parse_stack_order(text)
    assert repr(text.rpartition(",")[2].strip()) in str(refused.value)
    assert refused.value.hint == "POINTSMAN_STACK_ORDER=sites:100,splash:50,base:10"


@pytest.mark.parametrize(
    ("path", "priority"),
    [
        ("adapters", 79),
        ("/adapters", 78),  # the leading / is a part
        ("/srv/adapters/cache.py", 76),
        ("services", 69),
        ("tasks", 59),
        ("events", 59),
        ("workflows", 59),
        ("vendor", 89),
        ("vendor/adapters", 78),  # tried in the table's order, not the highest
        ("events/tasks", 58),
        ("workflows/services", 68),
        ("/a/b/c/d/e/f/g/h/adapters", 70),
        ("/a/b/c/d/e/f/g/h/i/j/k/l/adapters", 70),  # ten at most
        ("/srv/my_adapters/cache.py", 0),
        ("/srv/adapters.py", 0),
        ("/srv/Adapters/x.py", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_the_place_of_a_package_implies_a_priority(path: str | None, priority: int) -> None:
    assert infer_priority("acme", path, {}) == priority


def test_the_name_of_a_package_counts_before_its_place() -> None:
    assert infer_priority("acme", "/adapters", {"acme": 0}) == 0
    assert infer_priority("other", "/adapters", {"acme": 0}) == 78
    assert infer_priority(None, "/adapters", {"": 5}) == 78
    assert infer_priority("", "/adapters", {"": 5}) == 78


@pytest.mark.parametrize(
    ("explicit", "inferred", "priority"),
    [(None, None, 0), (None, 75, 75), (0, 75, 0), (-5, 75, -5), (3, None, 3), (None, 0, 0), (None, -2, -2)],
)
def test_an_explicit_priority_counts_before_the_inferred_one_and_0_counts(
    candidate: Make, explicit: int | None, inferred: int | None, priority: int
) -> None:
    assert register_as(candidate("redis", priority=explicit), Source.CODE, 1, inferred).priority == priority


def registered(candidate: Candidate, sequence: int = 1, source: Source = Source.CODE) -> Registration:
    return register_as(candidate, source, sequence)


def test_rank_weighs_priority_then_level_then_source_then_sequence(candidate: Make) -> None:
    best_first = [
        registered(candidate("a", priority=2, stack_level=-9)),
        registered(candidate("b", priority=1, stack_level=5)),
        registered(candidate("c", priority=1), 1, Source.MANIFEST),
        registered(candidate("d", priority=1), 7, Source.SETTINGS),
        registered(candidate("e", priority=1), 8, Source.PLUGIN),
        registered(candidate("f", priority=1), 9),
        registered(candidate("g", priority=1), 8),
        registered(candidate("h", priority=-1, stack_level=99), 99),
    ]
    assert sorted(best_first, key=lambda entry: entry.rank, reverse=True) == best_first


def test_the_deciding_rule_is_the_first_in_which_two_differ(candidate: Make) -> None:
    high = registered(candidate("high", priority=10), 1)
    level = registered(candidate("level", stack_level=2), 2)
    first = registered(candidate("first"), 3)
    second = registered(candidate("second"), 4)
    assert [deciding_rule(high, level), deciding_rule(level, first), deciding_rule(second, first)] == [
        "priority", "stack level", "registration order",
    ]  # fmt: skip
    assert deciding_rule(high, None) == "only candidate"
    assert beats(high, level) == "priority 10 beats level's 0"
    assert beats(level, first) == "stack level 2 beats first's 0 at equal priority 0"
    assert beats(second, first) == "registered after first, at equal priority and stack level"
    assert beats(high, None) == "it is the only eligible candidate"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"priority": 5}, ("priority 5",)),
        ({"priority": -5, "stack_level": 3}, ("priority -5",)),
        ({"stack_level": -10}, ("priority 0", "stack level -10")),
        ({}, ("priority 0", "stack level 0", "registered 3rd")),
        ({"priority": 0}, ("priority 0", "stack level 0", "registered 3rd")),
    ],
)
def test_a_candidate_says_what_it_brings_up_to_the_first_value_that_is_not_0(
    candidate: Make, options: dict[str, int], said: tuple[str, ...]
) -> None:
    assert standing(registered(candidate("x", **options)), 3) == said


def test_ordinals_read_as_english() -> None:
    numbers = [1, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 23, 101, 111, 112, 113, 121, 1011]
    assert " ".join(map(ordinal, numbers)) == (
        "1st 2nd 3rd 4th 10th 11th 12th 13th 20th 21st 22nd 23rd 101st 111th 112th 113th 121st 1011th"
    )
