"""Everything that a replica is told before it starts: files, environment, arguments, in this order.

`Settings.load` reads, and pydantic-settings lays one source over another. `Settings.section` hands each layer the
section whose model that layer owns, and `Settings.contribution` tells the catalog what was said about components. A
mistake stops the start with its file, line and key, and the nearest valid name. Values are never shown: neither in an
error nor in a ``repr`` of ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ModelWrapValidatorHandler, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pointsman.errors import ConfigurationError
from pointsman.observability.settings import LoggingSettings, TracingSettings
from pointsman.runtime.settings_contribution import Said, contribution_of, domains_of
from pointsman.runtime.settings_faults import faults_told
from pointsman.runtime.settings_models import DOMAIN_OF, DomainSettings, OrEmpty, PolicySettings, TenantSettings
from pointsman.runtime.settings_sources import Layer, Models, Sources, StrPath, read_sources

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from pointsman.declarations import Candidate
    from pointsman.resolution.contribution import Contribution
    from pointsman.resolution.template import Path

M = TypeVar("M", bound=BaseModel)
Domain: TypeAlias = Annotated[DomainSettings, OrEmpty]

SECTIONS_OF_LAYERS: Final = frozenset({"admin", "control", "debug", "lifecycle", "store", "tenancy", "trust", "web"})
"""Sections whose models other layers own; kept as they are until the layer asks."""
DEVELOPMENT: Final = "development"
READ: Final = "(read)"
"""What `Settings.load` has read goes to the constructor under this name; no section and no argument is called so."""


class Settings(BaseSettings):
    """What was said, merged and checked; immutable, and safe to share.

    `load` reads all sources. The constructor and ``model_validate`` take what they are given, and read nothing.

    Attributes:
        service: The audience of manifests, with the environment.
        environment: ``development`` accepts unsigned manifests, and is refused on Cloud Run.
        domains: The user's own domains by name.
        components: Policies by full name, ``adapter/cache``.
    """

    model_config = SettingsConfigDict(case_sensitive=True, extra="forbid", frozen=True)

    service: str = ""
    environment: str = ""
    adapters: Domain = DomainSettings()
    services: Domain = DomainSettings()
    tasks: Domain = DomainSettings()
    events: Domain = DomainSettings()
    workflows: Domain = DomainSettings()
    actions: Domain = DomainSettings()
    domains: Annotated[dict[str, Domain], OrEmpty] = {}
    tenants: Annotated[dict[str, Annotated[TenantSettings, OrEmpty]], OrEmpty] = {}
    components: Annotated[dict[str, Annotated[PolicySettings, OrEmpty]], OrEmpty] = {}
    logging: Annotated[LoggingSettings, OrEmpty] = LoggingSettings()
    tracing: Annotated[TracingSettings, OrEmpty] = TracingSettings()

    _sources: Sources = PrivateAttr(default_factory=Sources)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return arguments, variables and files, highest first; arguments alone where `load` has read no others."""
        read: Sources = init_settings().get(READ, Sources())
        return init_settings, *(Layer(settings_cls, tree, read.origins) for tree in read.layers)

    @classmethod
    def load(
        cls,
        folder: StrPath | None = None,
        /,
        *,
        sections: Models | None = None,
        environ: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> Self:
        """Read files, then variables, then arguments; each is laid over those before it.

        Args:
            folder: With the YAML files; unsaid: what ``POINTSMAN_SETTINGS`` names, else ``settings`` where there is
                one, else none.
            sections: Models of layers' sections by name, checked now; others are checked when they are asked for.
            environ: Variables; unsaid: the process's own.
            overrides: Sections by name, as mappings or models.

        Raises:
            ConfigurationError: Something in it is wrong; tells file, line, key and the nearest valid name.
        """
        models = sections or {}
        names = SECTIONS_OF_LAYERS.union(cls.model_fields, models)
        read = read_sources(folder, os.environ if environ is None else environ, overrides, names, models)
        given: dict[str, Any] = {**read.tree.values, READ: read}
        return cls(**given)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, merged: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Check what was merged, keep layers' sections for them, and tell of faults where they were written."""
        if not isinstance(merged, dict) or READ not in merged:
            return handler(merged)
        values = dict(merged)
        sources: Sources = values.pop(READ).merged(values)
        own = {name: sources.expanded(name, _of_a_provider) for name in values if name in cls.model_fields}
        with faults_told(sources.tree, cls):
            settings = handler(own)
        for name, model in sources.models.items():
            _section(sources, name, model)
        _refuse_development_on_cloud_run(settings.environment, sources)
        settings._sources = sources  # noqa: SLF001 - its own, which only `load` fills
        return settings

    @property
    def folder(self) -> FilePath | None:
        """The folder that was read, where there was one; what else lies in it belongs to the image."""
        return self._sources.folder

    def section(self, model: type[M]) -> M:
        """Return the section of a layer, checked; its defaults where nothing was said.

        The section's name is the one under which the model was handed to `load`, else the model's own:
        ``AdminSettings`` is ``admin``. Variables are filled in, and no other blank is allowed in it, unless the model
        says ``renders_blanks: ClassVar[bool] = True``: then its layer renders all of them.

        Raises:
            ConfigurationError: Something in it is wrong, or there is no such section.
        """
        handed_in = {model: name for name, model in self._sources.models.items()}
        name = handed_in.get(model) or model.__name__.removesuffix("Settings").lower()
        if name not in SECTIONS_OF_LAYERS and model not in handed_in:
            raise ConfigurationError(
                f"{model.__name__}: expected the model of a section, found no section {name}.",
                hint=f"Hand it in: Settings.load(sections={{{name!r}: {model.__name__}}}).",
            )
        return _section(self._sources, name, model)

    def domain(self, name: str) -> DomainSettings:
        """Return what was said about a domain, ``adapter`` or a user's own; empty where nothing was."""
        for section, domain in DOMAIN_OF.items():
            if domain == name:
                found: DomainSettings = getattr(self, section)
                return found
        return self.domains.get(name, DomainSettings())

    def contribution(
        self, marks: Mapping[str, Candidate] | None = None, *, known: Iterable[Candidate] = ()
    ) -> Contribution:
        """Return candidates, selections, provider settings, tenants and policies under their full names.

        Args:
            marks: Reference ``pkg.mod:Name`` to the mark of that included factory; it speaks for what an entry of
                ``candidates`` leaves out.
            known: Further registered candidates; a bare provider in ``provider_settings`` is looked for among them.

        Raises:
            ConfigurationError: A name, an entry, a selection or a blank is wrong.
        """
        tree = self._sources.tree
        houses = (((section,), domain, getattr(self, section)) for section, domain in DOMAIN_OF.items())
        said = Said(tree, (*houses, *domains_of(self.domains, tree)), self.tenants, self.components)
        return contribution_of(said, marks or {}, known)


def _refuse_development_on_cloud_run(environment: str, sources: Sources) -> None:
    if environment == DEVELOPMENT and "K_SERVICE" in sources.environ:
        raise ConfigurationError(
            f"{sources.tree.where(('environment',))}: development accepts unsigned manifests, and is refused on Cloud "
            "Run (K_SERVICE is set).",
            hint="Set POINTSMAN_ENVIRONMENT to the environment of the manifests' audience, such as production.",
        )


def _of_a_provider(path: Path) -> bool:
    """Tell settings of providers: they stay templates until an instance is made."""
    depth = 1 if path[0] in DOMAIN_OF else 2
    return len(path) > depth and path[0] in {*DOMAIN_OF, "domains", "tenants"} and path[depth] == "provider_settings"


def _section(sources: Sources, name: str, model: type[M]) -> M:
    renders_blanks: bool = getattr(model, "renders_blanks", False)
    values = sources.expanded(name, lambda _: renders_blanks)
    with faults_told(sources.tree, model, (name,)):
        return model.model_validate({} if values is None else values)
