"""Opening a store by its URL, and the names that every store takes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pointsman.errors import ConfigurationError, StoreError
from pointsman.stores.file import FileStore
from pointsman.stores.https import HttpsStore
from pointsman.stores.memory import MemoryStore
from pointsman.stores.store import SCHEMES, check_name, check_prefix, open_store

SEGMENT = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("url", "kind"),
    [("memory://x", MemoryStore), ("file:///var/lib/x", FileStore), ("FILE:///var/lib/x", FileStore),
     ("https://example.com/x", HttpsStore), ("http://127.0.0.1:80", HttpsStore)],
)  # fmt: skip
async def test_the_scheme_names_the_store(url: str, kind: type) -> None:
    store = open_store(url)
    assert type(store) is kind
    await store.aclose()


@pytest.mark.parametrize("url", ["", "state", "/var/lib", "s3://bucket", "file:/x", "memory", "https:example.com"])
def test_an_unknown_scheme_is_refused_with_those_that_are_known(url: str) -> None:
    with pytest.raises(ConfigurationError, match="file, gs, https, http, memory"):
        open_store(url)


def test_a_limit_that_is_no_limit_is_refused() -> None:
    from pointsman.stores.settings import StoreSettings

    for wrong in ({"timeout_s": 0}, {"deadline_s": float("inf")}, {"max_entries": 0}, {"timeout": 3}):
        with pytest.raises(ValidationError):
            TypeAdapter(StoreSettings).validate_python(wrong)


def test_opening_one_store_does_not_load_the_clients_of_another() -> None:
    script = (
        "import sys; from pointsman.stores.store import open_store; open_store('memory://x');"
        "sys.exit(any(name in sys.modules for name in ('google.cloud.storage', 'httpx', 'filelock', 'requests')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, env={"PYTHONPATH": "framework"}).returncode == 0


def test_every_scheme_leads_to_a_class_of_this_layer() -> None:
    assert all(reference.startswith("pointsman.stores.") for reference in SCHEMES.values())


@given(st.lists(SEGMENT, min_size=1, max_size=5))
def test_plain_segments_make_a_name_and_a_prefix(segments: list[str]) -> None:
    name = "/".join(segments)
    assert check_name(name) == name
    assert check_prefix(name) == name
    assert check_prefix(f"{name}/") == f"{name}/"


@given(st.text(max_size=40))
def test_a_name_never_climbs_hides_or_leaves(text: str) -> None:
    try:
        name = check_name(text)
    except StoreError:
        return
    assert name.isascii()
    assert name.isprintable()
    assert not any(segment.startswith((".", "-")) or not segment for segment in name.split("/"))
