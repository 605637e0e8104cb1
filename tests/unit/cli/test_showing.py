"""The page of the demo: five lines for a shell, each of them what its title says."""

from __future__ import annotations

import json
import shlex

from pointsman.cli.showing import Demo, page, steps

DEMO = Demo("http://127.0.0.1:8080", "t0ken", ("acme", "globex", "initech"), {"acme": 3, "globex": 1}, "/tmp/demo")


def test_five_lines_are_five_commands_that_send_what_the_api_reads() -> None:
    lines = [shlex.split(line) for _, line in steps(DEMO)]
    assert [words[0] for words in lines] == ["curl"] * 5
    bodies = [json.loads(words[place + 1]) for words in lines for place, word in enumerate(words) if word == "-d"]
    swap = {"domain": "service", "key": "summarizer", "tenant": "globex", "provider": "keywords", "reason": "the demo"}
    assert swap in bodies
    assert lines[0][-1] == "http://127.0.0.1:8080/admin/explain/service/summarizer?tenant=acme"
    assert lines[1][-1] == "http://127.0.0.1:8080/notes/3/summary"
    assert lines[4][-1] == "http://127.0.0.1:8080/admin/resume"


def test_the_page_says_where_and_by_whom() -> None:
    text = page(DEMO)
    assert text.startswith("The reference notebook serves acme, globex, initech at http://127.0.0.1:8080\n")
    assert "  token      t0ken\n" in text
    assert text.count("\ncurl ") == 5


def test_json_tells_the_same_in_one_document() -> None:
    assert DEMO.facts() == {
        "url": "http://127.0.0.1:8080",
        "admin": "http://127.0.0.1:8080/admin",
        "token": "t0ken",
        "tenants": ["acme", "globex", "initech"],
        "state": "/tmp/demo",
    }
