"""The board holds what lives or failed lately, and nothing of what is gone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.lifecycle.reporting import in_words
from pointsman.lifecycle.status import Board, Status, write_board
from tests.workshop import EPOCH


class Named(SimpleNamespace):
    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return str(self.name)


def identity(name: str) -> Any:
    return Named(name=name, recipe=SimpleNamespace(provider="redis"))


def test_the_last_life_of_an_identity_takes_its_status_along() -> None:
    board, one = Board(), identity("one")
    board.began(one, EPOCH)
    board.began(one, EPOCH)
    board.ended(one)
    assert board.get(one) == Status("ready", "redis", None, EPOCH)
    board.forget(one)  # not while it lives
    assert board.get(one).state == "ready"
    board.ended(one)
    assert board.get(one) == Status()
    board.note(one, state="failed", last_error="down")
    board.forget(one)
    assert board.as_dict() == {}


def test_what_is_written_is_sorted_json_with_times_as_text(tmp_path: Path) -> None:
    board = Board()
    board.began(identity("two"), EPOCH)
    board.note(identity("one"), state="failed", last_error="down")
    write_board(tmp_path / "deep" / "status.json", board.as_dict())
    written = json.loads((tmp_path / "deep" / "status.json").read_text())
    assert list(written) == ["one", "two"]
    assert written["two"]["last_activated_at"] == "2026-01-15T12:00:00+00:00"
    assert written["one"]["last_error"] == "down"


def test_identities_of_one_name_are_both_shown() -> None:
    board = Board()
    for settings in ("acme.db", "globex.db"):
        board.began(
            Named(name="adapter/database=sqlite", settings=settings, recipe=SimpleNamespace(provider="")), EPOCH
        )
    assert list(board.as_dict()) == ["adapter/database=sqlite", "adapter/database=sqlite #2"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError("down"), "OSError: down"),
        (TimeoutError(), "TimeoutError"),
        (BaseExceptionGroup("many", [OSError("down"), ExceptionGroup("more", [ValueError("odd")])]),
         "OSError: down; ValueError: odd"),
    ],
)  # fmt: skip
def test_a_group_of_errors_is_told_by_what_it_holds(error: BaseException, text: str) -> None:
    assert in_words(error) == text
