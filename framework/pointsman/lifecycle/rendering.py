"""Turn a plan's settings into the model that its factory asks for: blanks filled in, then checked.

The only place of this layer that sees a secret's value. No message shows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import render

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Plan
    from pointsman.lifecycle.surroundings import Surroundings


async def rendered_settings(plan: Plan, model: Any, surroundings: Surroundings) -> object:
    """Return the settings of a plan as its factory is given them.

    Raises:
        ConfigurationError: A blank cannot be filled in, or the values do not fit the model.
        PointsmanError: What a manifest says of them leads to where nothing of it may lead.
    """
    where = str(plan.resolution.candidate)
    if plan.foreign:
        await surroundings.look_again(plan.foreign, where)
    values = await render(
        dict(plan.settings),
        env=surroundings.environ,
        secrets=surroundings.secrets,
        tenant=plan.question.tenant,
        where=where,
    )
    return validated(model, values, where)


def validated(model: Any, values: Mapping[str, object], where: str) -> object:
    """Return the settings model of these values.

    A name that the model does not know is a mistake, unless the model says what to do with one (``extra``).

    Raises:
        ConfigurationError: They do not fit; names fields and rules, never values.
    """
    from pydantic import ValidationError

    if unknown := _unknown(model, values):
        raise _misfit(model, where, "; ".join(f"{name}: unknown" for name in unknown))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    raise _misfit(
        model, where, "; ".join(f"{'.'.join(map(str, at['loc'])) or 'settings'}: {at['type']}" for at in faults)
    )


def _misfit(model: Any, where: str, faults: str) -> ConfigurationError:
    return ConfigurationError(
        f"The settings of {where} do not fit {model.__name__}: {faults}.",
        hint=f"Known fields: {', '.join(model.model_fields)}.",
    )


def _unknown(model: Any, values: Mapping[str, object]) -> list[str]:
    from pydantic import RootModel

    if issubclass(model, RootModel) or model.model_config.get("extra") is not None:
        return []
    known = set(model.model_fields)
    for field in model.model_fields.values():
        alias = field.validation_alias
        for choice in getattr(alias, "choices", (alias,)):  # AliasChoices, AliasPath, a name or nothing
            known.add(getattr(choice, "path", (choice,))[0])
    return sorted(name for name in values if name not in known)
