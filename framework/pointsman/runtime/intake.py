"""What comes in from outside and changes this replica: control documents, manifests, overrides.

Control speaks to a replica through this door alone. Each thing is judged whole, taken or refused whole, and a refusal
changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pointsman.errors import ManifestError, PointsmanError, PreflightFailed
from pointsman.lifecycle.swap import Swap, proofs
from pointsman.resolution.decision import Question
from pointsman.resolution.resolver import resolve_in
from pointsman.resolution.selection import Choices, Selection, Selections, Split
from pointsman.runtime.requirements import Requirements, check_manifest_selections
from pointsman.runtime.snapshot import choices_of, in_force

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pointsman.declarations import Component
    from pointsman.manifests.schema import Control, Order
    from pointsman.resolution.catalog import Catalog
    from pointsman.runtime.inputs import ManifestInput, Orders
    from pointsman.runtime.points import Points


class Intake:
    """The door through which control steers one replica.

    Args:
        points: Where inputs change.
        requirements: What must resolve under every catalog.

    Attributes:
        catalog_stands: Whether routes may be served: without control at once, with it once a catalog was taken.
    """

    def __init__(self, points: Points, requirements: Requirements) -> None:
        self._points = points
        self._requirements = requirements
        self._own: Orders = {}
        self.catalog_stands = True

    def take_control(self, control: Control) -> Awaitable[None]:
        """Put the orders of the fleet in force.

        When the call returns, pauses and drains bind every request that starts; what it returns is awaited until the
        uses are warm and bound too. A later call overtakes an earlier one.
        """
        self._points.change(lambda inputs: replace(inputs, gating=control))
        return self._points.take(lambda inputs: replace(inputs, control=inputs.gating), strict=False)

    def take_overrides(self, orders: Orders) -> Awaitable[None]:
        """Put this replica's own orders in force, instead of those before; as `take_control`."""
        self._own = orders
        self._points.change(
            lambda inputs: replace(inputs, overrides=_joined(_only_gates(orders), _only_uses(inputs.overrides)))
        )
        return self._points.take(lambda inputs: replace(inputs, overrides=self._own), strict=False)

    async def take_manifest(self, manifest: ManifestInput, *, by_fallback: bool = False) -> None:
        """Validate, warm and bind a manifest.

        Args:
            by_fallback: Whether a better one could not be taken; orders without their provider answer 503 then.

        Raises:
            ManifestError: It is refused, and nothing changed.
        """

        def judge(catalog: Catalog) -> tuple[Question, ...]:
            check_manifest_selections(catalog, by_fallback=by_fallback)
            self._requirements.check(catalog)
            return to_prewarm(catalog)

        with _refusing(manifest):
            await self._points.take(lambda inputs: replace(inputs, manifest=manifest), strict=True, prove=judge)
        self.catalog_stands = True

    async def preflight(self, manifest: ManifestInput, orders: Orders) -> None:
        """Prove that a manifest could be taken beside these orders, and bind nothing.

        Raises:
            ManifestError: It could not.
        """
        snapshot = self._points.snapshot
        base = self._points.made_of(replace(self._points.inputs, manifest=manifest), snapshot).catalog
        live = in_force(orders, snapshot.expired, self._points.time())
        catalog = replace(base, control=choices_of(live))
        with _refusing(manifest):
            check_manifest_selections(catalog)
            self._requirements.check(catalog)
            await self._points.lifecycle.prove(catalog, to_prewarm(catalog), strict=True)

    async def prove(
        self, component: Component[Any], selection: Selection, tenants: tuple[str, ...] | None, *, force: bool = False
    ) -> None:
        """Make, and ask for its health, what an order would bind here; nothing is bound.

        What was proved is kept for a while, so that the order that follows does not make it again.

        Raises:
            ResolutionError: It may not serve, or nobody registers it.
            LifecycleError: It cannot be made, or is not well.
        """
        lifecycle = self._points.lifecycle
        catalog = _ordered(self._points.snapshot.catalog, component, selection, tenants)
        providers = selection.providers if isinstance(selection, Split) else (selection,)
        swaps = [Swap(component, provider, tenants=tenants or ()) for provider in providers]
        questions = dict.fromkeys(question for swap in swaps for question in proofs(lifecycle, catalog, swap))
        await lifecycle.prove(catalog, tuple(questions), strict=True, check_health=not force)

    def check_order(self, component: Component[Any], providers: tuple[str, ...], tenants: tuple[str, ...]) -> None:
        """Judge what an order names against the catalog in force; no tenants are everyone.

        Raises:
            ResolutionError: The component or a provider is unknown, or no candidate of it is eligible for one of the
                tenants.
        """
        for tenant in tenants or (None,):
            for provider in providers or (None,):
                resolve_in(self._points.snapshot.catalog, Question(component, tenant, provider))


def to_prewarm(catalog: Catalog) -> tuple[Question, ...]:
    """Return what must be made before a catalog serves."""
    policies = {**catalog.manifest.policies, **catalog.settings.policies}
    return tuple(
        Question(component, tenant)
        for component, policy in policies.items()
        for tenant in ((None,) if policy.prewarm is True else policy.prewarm or ())
    )


@contextmanager
def _refusing(manifest: ManifestInput) -> Iterator[None]:
    """Tell every refusal as the manifest's."""
    try:
        yield
    except ManifestError:
        raise
    except PointsmanError as error:
        raise PreflightFailed(f"manifest {manifest.version}: {error.message}", hint=error.hint) from error


def _ordered(
    base: Catalog, component: Component[Any], selection: Selection, tenants: tuple[str, ...] | None
) -> Catalog:
    """Put a selection above all others, so that it is what is proved, whatever stands above it when it is ordered."""
    everyone, named = dict(base.replica.everyone), dict(base.replica.tenants)
    if tenants is None:
        everyone[component] = selection
        named = {tenant: _without(own, component) for tenant, own in named.items()}
    for tenant in tenants or ():
        named[tenant] = {**named.get(tenant, {}), component: selection}
    return replace(base, replica=Choices(everyone, named))


def _without(selections: Selections, component: Component[Any]) -> Selections:
    return {name: selection for name, selection in selections.items() if name != component}


def _only_gates(orders: Orders) -> Orders:
    return _filtered(orders, lambda order: order.kind in {"pause", "drain"})


def _only_uses(orders: Orders) -> Orders:
    return _filtered(orders, lambda order: order.kind in {"use", "split"})


def _filtered(orders: Orders, wanted: Callable[[Order], bool]) -> Orders:
    return {name: tuple(order for order in given if wanted(order)) for name, given in orders.items()}


def _joined(one: Mapping[str, tuple[Order, ...]], other: Mapping[str, tuple[Order, ...]]) -> Orders:
    return {name: (*one.get(name, ()), *other.get(name, ())) for name in dict.fromkeys((*one, *other))}
