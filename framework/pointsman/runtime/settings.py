"""Everything that a replica is told before it starts: files, environment, arguments, in this order.

`Settings.load` reads, and pydantic-settings lays one source over another; compiled settings do without it.
`Settings.section` hands each layer the section whose model that layer owns, and `Settings.contribution` tells the
catalog what was said about components. A mistake stops the start with its file, line and key, and the nearest valid
name. Values are never shown: neither in an error nor in a ``repr`` of ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import field, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self, TypeAlias, TypeVar

from pointsman.errors import ConfigurationError
from pointsman.observability.settings import LoggingSettings, TracingSettings
from pointsman.rules import FORBID, Doubtful, accept
from pointsman.runtime.settings_contribution import Said, contribution_of, domains_of
from pointsman.runtime.settings_models import DOMAIN_OF, DomainSettings, OrEmpty, PolicySettings, TenantSettings
from pointsman.runtime.sources.compiled import compiled_files
from pointsman.runtime.sources.reading import Asked, Models, Sources, StrPath, read_sources
from pointsman.values import frozen

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from pointsman.declarations import Candidate
    from pointsman.resolution.contribution import Contribution
    from pointsman.resolution.template import Path
    from pointsman.runtime.sources.tree import Tree

M = TypeVar("M")
S = TypeVar("S", bound="Settings")
Domain: TypeAlias = Annotated[DomainSettings, OrEmpty]

SECTIONS_OF_LAYERS: Final = frozenset({"admin", "control", "debug", "lifecycle", "store", "tenancy", "trust", "web"})
"""Sections whose models other layers own; kept as they are until the layer asks."""
DEVELOPMENT: Final = "development"


class _Loaded:
    """What settings keep besides their sections, and neither compare nor copy: where each was said."""

    _sources = Sources()


@frozen(kw_only=True)
class Settings(_Loaded):
    """What was said, merged and checked; immutable, and safe to share.

    `load` reads all sources, and checks. The constructor takes what it is given, and reads and checks nothing.

    Attributes:
        service: The audience of manifests, with the environment.
        environment: ``development`` accepts unsigned manifests, and is refused on Cloud Run.
        domains: The user's own domains by name.
        components: Policies by full name, ``adapter/cache``.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    service: str = ""
    environment: str = ""
    adapters: Domain = field(default_factory=DomainSettings)
    services: Domain = field(default_factory=DomainSettings)
    tasks: Domain = field(default_factory=DomainSettings)
    events: Domain = field(default_factory=DomainSettings)
    workflows: Domain = field(default_factory=DomainSettings)
    actions: Domain = field(default_factory=DomainSettings)
    domains: Annotated[dict[str, Domain], OrEmpty] = field(default_factory=dict)
    tenants: Annotated[dict[str, Annotated[TenantSettings, OrEmpty]], OrEmpty] = field(default_factory=dict)
    components: Annotated[dict[str, Annotated[PolicySettings, OrEmpty]], OrEmpty] = field(default_factory=dict)
    logging: Annotated[LoggingSettings, OrEmpty] = field(default_factory=LoggingSettings)
    tracing: Annotated[TracingSettings, OrEmpty] = field(default_factory=TracingSettings)

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
        names = SECTIONS_OF_LAYERS.union((one.name for one in fields(cls)), models)
        asked = Asked(folder, os.environ if environ is None else environ, overrides, names, models)
        return cls._compiled(asked) or cls._full(asked)

    @classmethod
    def _compiled(cls, asked: Asked) -> Self | None:
        """Return settings from compiled files, where every value in them is plainly right; else None."""
        if (files := compiled_files(asked)) is None:
            return None
        sources = read_sources(asked, files).folded()
        try:
            settings = accept(cls, cls._own(sources))
            for name, model in sources.models.items():
                if is_dataclass(model):
                    accept(model, _values(sources, name, model))
        except (Doubtful, ConfigurationError):
            return None  # the full way decides, and tells of every fault
        return _of(settings, sources)

    @classmethod
    def _full(cls, asked: Asked) -> Self:
        from pointsman.runtime.sources import merging

        sources = merging.merged(read_sources(asked))
        return _of(_checked(cls, cls._own(sources), sources.tree), sources)

    @classmethod
    def _own(cls, sources: Sources) -> dict[str, Any]:
        own = {one.name for one in fields(cls)}
        return {name: sources.expanded(name, _of_a_provider) for name in sources.tree.values if name in own}

    @property
    def folder(self) -> FilePath | None:
        """The folder that was read, where there was one; what else lies in it belongs to the image."""
        return self._sources.folder

    def says(self, name: str) -> bool:
        """Return whether anything was said in a section; a layer need not load a model for nothing."""
        return bool(self._sources.tree.values.get(name))

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


def _of(settings: S, sources: Sources) -> S:
    """Return settings as what was made of sources; what layers handed in is checked now."""
    object.__setattr__(settings, "_sources", sources)
    for name, model in sources.models.items():
        _section(sources, name, model)
    _refuse_development_on_cloud_run(settings.environment, sources)
    return settings


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
    return _checked(model, _values(sources, name, model), sources.tree, (name,))


def _checked(model: type[M], values: Any, tree: Tree, root: Path = ()) -> M:
    """Return values as a model; what is plainly right is not put to pydantic, which takes its time."""
    if is_dataclass(model):
        try:
            return accept(model, values)
        except Doubtful:
            pass  # in another spelling, or wrong: pydantic decides, and tells
    from pointsman.runtime.sources import merging

    return merging.checked(model, values, tree, root)


def _values(sources: Sources, name: str, model: type[object]) -> Any:
    renders_blanks: bool = getattr(model, "renders_blanks", False)
    values = sources.expanded(name, lambda _: renders_blanks)
    return {} if values is None else values
