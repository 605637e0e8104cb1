"""All that a snapshot is made from, as one immutable value.

Each event replaces one input; nothing here is computed. Orders keep the wire's shape: the control document and this
replica's own overrides are read by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.resolution.contribution import Contribution, ProviderValues
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.declarations import Component
    from pointsman.manifests.schema import Control, Order
    from pointsman.resolution.catalog import Outage
    from pointsman.resolution.precedence import Registration

Orders: TypeAlias = "Mapping[str, tuple[Order, ...]]"
"""Component name, ``adapter/cache``, to its orders."""


@frozen
class ManifestInput:
    """A manifest that was verified and let in.

    Attributes:
        digest: Hex SHA-256 of its envelope.
        expires: Aware UTC.
    """

    contribution: Contribution
    version: int
    digest: str
    expires: datetime


@frozen
class Inputs:
    """What decides on this replica.

    Attributes:
        registrations: What code and plugins registered.
        control: The control document whose orders to use and split are in force.
        gating: The one whose pauses and drains are: a newer one gates at once, while its uses are still warmed.
        overrides: Orders that reach this replica only.
        outages: What fails now, and until when it is walked past (store's clock).
        given: Provider settings above every layer, for tests.
        replaced: Components that a test replaced.
    """

    registrations: tuple[Registration, ...] = ()
    settings: Contribution = field(default_factory=Contribution)
    manifest: ManifestInput | None = None
    control: Control | None = None
    gating: Control | None = None
    overrides: Orders = field(default_factory=dict)
    outages: Mapping[Outage, datetime] = field(default_factory=dict)
    given: ProviderValues = field(default_factory=dict)
    replaced: Mapping[Component[Any], Registration] = field(default_factory=dict)
