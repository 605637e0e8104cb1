"""What `accept` takes, pydantic takes alike; what is not plainly right is left to pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from pointsman.control.settings import ControlSettings
from pointsman.lifecycle.settings import LifecycleSettings
from pointsman.manifests.settings import TrustSettings
from pointsman.observability.settings import LoggingSettings, TracingSettings
from pointsman.rules import Doubtful, accept
from pointsman.runtime.settings import Settings
from pointsman.runtime.settings_models import DomainSettings, PolicySettings, TenantSettings
from pointsman.stores.settings import StoreSettings
from pointsman.tenancy.settings import TenancySettings
from pointsman.web.settings import DebugSettings, WebSettings

KINDS = (
    *(ControlSettings, LifecycleSettings, TrustSettings, LoggingSettings, TracingSettings, DomainSettings),
    *(PolicySettings, TenantSettings, StoreSettings, TenancySettings, DebugSettings, WebSettings, Settings),
)
texts = st.sampled_from(["", "x", "header", "INFO", "1", "true", "a/b/c", "a/b/c\n", "acme.*:*", "https://a", "serve"])
numbers = st.one_of(st.integers(-1, 100), st.floats(), st.integers(-(10**400), 10**400), st.booleans())
plain = st.recursive(
    st.one_of(st.none(), texts, numbers),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
def test_whatever_is_accepted_pydantic_takes_alike(data: st.DataObject) -> None:
    kind: Any = data.draw(st.sampled_from(KINDS))
    names = st.sampled_from([*kind.__dataclass_fields__, "unknown"])
    values = data.draw(st.dictionaries(names, plain, max_size=2))
    try:
        accepted = accept(kind, values)
    except Doubtful:
        return
    taken = TypeAdapter(kind).validate_python(values)
    assert repr(taken) == repr(accepted)  # NaN is not equal to itself


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (StoreSettings, {"timeout_s": 0}),
        (StoreSettings, {"timeout_s": "5"}),
        (StoreSettings, {"max_threads": True}),
        (WebSettings, {"startup_wait_s": float("nan")}),
        (ControlSettings, {"soft_limit_s": 60, "hard_limit_s": 60}),
        (TenancySettings, {"sauce": "header"}),
        (TenancySettings, {"unknown": "ignore"}),
        (TrustSettings, {"factories": ["os.system"]}),
        (TrustSettings, {"secrets": {"redis": ["PASSWORD"]}}),
        (TrustSettings, {"limits": {"clock_skew_s": 0}}),
        (LoggingSettings, None),
    ],
)
def test_what_is_not_plainly_right_is_doubtful(kind: Any, values: Any) -> None:
    with pytest.raises(Doubtful):
        accept(kind, values)


@dataclass(frozen=True)
class Others:
    number: Annotated[int, Field(gt=5)] = 7

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Lenient:
    number: int = 7


def test_what_others_declare_in_other_words_is_left_to_pydantic() -> None:
    for kind in (Others, Lenient):
        with pytest.raises(Doubtful):
            accept(kind, {"number": 6})


def test_what_is_plainly_right_is_made() -> None:
    made = accept(Settings, {"service": "shop", "tenants": {"acme": None}, "components": {"adapter/cache": {}}})
    assert made == Settings(
        service="shop", tenants={"acme": TenantSettings()}, components={"adapter/cache": PolicySettings()}
    )
    assert accept(StoreSettings, {"timeout_s": 3, "max_entries": 7}) == StoreSettings(timeout_s=3.0, max_entries=7)
    assert accept(TrustSettings, {"destinations": ["https://a.example"]}).destinations == ("https://a.example",)
