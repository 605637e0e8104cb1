"""Settings fit their model or are refused by field and rule, never by value; a name that nobody knows is a mistake."""

from __future__ import annotations

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, RootModel

from pointsman.errors import ConfigurationError
from pointsman.lifecycle.rendering import validated

WHERE = "adapter/cache=redis"


class Pool(BaseModel):
    size: int


class Settings(BaseModel):
    url: str
    pool: Pool | None = None


def test_values_that_fit_become_the_model() -> None:
    assert validated(Settings, {"url": "u", "pool": {"size": 1}}, WHERE) == Settings(url="u", pool=Pool(size=1))


def test_what_does_not_fit_is_told_by_field_and_rule_without_a_value() -> None:
    with pytest.raises(ConfigurationError) as refused:
        validated(Settings, {"pool": {"size": "hunter2"}}, WHERE)
    assert str(refused.value) == (
        "The settings of adapter/cache=redis do not fit Settings: url: missing; pool.size: int_parsing.\n"
        "  Known fields: url, pool."
    )
    assert "hunter2" not in repr(refused.value.__context__)


def test_a_name_that_the_model_does_not_know_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="do not fit Settings: pol: unknown; urls: unknown"):
        validated(Settings, {"url": "u", "urls": "u", "pol": {}}, WHERE)


def test_a_model_that_says_what_to_do_with_other_names_is_heard() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")

    assert validated(Open, {"any": 1}, WHERE).model_extra == {"any": 1}  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="any: extra_forbidden"):
        validated(Closed, {"any": 1}, WHERE)


def test_other_names_of_a_field_are_known() -> None:
    class Named(BaseModel):
        one: int = Field(0, alias="uno")
        two: int = Field(0, validation_alias=AliasChoices("due", AliasPath("nested", "two")))
        three: int = Field(0, validation_alias=AliasPath("tre", 0))

    model = validated(Named, {"uno": 1, "due": 2, "tre": [3]}, WHERE)
    assert model == Named(uno=1, due=2, tre=[3])  # type: ignore[call-arg]
    assert validated(Named, {"nested": {"two": 2}}, WHERE).two == 2  # type: ignore[attr-defined]


def test_a_model_of_anything_takes_anything() -> None:
    assert validated(RootModel[dict[str, int]], {"any": 1}, WHERE).root == {"any": 1}  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="any: int_parsing"):
        validated(RootModel[dict[str, int]], {"any": "one"}, WHERE)
