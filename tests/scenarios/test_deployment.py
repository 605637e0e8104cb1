"""What is deployed says what the service answers to."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from pointsman.cli.process import GRACE_S
from tests.scenarios.image import cloned, uploaded

HOUSE = Path(__file__).parents[2]


def test_the_probes_of_the_service_are_those_that_are_answered() -> None:
    service = yaml.safe_load((HOUSE / "deploy" / "service.yaml").read_text(encoding="utf-8"))
    (container,) = service["spec"]["template"]["spec"]["containers"]
    probes = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert list(probes.values()) == ["/health/startup", "/health/live", "/health/ready"]
    assert container["readinessProbe"]["periodSeconds"] == 10
    names = [entry["name"] for entry in container["env"]]
    assert all(re.fullmatch(r"POINTSMAN_[A-Z_]+|CONTROL_KEY", name) for name in names)


def test_the_process_can_be_stopped_within_cloud_runs_ten_seconds() -> None:
    procfile = (HOUSE / "Procfile").read_text(encoding="utf-8")
    assert procfile == "web: exec python -m pointsman.cli.run app.main:app\n"
    assert GRACE_S == 7


def test_what_the_buildpack_installs_is_pinned_and_names_no_host() -> None:
    lines = (HOUSE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted[-1] == "."
    assert all(re.match(r"[a-z0-9-]+==[0-9]", line) for line in wanted[:-1])
    assert not [line for line in lines if "://" in line or "--index" in line]


def test_what_git_ignores_is_not_uploaded_but_for_the_compiled_settings(tmp_path: Path) -> None:
    source = cloned(tmp_path / "source")
    kept = {str(file.relative_to(source)) for file in source.rglob("*") if file.is_file()}
    strays = ["app/.compiled.json", "app/__pycache__/main.pyc", ".venv/bin/python", "state/notes.db", "uv.lock"]
    for name in (*strays, "settings/.compiled.json"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    assert uploaded(source) == kept - {".gcloudignore", ".gitignore"} | {"settings/.compiled.json"}
