from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.resolution.catalog import Catalog
from pointsman.resolution.contribution import Contribution
from pointsman.resolution.decision import Question
from pointsman.resolution.explanation import Explanation, Resolution
from pointsman.resolution.resolver import explain_in, resolve_in
from pointsman.resolution.selection import Choices, Split

MakeCatalog = Callable[..., Catalog]
RATES = Component[Any]("service", "rates")

TREE = """\
service/rates for acme → bank
  decided by  priority
  why         bank selected for acme: priority 10 beats exchange's 5 (no explicit selection)
  layers      replica(acme) – · replica – · control(acme) – · control – · settings(acme) – · manifest(acme) – · settings – · manifest –
  shadowed    exchange   priority 5
              contract   priority 0, stack level 0, registered 3rd
              cached     priority 0, stack level -1
              fixed      priority 0, stack level -10
  ineligible  –
  catalog     17"""  # noqa: E501 - as the shell prints it


def rates(provider: str, **options: Any) -> Candidate:
    return Candidate("service", "rates", provider, f"candidates:{provider}", **options)


@pytest.fixture
def sample(catalog_of: MakeCatalog) -> Catalog:
    """The candidates of the sample, in the order in which it includes them."""
    return catalog_of(
        rates("bank", priority=10, capabilities={"live"}, constraints=Constraints(not_tenants={"initech"})),
        rates("cached", stack_level=-1),
        rates("contract", lifetime="tenant"),
        rates("exchange", priority=5),
        rates("fixed", stack_level=-10),
        serial=17,
    )


def explained(catalog: Catalog, tenant: str | None = None) -> Explanation:
    return explain_in(catalog, Question(RATES, tenant))


def resolved(catalog: Catalog) -> Resolution:
    return resolve_in(catalog, Question(RATES, "acme"))


def test_the_tree_is_the_one_of_the_sample_to_the_letter(sample: Catalog) -> None:
    assert str(explained(sample, "acme")) == TREE


def test_the_sentence_about_initech_is_the_one_of_the_sample(sample: Catalog) -> None:
    assert explained(sample, "initech").why == (
        "exchange selected for initech: priority 5 beats contract's 0 (no explicit selection); bank is ineligible"
    )


def test_a_tree_without_tenant_or_winner_still_stands(catalog_of: MakeCatalog) -> None:
    catalog = catalog_of(
        rates("bank", constraints=Constraints(tenants=["acme"])),
        rates("contract", constraints=Constraints(tenants=["acme"])),
        manifest=Contribution(choices=Choices({RATES: Split("bank", (("contract", 250),))})),
        serial=3,
    )
    assert str(explained(catalog)) == (
        "service/rates → nothing\n"
        "  decided by  explicit selection\n"
        "  why         manifest selects bank for service/rates, and it cannot serve (only for tenants acme).\n"
        "  layers      replica – · control – · settings – · manifest bank (split: contract 2.5 %)\n"
        "  shadowed    –\n"
        "  ineligible  contract   only for tenants acme\n"
        "              bank       only for tenants acme\n"
        "  catalog     3"
    )


def test_the_record_is_plain_json_and_complete(sample: Catalog) -> None:
    record = explained(sample, "initech").as_dict()
    assert json.loads(json.dumps(record)) == record
    assert record == {
        "component": "service/rates",
        "tenant": "initech",
        "selected": "exchange",
        "why": explained(sample, "initech").why,
        "decided_by": "priority",
        "reasons": ["priority 5"],
        "shadowed": [
            {"provider": "contract", "reasons": ["priority 0", "stack level 0", "registered 3rd"]},
            {"provider": "cached", "reasons": ["priority 0", "stack level -1"]},
            {"provider": "fixed", "reasons": ["priority 0", "stack level -10"]},
        ],
        "ineligible": [{"provider": "bank", "reasons": ["not for tenant initech"]}],
        "layers": [
            "replica(initech) –", "replica –", "control(initech) –", "control –",
            "settings(initech) –", "manifest(initech) –", "settings –", "manifest –",
        ],
        "catalog": 17,
    }  # fmt: skip


def test_the_record_of_nothing_says_null(catalog_of: MakeCatalog) -> None:
    record = explained(catalog_of()).as_dict()
    assert (record["selected"], record["tenant"], record["reasons"], record["shadowed"]) == (None, None, [], [])


class Teller:
    """Tells the same explanation whenever it is asked, and counts."""

    def __init__(self, told: Explanation) -> None:
        self.told = told
        self.asked = 0

    def __call__(self) -> Explanation:
        self.asked += 1
        return self.told


@pytest.fixture
def teller(sample: Catalog) -> Teller:
    told = explained(sample, "initech")
    return Teller(Explanation(**{each.name: getattr(told, each.name) for each in fields(told)}))


def test_words_are_made_when_a_field_is_first_read_and_once(teller: Teller) -> None:
    later = Explanation.when_read(teller)
    assert teller.asked == 0
    for each in fields(later):
        assert getattr(later, each.name) is getattr(teller.told, each.name)
    assert later.as_dict() == teller.told.as_dict()
    assert teller.asked == 1


@pytest.mark.parametrize("read", [str, repr, hash, Explanation.as_dict, lambda one: replace(one, tenant="acme")])
def test_what_is_told_later_cannot_be_told_from_what_is_told(teller: Teller, read: Callable[[Any], Any]) -> None:
    assert read(Explanation.when_read(teller)) == read(teller.told)
    assert Explanation.when_read(teller) == teller.told
    assert teller.told == Explanation.when_read(teller)
    assert replace(teller.told, why="else") != Explanation.when_read(teller)


def test_an_explanation_has_no_other_attributes_and_looking_for_one_tells_nothing(teller: Teller) -> None:
    later: Any = Explanation.when_read(teller)
    with pytest.raises(AttributeError, match="Explanation has no attribute 'winner'"):
        _ = later.winner
    for name in ("__len__", "__fspath__", "__deepcopy__"):
        assert not hasattr(later, name)
    assert teller.asked == 0


def test_an_explanation_cannot_be_changed_before_or_after_it_is_told(teller: Teller) -> None:
    later: Any = Explanation.when_read(teller)
    for _ in range(2):
        with pytest.raises(FrozenInstanceError):
            later.why = "because"
        assert later.why == teller.told.why


def test_an_explanation_whose_fields_are_not_there_yet_is_no_endless_loop() -> None:
    empty: Any = object.__new__(Explanation)
    with pytest.raises(AttributeError, match="_tell"):
        _ = empty.why


async def test_awaiting_a_resolution_gives_itself(sample: Catalog) -> None:
    resolution = resolved(sample)
    assert await resolution is resolution
    assert await (await resolution) is resolution


def test_awaiting_a_resolution_takes_no_turn_of_any_loop(sample: Catalog) -> None:
    resolution = resolved(sample)
    with pytest.raises(StopIteration) as ended:
        next(resolution.__await__())
    assert ended.value.value is resolution


def test_using_a_resolution_as_the_object_tells_where_the_object_is(catalog_of: MakeCatalog) -> None:
    catalog = catalog_of(Candidate("adapter", "cache", "redis", "m:f"))
    resolution: Any = resolve_in(catalog, Question(Component("adapter", "cache")))
    with pytest.raises(AttributeError) as missing:
        resolution.get("x")
    assert str(missing.value) == (
        "Resolution has no attribute 'get'. resolve() says which candidate serves adapter/cache (redis); "
        "it does not make it.\n"
        '  For the live object: `await components(request).get("adapter", "cache")` '
        'or `await lifecycle.activate("adapter", "cache")`.'
    )
    assert not hasattr(resolution, "set")


def test_protocols_that_look_for_special_methods_find_none(sample: Catalog) -> None:
    resolution: Any = resolved(sample)
    for name in ("__len__", "__aenter__", "__fspath__", "__deepcopy__"):
        assert not hasattr(resolution, name)


def test_a_resolution_whose_fields_are_not_there_yet_is_no_endless_loop() -> None:
    empty: Any = object.__new__(Resolution)
    with pytest.raises(AttributeError, match="component"):
        _ = empty.component
    with pytest.raises(AttributeError, match="component"):
        _ = empty.anything


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value)), lambda value: replace(value)],
    ids=["copy", "deepcopy", "pickle", "replace"],
)
def test_resolutions_and_explanations_are_copied_and_pickled(sample: Catalog, again: Callable[[Any], Any]) -> None:
    for value in (resolved(sample), explained(sample, "acme")):
        twin = again(value)
        assert type(twin) is type(value)
        assert twin == value
        assert str(twin) == str(value)


def test_a_resolution_cannot_be_changed(sample: Catalog) -> None:
    resolution: Any = resolved(sample)
    with pytest.raises(FrozenInstanceError):
        resolution.provider = "fixed"
