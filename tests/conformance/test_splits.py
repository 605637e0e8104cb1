"""A split gives every subject the provider that the vectors say, in every process and release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.declarations import parse_component
from pointsman.resolution.selection import Split, bucket_of, draw, parse_selection

GROUPS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("splits.json").read_text("utf-8"))["splits"]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group['component']}-{group['split']['salt']}")
def test_every_subject_has_the_bucket_and_the_provider_of_the_vectors(group: dict[str, Any]) -> None:
    component = parse_component(group["component"])
    split = parse_selection(group["split"], "a vector")
    assert isinstance(split, Split)
    drawn = [
        [subject, bucket_of(split.salt, component, subject), draw(split, component, subject)]
        for subject, *_ in group["drawn"]
    ]
    assert drawn == group["drawn"]
    assert draw(split, component, None) == group["split"]["incumbent"]


def test_the_vectors_reach_both_ends_and_both_sides_of_every_edge() -> None:
    rows = [row for group in GROUPS for row in group["drawn"]]
    assert {0, 9_999} <= {bucket for _, bucket, _ in rows}
    assert len(rows) > 200
