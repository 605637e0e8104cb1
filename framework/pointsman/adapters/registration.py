"""Register a package's adapters in one call, as users of the predecessor are used to.

A thin form over `Candidate`; everything it says, a candidate can say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from pointsman.declarations import Candidate, Factory

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pointsman.resolution.resolver import Resolver


@dataclass(frozen=True, slots=True)
class AdapterMetadata:
    """One adapter of a package.

    Attributes:
        category: The component's key: ``cache`` is ``adapter/cache``.
        requires_secrets: Kept in the candidate's metadata.
        extras: Further metadata.
    """

    category: str
    provider: str
    factory: Factory
    _: KW_ONLY
    stack_level: int = 0
    priority: int | None = None
    version: str = ""
    description: str = ""
    capabilities: Collection[str] = ()
    owner: str = ""
    requires_secrets: bool = False
    settings_model: type[BaseModel] | str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)

    def candidate(self) -> Candidate:
        """Return the candidate that this describes."""
        return Candidate(
            "adapter", self.category, self.provider, self.factory,
            priority=self.priority, stack_level=self.stack_level, capabilities=self.capabilities,
            settings_model=self.settings_model, description=self.description, version=self.version,
            owner=self.owner, metadata={**self.extras, "requires_secrets": self.requires_secrets},
        )  # fmt: skip


def register_adapter_metadata(
    resolver: Resolver,
    *,
    package_name: str,
    package_path: str,
    adapters: Iterable[AdapterMetadata],
    priority: int | None = None,
) -> None:
    """Register a package's adapters; where one states no priority, the package's name or place implies it.

    Raises:
        ConfigurationError: A name is not valid.
    """
    candidates = [adapter.candidate() for adapter in adapters]
    resolver.register_from_pkg(package_name, package_path, candidates, priority)
