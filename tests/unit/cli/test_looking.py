"""Look at the local application: the tree is the library's own, and the exit code tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.declarations import Candidate
from pointsman.resolution.resolver import Resolver
from tests.unit.cli.conftest import Shell


def test_an_explanation_is_exactly_the_librarys_text(shop: Shell) -> None:
    said = shop("explain", "service/rates")
    resolver = Resolver()
    for provider, standing in {
        "bank": {"priority": 10},
        "exchange": {"priority": 5},
        "fixed": {"stack_level": -10},
        "broken": {"priority": -1},
    }.items():
        resolver.register(Candidate("service", "rates", provider, lambda: None, **standing))  # type: ignore[arg-type]
    expected = str(resolver.explain("service", "rates")).rpartition("\n")[0]
    assert said.out.rpartition("\n  catalog")[0] == expected


def test_a_bare_key_takes_its_domain_from_the_option(shop: Shell) -> None:
    bare = shop("explain", "rates", "--domain", "service", "--tenant", "acme", "--json").json
    assert bare == shop("explain", "service/rates", "--tenant", "acme", "--json").json
    assert bare["why"] == "exchange selected for acme: settings(acme) selects it"


@pytest.mark.parametrize(
    ("words", "selected"),
    [
        (("--provider", "fixed"), "fixed"),
        (("--requires", "live"), "exchange"),
        (("--provider", "fixed", "--requires", "live"), None),
        (("--subject", "somebody"), "bank"),
    ],
)
def test_what_is_asked_narrows_the_choice(shop: Shell, words: tuple[str, ...], selected: str | None) -> None:
    assert shop("explain", "service/rates", *words, "--json").json["selected"] == selected


@pytest.mark.parametrize(
    "words",
    [
        ("explain",),
        ("explain", "rates"),
        ("explain", "service/rates", "--domain", "adapter"),
        ("explain", "a b/c"),
        ("nothing-of-the-kind",),
        ("swap", "service/rates", "--reason", "x"),
        ("swap", "service/rates", "bank", "--undo", "--reason", "x"),
        ("pause", "service/rates"),
        ("drain", "service/rates", "--reason", "x", "--reach", "moon"),
    ],
)
def test_wrong_usage_ends_with_two(shop: Shell, words: tuple[str, ...]) -> None:
    assert shop(*words).code == 2


def test_an_unknown_component_is_refused_with_the_known_ones(shop: Shell) -> None:
    said = shop("explain", "service/nothing", "--json")
    assert said.code == 1
    assert said.json["code"] == "unknown-component"
    assert "service/rates" in said.err


def test_the_list_shows_who_serves_whom(shop: Shell) -> None:
    rows = {row["component"]: row for row in shop("list", "--json").json}
    rates = rows["service/rates"]
    assert rates["selected"] == "bank"
    assert rates["tenants"] == {"acme": "exchange", "initech": "bank"}
    assert [entry["provider"] for entry in rates["candidates"]][:2] == ["bank", "exchange"]
    text = shop("list").out
    assert "service/rates → bank" in text
    assert "    acme → exchange" in text
    assert "initech" not in text
    assert shop("list", "--tenant", "nobody").code == 1


def test_status_of_what_does_not_run_says_so(shop: Shell) -> None:
    facts = shop("status", "--json").json
    assert (facts["in_force"], facts["head"], facts["ready"]) == (None, None, False)
    assert "nothing is live" in shop("status").out
    assert shop("activity").out == "Everything is active.\n"


def test_health_starts_the_application_and_a_probe_makes_what_it_brings(shop: Shell) -> None:
    assert shop("health").code == 0
    probed = shop("health", "--probe", "--json")
    assert probed.code == 0
    served = {(row["component"], row["provider"]) for row in probed.json["components"]}
    assert {("service/rates", "bank"), ("service/rates", "exchange")} <= served
    narrowed = shop("health", "adapter/cache", "--probe", "--json").json["components"]
    assert {row["component"] for row in narrowed} == {"adapter/cache"}


def test_a_component_that_cannot_be_made_is_not_well(shop: Shell) -> None:
    Path("settings/services.yml").write_text("selections: {rates: broken}\n", encoding="utf-8")
    said = shop("health", "--probe", "--json")
    assert said.code == 1
    assert said.json["degraded"] is True
    failed = [row for row in said.json["components"] if row["state"] == "failed"]
    assert failed[0]["identity"] == "service/rates=broken"
    assert "no line" in failed[0]["last_error"]


def test_orders_of_a_replica_need_one_that_runs(shop: Shell) -> None:
    said = shop("swap", "service/rates", "exchange", "--reason", "x", "--reach", "replica", "--json")
    assert (said.code, said.json["code"]) == (1, "read-only-replica")
    assert "--url" in said.err


def test_settings_that_are_wrong_stop_every_command(shop: Shell) -> None:
    Path("settings/services.yml").write_text("selections: {rates: bnak}\n", encoding="utf-8")
    said = shop("explain", "service/rates", "--json")
    assert (said.code, said.json["code"]) == (1, "configuration")
    assert "bnak" in said.err


def test_installed_plugins_are_listed(shell: Shell) -> None:
    assert isinstance(shell("plugins", "--json").json, list)
    assert shell("plugins").code == 0
