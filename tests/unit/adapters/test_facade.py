from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pointsman.adapters.facade import tenant_space

TENANTS = st.none() | st.text("01:-a\u00fc", max_size=12) | st.text(max_size=12)


@given(one=TENANTS, other=TENANTS)
def test_no_tenants_space_begins_with_anothers(one: str | None, other: str | None) -> None:
    assert (one == other) == tenant_space(one).startswith(tenant_space(other))


@given(one=TENANTS, other=TENANTS, key=st.text("01:-a", max_size=8), another_key=st.text("01:-a", max_size=8))
def test_two_tenants_never_write_the_same_key(one: str | None, other: str | None, key: str, another_key: str) -> None:
    same = (one, key) == (other, another_key)
    assert (tenant_space(one) + key == tenant_space(other) + another_key) == same
