from __future__ import annotations

import re
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import Malformed
from pointsman.manifests.scanning import check_depth, has_long_number


@given(st.text(alphabet='[]{}"\\ a1', max_size=40))
def test_brackets_within_strings_count_for_nothing(text: str) -> None:
    data = b"[]" * 65 + text.encode()  # with fewer, no level is too deep
    plain = re.sub(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', b"", data, flags=re.DOTALL)
    brackets = bytes(byte for byte in plain if byte in b"[]{}").translate(bytes.maketrans(b"{}", b"[]"))
    while b"[]" in brackets:
        brackets = brackets.replace(b"[]", b"")
    with pytest.raises(Malformed) if brackets else nullcontext():
        check_depth(data, "text")


@pytest.mark.parametrize(("text", "strict"), [('{"a":"1234567890123456"}', False), ('{"a":1234567890123456}', True)])
def test_a_long_number_is_looked_for_outside_of_strings(text: str, strict: bool) -> None:
    assert has_long_number(text.encode()) is strict
