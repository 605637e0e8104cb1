from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.manifests import pieces
from pointsman.manifests.pieces import joined


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 40), st.integers(1, 9))
def test_parts_are_one_however_they_are_copied(parts: list[bytes], at_once: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "AT_ONCE", at_once)
        patched.setattr(pieces, "PIECE", piece)
        assert joined(parts) == b"".join(parts)
