"""What must resolve before a catalog may serve: every `Use` without ``| None``, every selection, every factory's.

Pure over a catalog. It reads declarations only and makes nothing; a factory that is still a reference is read when it
is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from pointsman.errors import (
    ConfigurationError,
    DanglingSelection,
    OrderUnavailable,
    PointsmanError,
    ResolutionError,
    UnknownComponent,
)
from pointsman.lifecycle.planning import NotLoaded, Planner, is_registered
from pointsman.resolution.catalog import ORDER_LAYERS, Catalog
from pointsman.resolution.decision import Question
from pointsman.resolution.resolver import resolve_in

if TYPE_CHECKING:
    from pointsman.declarations import Candidate, Use


class Required(msgspec.Struct, frozen=True):
    """One use that must resolve.

    Attributes:
        where: Who asks, e.g. ``handlers.notes:create, parameter cache``.
    """

    use: Use
    where: str


class Requirements:
    """What must hold on this replica, whatever the manifest says.

    Args:
        planner: Reads factories.
    """

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._required: tuple[Required, ...] = ()

    def add(self, uses: Iterable[tuple[Use, str]]) -> None:
        """Add uses that handlers make, each with who asks."""
        self._required += tuple(Required(use, where) for use, where in uses)

    def check(self, catalog: Catalog) -> None:
        """Refuse a catalog under which something required resolves for nobody, or stands on itself.

        Raises:
            ConfigurationError: A factory cannot be read, or there is a cycle; tells its path.
            UnknownComponent: Nothing is registered for it.
            ResolutionError: No candidate may serve anybody.
        """
        self._check_declarations(catalog)
        check_required(catalog, (*self._required, *required_by_factories(catalog, self._planner)))

    def _check_declarations(self, catalog: Catalog) -> None:
        """Refuse candidates whose factories cannot be read, or that stand on themselves, as far as they are loaded."""
        for candidate in _loaded(catalog):
            question = Question(candidate.component, provider=candidate.provider)
            try:
                self._planner.plan_now(catalog, question)
            except ConfigurationError:
                raise
            except (PointsmanError, NotLoaded):
                continue  # not for this profile, or beneath it is a reference: found out when it is asked for


def check_required(catalog: Catalog, required: Iterable[Required]) -> None:
    """Refuse a catalog under which a required use resolves for nobody.

    Raises:
        UnknownComponent: Nothing is registered for it.
        ResolutionError: No candidate may serve anybody.
    """
    for requirement in required:
        use = requirement.use
        if not is_registered(catalog, use.component):
            from pointsman.resolution.narration import known_components

            raise UnknownComponent(
                f"nothing is registered for {use.component}.",
                hint=f"asked by {requirement.where}. {known_components(catalog, str(use.component))}",
            )
        _check_for_somebody(catalog, requirement)


def _check_for_somebody(catalog: Catalog, requirement: Required) -> None:
    use = requirement.use
    refused: ResolutionError | None = None
    for tenant in _everybody(catalog):
        try:
            resolve_in(catalog, Question(use.component, tenant, use.provider, use.requires))
        except ResolutionError as error:
            refused = refused or error
        except OrderUnavailable:
            return  # its order decides, and is judged with the orders
        else:
            return
    if refused is not None:
        raise type(refused)(f"{refused.message} Asked by {requirement.where}.", hint=refused.hint) from refused


def _everybody(catalog: Catalog) -> Iterator[str | None]:
    """Yield nobody in particular, and then, if that was not enough, every tenant."""
    yield None
    yield from catalog.tenants()


def required_by_factories(catalog: Catalog, planner: Planner) -> Iterator[Required]:
    """Yield what the factories that are already loaded ask for.

    Raises:
        ConfigurationError: A factory's declaration cannot be read.
    """
    for candidate in _loaded(catalog):
        for need in planner.spec(candidate).needs:
            if not need.optional:
                yield Required(need.use, f"{candidate}, parameter {need.name}")


def _loaded(catalog: Catalog) -> Iterator[Candidate]:
    """Yield the candidates whose factory and settings model are at hand, not references."""
    return (registration.candidate for registration in catalog.candidates.at_hand())


def check_settings_selections(catalog: Catalog) -> None:
    """Refuse settings that select a provider which nobody registers.

    Raises:
        ConfigurationError: There is one; names it, and what is registered.
    """
    for found in catalog.dangling():
        if found.layer == "settings":
            registered = [entry.candidate.provider for entry in catalog.candidates.of(found.component)]
            known = ", ".join(dict.fromkeys(registered)) or "nothing"
            raise ConfigurationError(f"{found}.", hint=f"Registered for {found.component}: {known}.")


def check_manifest_selections(catalog: Catalog, *, by_fallback: bool = False) -> None:
    """Refuse a manifest under which a selection or an order is left without its provider.

    Args:
        by_fallback: Whether it is effective because a better one is not: orders may dangle then, and answer 503.

    Raises:
        DanglingSelection: There is one; names it.
    """
    for found in catalog.dangling():
        if found.layer not in ORDER_LAYERS or not by_fallback:
            raise DanglingSelection(f"{found}.", hint="Publish a manifest that brings the provider, or drop the rule.")
