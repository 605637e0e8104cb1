"""The store in a folder: many processes, put-back files, links, rights, and full disks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from pointsman.errors import ConfigurationError, Forbidden, NotFound, PreconditionFailed, StoreError, Unavailable
from pointsman.stores.file import FileStore
from pointsman.stores.memory import MemoryStore
from pointsman.stores.settings import StoreSettings
from pointsman.stores.store import Store

MAX = 1 << 16
LIMITS = StoreSettings(timeout_s=30, deadline_s=60)
START = datetime(2020, 1, 1, tzinfo=UTC)
ENVIRONMENT = {**os.environ, "PYTHONPATH": "framework"}

COUNTER = """
import anyio, sys
from pointsman.errors import PreconditionFailed
from pointsman.stores.store import open_store

async def main(url, rounds):
    store = open_store(url)
    for _ in range(int(rounds)):
        while True:
            read = await store.read("head", max_bytes=65536)
            numbers = set(read.body.split())
            assert len(numbers) == 1, "a torn read"
            number = int(numbers.pop()) + 1
            try:
                await store.write("head", b"%d " % number * (1000 + number), expect=read.generation)
                break
            except PreconditionFailed:
                pass

anyio.run(main, *sys.argv[1:])
"""

CREATOR = """
import anyio, sys
from pointsman.errors import PreconditionFailed
from pointsman.stores.store import open_store

async def main(url, mine):
    store, won = open_store(url), 0
    for number in range(20):
        try:
            await store.create(f"ops/{number}/begin", mine.encode())
            won += 1
        except PreconditionFailed:
            pass
    print(won)

anyio.run(main, *sys.argv[1:])
"""

HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def processes(script: str, *arguments: tuple[str, ...]) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen([sys.executable, "-c", script, *each], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        for each in arguments
    ]


@contextmanager
def held_by_another_process(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold a lock in a process that ends when its input does, or by its death."""
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore((tmp_path / "state").as_uri(), LIMITS)


async def test_processes_that_count_together_lose_no_count(store: FileStore) -> None:
    await store.create("head", b"0 ")
    running = processes(COUNTER, *[(store.url, "25")] * 4)
    for process in running:
        with process:
            process.wait()
        assert process.returncode == 0
    read = await store.read("head", max_bytes=MAX)
    assert read.body is not None
    assert set(read.body.split()) == {b"100"}
    assert read.generation.startswith("101.")


async def test_of_processes_that_create_the_same_objects_one_wins_each(store: FileStore) -> None:
    running = processes(CREATOR, *((store.url, name) for name in "abc"))
    won = {}
    for name, process in zip("abc", running, strict=True):
        with process:
            won[name] = int(process.communicate()[0])
        assert process.returncode == 0
    assert sum(won.values()) == 20
    bodies = [(await store.read(f"ops/{number}/begin", max_bytes=MAX)).body for number in range(20)]
    assert {name: bodies.count(name.encode()) for name in "abc"} == won


async def test_a_lock_that_another_process_holds_is_waited_for_and_freed_by_its_death(tmp_path: Path) -> None:
    hasty = FileStore(tmp_path.as_uri(), StoreSettings(timeout_s=0.1))
    with held_by_another_process(tmp_path / ".lock") as holder:
        with pytest.raises(Unavailable) as caught:
            await hasty.create("head", b"one")
        assert not caught.value.sent
        holder.kill()
        holder.wait()
    await FileStore(tmp_path.as_uri(), LIMITS).create("head", b"one")


async def test_a_write_that_was_cancelled_while_it_waited_for_the_lock_never_lands(tmp_path: Path) -> None:
    store = FileStore(tmp_path.as_uri(), LIMITS)
    with held_by_another_process(tmp_path / ".lock"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: store.create("head", b"one"))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    await store.create("release", b"it needs the lock as well")
    with pytest.raises(NotFound):
        await store.read("head", max_bytes=MAX)
    await store.create("head", b"two")


async def test_the_stamp_is_the_clocks_and_stays(tmp_path: Path) -> None:
    store = FileStore(tmp_path.as_uri(), LIMITS, clock=lambda: START + timedelta(microseconds=1))
    written = await store.create("head", b"one")
    assert written.stamp == START + timedelta(microseconds=1)
    again = FileStore(tmp_path.as_uri(), LIMITS)
    read = await again.read("head", max_bytes=MAX)
    assert read.stamp == written.stamp
    assert read.now > written.stamp
    assert (await again.list(""))[0].stamp == written.stamp


async def test_an_old_object_that_is_copied_back_shows_when_that_happened(tmp_path: Path) -> None:
    store = FileStore(tmp_path.as_uri(), LIMITS, clock=lambda: START)
    first = await store.create("head", b"old")
    (tmp_path / "backup").write_bytes((tmp_path / "head").read_bytes())
    await store.write("head", b"new", expect=first.generation)
    (tmp_path / "backup").replace(tmp_path / "head")
    read = await store.read("head", max_bytes=MAX)
    assert read.body == b"old"
    assert read.stamp is not None
    assert read.stamp > START + timedelta(days=365)


async def test_a_generation_never_comes_twice_even_when_the_file_was_removed(store: FileStore, tmp_path: Path) -> None:
    first = await store.create("head", b"one")
    (tmp_path / "state/head").unlink()
    second = await store.create("head", b"one")
    assert first.generation != second.generation


async def test_the_first_write_makes_the_folder_and_before_there_is_nothing(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await store.read("head", max_bytes=MAX)
    with pytest.raises(NotFound):
        await store.list("")
    await store.create("manifests/sha256/00", b"")
    assert (tmp_path / "state/manifests/sha256/00").is_file()


@pytest.mark.parametrize("content", [
    b"", b"{}", b"pointsman-object/1 1.00000000 2020-01-01T00:00:00+00:00 2", b"\0" * 4096,
    b"pointsman-object/1 1.00000000 2020-02-30T00:00:00+00:00 2\nhi", b"pointsman-object/2 x\nhi",
    b"pointsman-object/1 1.00000000 2020-01-01T00:00:00.000000 2\nhi",
])  # fmt: skip
async def test_a_file_that_no_store_wrote_is_neither_read_nor_listed_nor_replaced(
    tmp_path: Path, content: bytes
) -> None:
    store = FileStore(tmp_path.as_uri(), LIMITS)
    (tmp_path / "head").write_bytes(content)
    with pytest.raises(StoreError, match="another file"):
        await store.read("head", max_bytes=MAX)
    with pytest.raises(StoreError, match="another file"):
        await store.create("head", b"mine")
    assert await store.list("") == []
    assert (tmp_path / "head").read_bytes() == content


@pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"!"])
async def test_an_object_that_was_cut_or_lengthened_is_refused(store: FileStore, tmp_path: Path, change) -> None:
    await store.create("head", b"one")
    path = tmp_path / "state/head"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StoreError, match="Expected 3 bytes"):
        await store.read("head", max_bytes=MAX)


async def test_no_link_inside_the_folder_is_followed(store: FileStore, tmp_path: Path) -> None:
    secret = FileStore((tmp_path / "outside").as_uri(), LIMITS)
    await secret.create("secret", b"secret")
    await store.create("inside", b"x")
    root = tmp_path / "state"
    (root / "link").symlink_to(tmp_path / "outside/secret")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "dangling").symlink_to(tmp_path / "nowhere")

    for name in ("link", "folder/secret", "dangling"):
        with pytest.raises(Forbidden, match="link"):
            await store.read(name, max_bytes=MAX)
        with pytest.raises(Forbidden, match="link"):
            await store.create(name, b"mine")
    with pytest.raises(Forbidden, match="link"):
        await store.list("folder/")
    assert [entry.name for entry in await store.list("")] == ["inside"]
    assert (await secret.read("secret", max_bytes=MAX)).body == b"secret"
    assert not (tmp_path / "nowhere").exists()


async def test_the_folder_itself_may_be_a_link(store: FileStore, tmp_path: Path) -> None:
    await store.create("head", b"one")
    (tmp_path / "current").symlink_to(tmp_path / "state")
    linked = FileStore((tmp_path / "current").as_uri(), LIMITS)
    assert (await linked.read("head", max_bytes=MAX)).body == b"one"
    assert len(await linked.list("")) == 1


async def test_a_link_in_the_place_of_what_is_written_first_is_not_written_through(
    store: FileStore, tmp_path: Path
) -> None:
    await store.create("head", b"one")
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep")
    (tmp_path / "state/.incoming").symlink_to(victim)
    with pytest.raises(Forbidden):
        await store.create("release", b"two")
    assert victim.read_bytes() == b"keep"


async def test_what_is_a_folder_is_no_object_and_what_is_an_object_is_no_folder(store: FileStore) -> None:
    first = await store.create("ops/a", b"x")
    for name in ("ops", "ops/a/begin"):
        with pytest.raises(NotFound):
            await store.read(name, max_bytes=MAX)
        with pytest.raises(PreconditionFailed):
            await store.write(name, b"", expect=first.generation)
        with pytest.raises(StoreError, match="folder"):
            await store.create(name, b"")


async def test_a_pipe_in_the_place_of_an_object_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "head")
    store = FileStore(tmp_path.as_uri(), LIMITS)
    with pytest.raises(StoreError):
        await store.read("head", max_bytes=MAX)
    assert await store.list("") == []


@contextmanager
def as_nobody(path: Path, mode: int) -> Iterator[None]:
    """Give a folder this mode, and be nobody where we are root, to whom no right is missing."""
    own, before = os.geteuid(), path.stat().st_mode
    path.chmod(mode)
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)
        path.chmod(before)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_rights_that_are_missing_are_forbidden_and_nothing_is_taken_for_empty(open_folder: Path) -> None:
    store = FileStore(open_folder.as_uri(), LIMITS)
    await store.create("ops/a/begin", b"one")
    with as_nobody(open_folder / "ops", 0):
        with pytest.raises(Forbidden):
            await store.read("ops/a/begin", max_bytes=MAX)
        with pytest.raises(Forbidden):
            await store.list("")


async def test_a_folder_that_may_only_be_read_is_read_and_a_write_to_it_forbidden(open_folder: Path) -> None:
    store = FileStore(open_folder.as_uri(), LIMITS)
    first = await store.create("head", b"one")
    with as_nobody(open_folder, 0o555):
        assert (await store.read("head", max_bytes=MAX)).body == b"one"
        with pytest.raises(Forbidden):
            await store.write("head", b"two", expect=first.generation)


async def test_what_was_left_by_a_crash_is_overwritten_and_never_read(store: FileStore, tmp_path: Path) -> None:
    first = await store.create("head", b"one")
    (tmp_path / "state/.incoming").write_bytes(b"half of something longer than what comes next" * 10)
    await store.write("head", b"two", expect=first.generation)
    assert (await store.read("head", max_bytes=MAX)).body == b"two"
    assert not (tmp_path / "state/.incoming").exists()


async def test_what_the_system_refuses_is_unavailable_and_was_not_sent(tmp_path: Path) -> None:
    store = FileStore((tmp_path / "/".join(["x" * 200] * 25)).as_uri(), LIMITS)
    with pytest.raises(Unavailable, match="File name too long") as caught:
        await store.create("head", b"one")
    assert not caught.value.sent


@pytest.mark.parametrize("url", [
    "file://", "file:///", "file://host/x", "file://../x", "file:///x?y", "file:///x#y", "file://user@localhost/x",
    "file:///a%00b",
])  # fmt: skip
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="file:///var/lib/pointsman"):
        FileStore(url, LIMITS)


def test_the_url_is_shown_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert FileStore("file://./state", LIMITS).url == (tmp_path / "state").as_uri()
    assert FileStore("file://localhost/var/../srv/a%20b/", LIMITS).url == "file:///srv/a%20b"


NAMES = st.sampled_from(["head", "release", "ops/a/begin", "ops/a/end", "ops/b/begin"])


class StoreMachine(RuleBasedStateMachine):
    """Two stores, driven alike, compared with a dictionary."""

    generations = Bundle("generations")

    @initialize(target=generations)
    def begin(self) -> tuple[str, str]:
        self.folder = Path(os.path.realpath(self.scratch)) / os.urandom(4).hex()
        self.folder.mkdir()
        self.stores: list[Store] = [FileStore(self.folder.as_uri(), LIMITS), MemoryStore()]
        self.model: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        return ("0", "0")

    scratch: Path

    def both(self, method: str, *args: object, each: tuple[dict[str, object], ...] = ({}, {})) -> list[object]:
        async def call(store: Store, kwargs: dict[str, object]) -> object:
            try:
                return await getattr(store, method)(*args, **kwargs)
            except StoreError as exc:
                return type(exc)

        async def all_of_them() -> list[object]:
            return [await call(store, kwargs) for store, kwargs in zip(self.stores, each, strict=True)]

        return anyio.run(all_of_them)

    @rule(target=generations, name=NAMES, body=st.binary(max_size=20))
    def create(self, name: str, body: bytes) -> tuple[str, ...]:
        answers = self.both("create", name, body)
        if name in self.model:
            assert answers == [PreconditionFailed, PreconditionFailed]
            return self.model[name][1]
        self.model[name] = (body, tuple(answer.generation for answer in answers))
        return self.model[name][1]

    @rule(target=generations, name=NAMES, body=st.binary(max_size=20), expect=generations)
    def write(self, name: str, body: bytes, expect: tuple[str, ...]) -> tuple[str, ...]:
        answers = self.both("write", name, body, each=tuple({"expect": each} for each in expect))
        if name not in self.model or self.model[name][1] != expect:
            assert answers == [PreconditionFailed, PreconditionFailed]
            return expect
        self.model[name] = (body, tuple(answer.generation for answer in answers))
        return self.model[name][1]

    @rule(name=NAMES, unless=generations)
    def read(self, name: str, unless: tuple[str, ...]) -> None:
        answers = self.both("read", name, each=tuple({"max_bytes": 20, "unless": each} for each in unless))
        if name not in self.model:
            assert answers == [NotFound, NotFound]
            return
        body, generations = self.model[name]
        assert [answer.generation for answer in answers] == list(generations)
        assert [answer.body for answer in answers] == [None if unless == generations else body] * 2

    @rule(prefix=st.sampled_from(["", "ops/", "ops/a", "ops/a/", "re", "x"]))
    def list(self, prefix: str) -> None:
        expected = [(name, len(self.model[name][0])) for name in sorted(self.model) if name.startswith(prefix)]
        for answer in self.both("list", prefix):
            assert [(entry.name, entry.size) for entry in answer] == expected


def test_folder_and_memory_behave_like_a_dictionary(tmp_path: Path) -> None:
    machine = type("Machine", (StoreMachine,), {"scratch": tmp_path})
    machine.TestCase.settings = settings(
        max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case = machine.TestCase("runTest")
    case.runTest()
