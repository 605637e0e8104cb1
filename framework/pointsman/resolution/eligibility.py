"""Whether a candidate may serve at all: here, and for this tenant.

Pure over an `Environment`, which is read once. An ineligible candidate stays in the explanation with its reason, and
can never win.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import cache
from typing import TYPE_CHECKING

from pointsman.errors import ConfigurationError
from pointsman.values import frozen

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from pointsman.declarations import Candidate, Constraints


@frozen
class Environment:
    """What constraints are weighed against.

    Attributes:
        python: The version of the interpreter, e.g. ``3.13.0``.
        platforms: The names that this machine answers to, e.g. ``linux`` and ``x86_64``.
        version_of: The installed version of a distribution, or ``None``.
    """

    python: str
    platforms: Callable[[], frozenset[str]]
    version_of: Callable[[str], str | None]


def this_environment() -> Environment:
    """Return what this process runs on."""
    python = sys.version.split(maxsplit=1)[0].rstrip("+")  # a build between two releases says 3.13.0+
    return Environment(python, cache(platform_names), cache(installed_version))


def platform_names() -> frozenset[str]:
    """Return what this machine is called, in lower case."""
    import platform

    names = sys.platform, platform.system(), platform.machine()
    return frozenset(name.lower() for name in names if name)


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or ``None``."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def barrier_here(candidate: Candidate, environment: Environment) -> str | None:
    """Return why a candidate cannot serve in this environment, or ``None``.

    Raises:
        ConfigurationError: A specifier or requirement cannot be read.
    """
    constraints = candidate.constraints
    if not (constraints.python or constraints.platforms or constraints.packages or constraints.conflicts):
        return None
    if constraints.python and not _satisfies(environment.python, constraints.python, candidate):
        return f"python {constraints.python} wanted, {environment.python} found"
    wanted = [name.lower() for name in constraints.platforms]
    if wanted and environment.platforms().isdisjoint(wanted):
        return f"platform {' or '.join(wanted)} wanted, {', '.join(sorted(environment.platforms()))} found"
    for requirement in constraints.packages:
        if reason := _missing(requirement, environment, candidate):
            return reason
    for requirement in constraints.conflicts:
        if _missing(requirement, environment, candidate) is None:
            return f"conflicts with package {requirement}, which is installed"
    return None


def barrier_for(constraints: Constraints, tenant: str | None) -> str | None:
    """Return why a candidate cannot serve this tenant, or ``None``."""
    if constraints.tenants and tenant not in constraints.tenants:
        return f"only for tenants {', '.join(constraints.tenants)}"
    if tenant is not None and tenant in constraints.not_tenants:
        return f"not for tenant {tenant}"
    return None


def lacking(candidate: Candidate, requires: Collection[str]) -> str | None:
    """Return which of the asked capabilities a candidate lacks, or ``None``."""
    missing = [name for name in requires if name not in candidate.capabilities]
    return f"lacks {', '.join(sorted(missing))}" if missing else None


def _satisfies(version: str, specifier: str, candidate: Candidate) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return _contains(SpecifierSet(specifier), version)
    except InvalidSpecifier as error:
        raise ConfigurationError(
            f"{candidate}: expected a version specifier, found {specifier!r}.", hint="Write >=3.12."
        ) from error


def _missing(text: str, environment: Environment, candidate: Candidate) -> str | None:
    requirement = _parse_requirement(text, candidate)
    found = environment.version_of(requirement.name)
    if found is None:
        return f"package {text} is not installed"
    if not _contains(requirement.specifier, found):
        return f"package {text} wanted, {found} found"
    return None


def _parse_requirement(text: str, candidate: Candidate) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    refusal = ConfigurationError(
        f"{candidate}: expected a package and its versions, found {text!r}.", hint="Write redis>=5."
    )
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise refusal from error
    if requirement.marker or requirement.url:
        raise refusal
    return requirement


def _contains(specifier: SpecifierSet, version: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
