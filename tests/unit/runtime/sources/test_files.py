"""A file is plain YAML, every value has its line, and what cannot be meant is refused with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pointsman.errors import ConfigurationError
from pointsman.runtime.sources.files import MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, read_folder, read_yaml

SECTIONS = frozenset({"service", "tenancy", "adapters", "tenants", "trust"})
Write = Callable[..., Path]


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read_folder(folder, SECTIONS)
    return str(refused.value)


def test_every_file_is_the_section_of_its_name_and_app_holds_the_others(write: Write) -> None:
    tree = read_folder(write(app="service: shop\ntenancy: {source: host}", tenants="acme:\n  labels: {}"), SECTIONS)
    assert tree.values == {"service": "shop", "tenancy": {"source": "host"}, "tenants": {"acme": {"labels": {}}}}
    assert tree.where(("tenancy", "source")) == "settings/app.yml:2: tenancy.source"
    assert tree.where(("tenants", "acme", "labels", "plan")) == "settings/tenants.yml:2: acme.labels.plan"


def test_an_empty_file_is_an_empty_section(write: Write) -> None:
    assert read_folder(write(tenants="# nobody yet\n"), SECTIONS).values == {"tenants": {}}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "expected a folder of settings, found none" in refusal(tmp_path / "nowhere")


def test_a_file_of_an_unknown_name_is_refused_with_the_nearest(write: Write) -> None:
    message = refusal(write(adapter="selections: {}"))
    assert message.startswith("settings/adapter.yml: expected one of the settings files")
    assert "Did you mean adapters.yml?" in message


def test_a_file_that_ends_in_yaml_is_refused_not_ignored(write: Write) -> None:
    (write() / "tenants.yaml").write_text("")
    assert "Rename it to tenants.yml." in refusal(Path("settings"))


def test_files_of_other_kinds_are_let_be(write: Write) -> None:
    (write(app="service: shop") / "manifest.dsse.json").write_text("{}")
    assert read_folder(Path("settings"), SECTIONS).values == {"service": "shop"}


def test_an_unknown_section_is_refused_with_line_and_nearest(write: Write) -> None:
    message = refusal(write(app="service: shop\ntenantcy:\n  source: host\n"))
    assert message == (
        "settings/app.yml:2: tenantcy: expected a section, found an unknown name.\n  Did you mean tenancy?"
    )


def test_a_section_with_a_file_of_its_own_is_refused_in_app(write: Write) -> None:
    message = refusal(write(app="service: shop\ntenants: {}", tenants="acme: {}"))
    assert message.startswith("settings/app.yml:2: tenants: the section has a file of its own, settings/tenants.yml.")


def test_a_section_may_lie_in_app_while_its_file_is_missing(write: Write) -> None:
    assert read_folder(write(app="tenants: {acme: {}}"), SECTIONS).values == {"tenants": {"acme": {}}}


def test_a_key_that_stands_twice_is_refused_with_both_lines(write: Write) -> None:
    message = refusal(write(tenants="acme:\n  labels: {}\n  labels: {plan: hunter2}\n"))
    assert message == "settings/tenants.yml:3: expected 'labels' once, found it in line 2 too."


@pytest.mark.parametrize("key", ["on", "42", "null", "3.5"])
def test_a_key_that_yaml_reads_as_no_text_is_refused(write: Write, key: str) -> None:
    message = refusal(write(tenants=f"acme: {{}}\n{key}: {{}}\n"))
    assert message.startswith(f"settings/tenants.yml:2: expected a name, found '{key}'")
    assert "quotes" in message


def test_keys_that_are_no_names_are_refused(write: Write) -> None:
    assert "tenants.yml:1: expected a name, found none" in refusal(write(tenants="? [a]\n: 1\n"))
    message = refusal(write(tenants="base: &a {x: 1}\nacme:\n  <<: *a\n"))
    assert message == "settings/tenants.yml:3: expected a plain value, found the tag merge."


def test_a_tag_makes_no_object(write: Write) -> None:
    message = refusal(write(tenants="acme:\n  labels: !!python/object/apply:os.system [hunter2]\n"))
    assert message.startswith("settings/tenants.yml:2: expected a plain value, found the tag")
    message = refusal(write(tenants="acme:\n  labels: !!python/name:os.system x\n"))
    assert message.startswith("settings/tenants.yml:2: expected a plain value, found the tag")


def test_a_forced_tag_that_does_not_fit_is_refused_without_the_value(write: Write) -> None:
    message = refusal(write(tenants="acme: !!int hunter2\n"))
    assert message == "settings/tenants.yml:1: expected a value of the tag int, found another."


def test_broken_yaml_is_refused_with_its_line_and_without_its_text(write: Write) -> None:
    message = refusal(write(tenants='acme:\n  labels: {plan: "hunter2\n'))
    assert message.startswith("settings/tenants.yml:")
    assert "expected YAML, found a fault" in message
    assert "hunter2" not in message


def test_text_that_is_no_utf_8_is_refused_with_its_line(write: Write) -> None:
    (write() / "tenants.yml").write_bytes(b"acme: {}\nb: \xff\n")
    assert refusal(Path("settings")) == "settings/tenants.yml:2: expected UTF-8, found another encoding."


@pytest.mark.parametrize("text", ["- acme\n", "acme\n", "5\n"])
def test_a_file_that_holds_no_mapping_is_refused(write: Write, text: str) -> None:
    assert refusal(write(tenants=text)).startswith("settings/tenants.yml:1: expected a mapping of names, found a")


def test_two_documents_in_a_file_are_refused(write: Write) -> None:
    assert "settings/tenants.yml:2: expected YAML" in refusal(write(tenants="a: {}\n---\nb: {}\n"))


def test_aliases_are_values_and_a_bomb_of_them_is_bounded(write: Write) -> None:
    write(tenants="a: &shared {labels: {plan: x}}\nb: *shared\n")
    assert read_yaml(Path("settings/tenants.yml"))[0] == {key: {"labels": {"plan": "x"}} for key in "ab"}
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
    )
    assert f"expected at most {MAX_NODES} values" in refusal(write(tenants=bomb))


def test_an_alias_to_itself_and_deep_nesting_are_bounded(write: Write) -> None:
    assert f"{MAX_DEPTH} deep" in refusal(write(tenants="a: &a [*a]\n"))
    told = refusal(write(tenants="a: " + "[" * 50_000))
    assert "deep" in told or "depth" in told  # whichever is reached first, Python's limit or libyaml's


def test_a_date_stays_the_text_that_was_written(write: Write) -> None:
    write(tenants="a: {labels: {since: 2026-02-29, n: 5, on: true, no: null, f: 1.5}}".replace("on:", "'on':"))
    with pytest.raises(ConfigurationError, match="expected a name, found 'no'"):
        read_yaml(Path("settings/tenants.yml"))
    write(tenants="a: {since: 2026-02-29, n: 5, 'on': true, 'no': null, f: 1.5}")
    value, _ = read_yaml(Path("settings/tenants.yml"))
    assert value == {"a": {"since": "2026-02-29", "n": 5, "on": True, "no": None, "f": 1.5}}


def test_characters_that_yaml_has_not_are_refused(write: Write) -> None:
    assert refusal(write(tenants="a: hunter2\x00")) == (
        "settings/tenants.yml: expected YAML of printable text, found other characters."
    )


def test_a_file_that_is_too_large_is_refused(write: Write) -> None:
    assert "settings/tenants.yml: expected at most" in refusal(write(tenants="#" * (MAX_FILE_BYTES + 1)))


def test_a_file_that_cannot_be_read_is_refused(write: Write) -> None:
    write()
    with pytest.raises(ConfigurationError, match=r"settings/tenants\.yml: expected a file that can be read, found"):
        read_yaml(Path("settings/tenants.yml"))
