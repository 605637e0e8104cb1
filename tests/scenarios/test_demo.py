"""The demo does the whole job, every line of its page works, and it leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios.shell import CHECKOUT, PATIENCE_S, ended, run, running

NOTE = {"title": "Rails", "text": "Points move. Trains follow points. Signals protect trains."}


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the line that says that the demo is ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate(timeout=PATIENCE_S)[1])
    facts: dict[str, Any] = json.loads(line)
    return facts


def page(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines of the page, up to its last."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("Ctrl-C"):
            return lines
    raise AssertionError(process.communicate(timeout=PATIENCE_S)[1])


def summary(facts: dict[str, Any], tenant: str, note: int) -> httpx.Response:
    url = f"{facts['url']}/notes/{note}/summary"
    return httpx.get(url, headers={"X-Tenant-ID": tenant}, trust_env=False)


def test_one_line_tells_where_it_is_and_the_whole_job_works() -> None:
    with running("demo", "--port", "0", "--json") as process:
        facts = ready(process)
        assert sorted(facts) == ["admin", "state", "tenants", "token", "url"]
        assert facts["tenants"] == ["acme", "globex", "initech"]
        assert facts["admin"] == f"{facts['url']}/admin"
        assert Path(facts["state"]).is_dir()
        assert Path(facts["state"]).stat().st_mode & 0o077 == 0

        with httpx.Client(base_url=facts["url"], trust_env=False) as client:
            operator = {"Authorization": f"Bearer {facts['token']}"}
            why = client.get("/admin/explain/service/summarizer?tenant=acme", headers=operator).json()
            assert (why["selected"], why["why"]) == (
                "keywords",
                "keywords selected for acme: manifest(acme) selects it",
            )
            notes = {
                tenant: client.post("/notes", json=NOTE, headers={"X-Tenant-ID": tenant}).json()["id"]
                for tenant in facts["tenants"]
            }
            assert len(summary(facts, "acme", notes["acme"]).json()["terms"]) == 3
            assert summary(facts, "globex", notes["globex"]).json() == {"sentences": ["Points move."], "terms": []}

            order = {"domain": "service", "key": "summarizer", "reason": "a test"}
            swapped = client.post(
                "/admin/swap", json={**order, "tenant": "globex", "provider": "keywords"}, headers=operator
            )
            assert (swapped.status_code, swapped.json()["local"]) == (202, "applied")
            assert summary(facts, "globex", notes["globex"]).json()["terms"]
            assert client.post("/admin/pause", json=order, headers=operator).status_code == 202
            refused = summary(facts, "acme", notes["acme"])
            assert (refused.status_code, refused.json()["code"]) == (503, "component-paused")
            assert client.post("/admin/resume", json=order, headers=operator).status_code == 202
            assert summary(facts, "acme", notes["acme"]).status_code == 200

            assert client.get("/admin/components").status_code == 401
            assert client.get("/admin/components", headers={**operator, "Host": "evil.example"}).status_code != 200
        code, out, err = ended(process, signal.SIGINT)
    assert (code, out) == (0, ""), err
    assert not Path(facts["state"]).exists()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_every_line_of_the_page_works_in_any_order(tmp_path: Path) -> None:
    with running("demo", "--port", "0") as process:
        lines = [line for line in page(process) if line.startswith("curl ")]
        assert len(lines) == 5
        for line in [*reversed(lines), *lines]:
            pasted = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            assert pasted.returncode == 0, pasted.stderr
            answers = [json.loads(answer) for answer in pasted.stdout.splitlines()]
            refused = [answer for answer in answers if answer.get("status", 200) >= 400]
            assert [problem["code"] for problem in refused] == (["component-paused"] if "/admin/pause" in line else [])
        assert ended(process, signal.SIGTERM)[0] == 0


def test_a_state_folder_is_kept_and_used_again(tmp_path: Path) -> None:
    words = ("demo", "--port", "0", "--json", "--state", str(tmp_path / "state"))
    kept = ("keys/control.key", "keys/root.key", "root.dsse.json", "manifest.dsse.json")
    with running(*words) as process:
        facts = ready(process)
        httpx.post(
            f"{facts['admin']}/swap",
            json={"domain": "service", "key": "summarizer", "tenant": "acme", "provider": "lead", "reason": "kept"},
            headers={"Authorization": f"Bearer {facts['token']}"},
            trust_env=False,
        ).raise_for_status()
        assert ended(process, signal.SIGTERM)[0] == 0
    before = {name: (tmp_path / "state" / name).read_bytes() for name in kept}
    with running(*words) as process:
        again = ready(process)
        assert again["token"] != facts["token"]
        listed = httpx.get(f"{again['url']}/notes", headers={"X-Tenant-ID": "acme"}, trust_env=False).json()
        assert len(listed) == 1
        assert len(summary(again, "acme", listed[0]["id"]).json()["sentences"]) == 2  # the order of the first run
        assert ended(process, signal.SIGINT)[0] == 0
    assert {name: (tmp_path / "state" / name).read_bytes() for name in kept} == before


def test_a_port_that_is_taken_is_refused_when_it_was_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = run("demo", "--port", str(taken.getsockname()[1]), "--json", TMPDIR=str(tmp_path))
    assert said.returncode == 1
    assert json.loads(said.stdout)["code"] == "configuration"
    assert list(tmp_path.iterdir()) == []


def test_without_the_reference_service_it_says_what_is_missing(tmp_path: Path) -> None:
    package = tmp_path / "site"
    shutil.copytree(CHECKOUT / "framework" / "pointsman", package / "pointsman")
    said = run("demo", folder=tmp_path, PYTHONPATH=str(package))
    assert said.returncode == 1
    assert "clone of the repository" in said.stderr


def test_a_store_that_other_keys_signed_is_refused(tmp_path: Path) -> None:
    store = f"file://{tmp_path / 'fleet'}"
    with running("demo", "--port", "0", "--json", "--store", store) as process:
        ready(process)
        ended(process, signal.SIGINT)
    assert (tmp_path / "fleet" / "head").is_file()
    said = run("demo", "--port", "0", "--json", "--store", store)
    assert said.returncode == 1
    assert json.loads(said.stdout)["code"] == "bad-signature"
