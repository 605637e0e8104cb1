"""An image without containers: what `gcloud run deploy --source .` uploads, and what Google's buildpack makes of it.

Source: the Cloud SDK's ``gcloudignore.py``; ``GoogleCloudPlatform/buildpacks``, ``pkg/python``: the way with uv, which
Python 3.14 is built by. Earlier ones get pip with ``--no-compile``, and the same compilation after it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scenarios.shell import CHECKOUT

INCLUDE = "#!include:"
INSTALLATION = ("uv", "pip", "install", "--requirement", "requirements.txt", "--reinstall", "--link-mode=copy")
"""Not ``--no-cache``: what this machine has got is not fetched again, and copied, since times and modes are changed."""
COMPILATION = ("-m", "compileall", "--invalidation-mode", "unchecked-hash", "-qq")
LONG_AGO = 315_532_801
"""1980-01-01 00:00:01, the time that every file of an image has."""
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override") if os.name == "posix" and os.getuid() == 0 else ()
"""Makes root one who writes only where modes let him; another user might not reach the interpreter of this one."""


@dataclass(frozen=True)
class Image:
    """What is in the image: the source in its working directory, and what was installed."""

    workspace: Path
    packages: Path

    def paths(self) -> Iterator[Path]:
        """Yield every file and folder; links are left alone, since they lead to the interpreter."""
        for root in (self.workspace, self.packages):
            yield root
            yield from (path for path in root.rglob("*") if not path.is_symlink())

    def state(self) -> dict[Path, tuple[int, int]]:
        """Return size and time of everything in it."""
        return {path: ((stat := path.stat()).st_size, stat.st_mtime_ns) for path in self.paths()}


def cloned(folder: Path) -> Path:
    """Copy what a clone of this checkout would hold, were all committed that git does not ignore."""
    names = _listed(CHECKOUT, "--cached", "--exclude-standard")
    if not names:
        pytest.skip("not a git checkout")
    return _copied(CHECKOUT, (name for name in names if (CHECKOUT / name).is_file()), folder)


def with_compiled_settings(source: Path) -> Path:
    """Do what deploy/README.md says is done before a source is deployed."""
    block = (source / "deploy" / "README.md").read_text(encoding="utf-8").partition("```sh\n")[2]
    _install(source, *shlex.split(block.splitlines()[0]))
    return source


def uploaded(source: Path) -> set[str]:
    """Return the names of the files that ``.gcloudignore`` lets through; it reads as git does, but for inclusions."""
    lines = []
    for line in (source / ".gcloudignore").read_text(encoding="utf-8").splitlines():
        included = line.startswith(INCLUDE)
        lines += (source / line.removeprefix(INCLUDE)).read_text().splitlines() if included else [line]
    subprocess.run(["git", "init", "--quiet", source], check=True)
    rules = source / ".git" / "rules"
    rules.write_text("\n".join(lines))
    return _listed(source, f"--exclude-from={rules}")


def built(source: Path, folder: Path) -> Image:
    """Upload a source and build it."""
    made = Image(_copied(source, uploaded(source), folder / "workspace"), folder / "packages")
    python = str(made.packages / "bin" / "python")
    _install(made.workspace, "uv", "venv", str(made.packages))
    _install(made.workspace, *INSTALLATION, "--python", python)
    subprocess.run([python, *COMPILATION, made.packages], env={}, check=False)  # what does not compile is passed over
    return made


@contextmanager
def sealed(image: Image) -> Iterator[None]:
    """Date every file as in an image, and let nobody write."""
    modes = {path: path.stat().st_mode for path in image.paths()}
    for path, mode in modes.items():
        os.utime(path, (LONG_AGO, LONG_AGO))
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@contextmanager
def started(image: Image, log: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run the web process, all that it says going to a file; killed at the end if it has not ended by then."""
    (line,) = (image.workspace / "Procfile").read_text(encoding="utf-8").splitlines()
    command = [*UNPRIVILEGED, "bash", "-c", line.removeprefix("web: ")]
    environ = {"PATH": f"{image.packages / 'bin'}:/usr/bin:/bin", "PYTHONUNBUFFERED": "TRUE", **variables}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=image.workspace, env=environ, stdout=out, stderr=out, text=True)
        try:
            yield process
        except Exception as error:
            error.add_note(log.read_text(errors="replace")[-3_000:])
            raise
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _install(folder: Path, *command: str) -> None:
    """Run a command that installs: skipped where others' packages cannot be had, failed where ours is not built."""
    told = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "POINTSMAN_", "VIRTUAL_"))
    }
    environ = {**told, "UV_PYTHON": sys.executable}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        pins = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        others = "\n".join(["hatchling", *(pin for pin in pins if pin != ".")])
        probe = ("uv", "pip", "install", "--target", str(folder.parent / "probe"), "--requirement", "-")
        had = subprocess.run(probe, env=environ, input=others, capture_output=True, text=True, check=False)
        if had.returncode:
            pytest.skip(f"the packages of requirements.txt cannot be had here: {had.stderr[-300:]}")
        raise AssertionError(done.stderr)


def _listed(folder: Path, *options: str) -> set[str]:
    command = ["git", "ls-files", "-z", "--others", *options]
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return set(filter(None, listed.stdout.split("\0")))


def _copied(source: Path, names: Iterable[str], folder: Path) -> Path:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target)
    return folder
