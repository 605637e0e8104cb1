from __future__ import annotations

import pytest

from pointsman.control.commands import (
    MAX_REASON,
    MAX_TENANTS,
    Outcome,
    base_of,
    body_digest,
    check_plain,
    etag,
    operation_id,
)
from pointsman.errors import InputError
from pointsman.resolution.selection import Split


def test_a_command_touches_one_key_for_everyone_or_one_for_each_tenant(swap):
    assert swap().touched == ("adapter/cache|*|use",)
    assert swap(tenants=("zoe", "acme", "zoe")).touched == ("adapter/cache|acme|use", "adapter/cache|zoe|use")


@pytest.mark.parametrize(
    ("kind", "slot"), [("use", "use"), ("split", "use"), ("pause", "gate"), ("drain", "gate"), ("gate", "gate")]
)
def test_a_split_is_a_use_and_pauses_and_drains_share_the_gate(swap, kind, slot):
    value = Split("redis", (("memory", 500),)) if kind == "split" else "memory" if kind == "use" else None
    assert swap(kind=kind, value=value, clear=kind == "gate").slot == slot


@pytest.mark.parametrize(
    "given",
    [
        {"reason": ""},
        {"reason": "x" * (MAX_REASON + 1)},
        {"reason": "down\nup"},
        {"reason": "\u202eegral"},
        {"who": "ada\u2066"},
        {"idempotency_key": ""},
        {"idempotency_key": "a\tb"},
        {"tenants": ()},
        {"tenants": ("*",)},
        {"tenants": ("",)},
        {"tenants": ("a\r\nb",)},
        {"tenants": tuple(f"t{n}" for n in range(MAX_TENANTS + 1))},
        {"ttl_s": 0.0},
        {"ttl_s": float("nan")},
        {"ttl_s": float("inf")},
        {"clear": True, "ttl_s": 5.0},
        {"clear": True, "value": "memory"},
        {"if_match": "12"},
        {"if_match": '"s12'},
        {"value": None},
        {"value": "no spaces"},
        {"value": "x" * 129},
        {"value": Split("redis", (("memory", 500),))},
        {"kind": "split"},
        {"kind": "split", "value": Split("redis", (("no spaces", 500),))},
        {"kind": "split", "value": Split("redis", (("memory", 500),), "s" * 129)},
        {"kind": "pause", "value": "memory"},
        {"kind": "gate"},
    ],
)
def test_what_is_malformed_never_becomes_a_command(swap, given):
    with pytest.raises(InputError) as refused:
        swap(**given)
    assert refused.value.errors


def test_joiners_of_scripts_that_need_them_are_plain():
    assert check_plain("می\u200cخواهم, it is down – now ✓") is None
    assert check_plain("a\u061cb") == "\u061c"


def test_one_caller_cannot_take_another_callers_operation():
    assert operation_id("ada", "1") != operation_id("ad", "a1")
    assert operation_id("a", "b|c") != operation_id("a|b", "c")
    assert len(operation_id("ada", "1")) == 64


def test_the_body_is_all_but_who_and_how_often(swap):
    one = swap(tenants=("b", "a"))
    assert body_digest(one) == body_digest(swap(tenants=("a", "b"), who="eve", if_match="*", idempotency_key="k"))
    for given in ({"reason": "other"}, {"value": "redis"}, {"tenants": None}, {"force": True}, {"ttl_s": 5.0}):
        assert body_digest(one) != body_digest(swap(**{"tenants": ("a", "b"), **given}))


def test_the_body_of_a_split_is_json(swap):
    command = swap(kind="split", value=Split("redis", (("memory", 500),), "salt"))
    assert command.body()["value"] == {"incumbent": "redis", "to": [["memory", 500]], "salt": "salt"}


def test_an_etag_is_read_back_quoted_or_not():
    assert base_of(etag(12)) == 12
    assert base_of("s12") == 12
    assert base_of(" * ") is None
    assert Outcome(operation="x", cseq=7, local="applied", fleet="converging", bound_s=60).etag == '"s7"'
