from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata

import pytest

from pointsman.declarations import Candidate, Constraints
from pointsman.errors import ConfigurationError
from pointsman.resolution.eligibility import (
    Environment,
    barrier_for,
    barrier_here,
    installed_version,
    lacking,
    this_environment,
)

Make = Callable[..., Candidate]


@pytest.mark.parametrize(
    ("constraints", "barrier"),
    [
        (Constraints(), None),
        (Constraints(python=">=3.12"), None),
        (Constraints(python=">=3.11,<4"), None),
        (Constraints(python="==3.12.*"), None),
        (Constraints(python=">=3.13"), "python >=3.13 wanted, 3.12.1 found"),
        (Constraints(platforms=["linux"]), None),
        (Constraints(platforms=["Linux"]), None),
        (Constraints(platforms=["X86_64", "arm64"]), None),
        (Constraints(platforms=["win32", "darwin"]), "platform darwin or win32 wanted, linux, x86_64 found"),
        (Constraints(packages=["redis"]), None),
        (Constraints(packages=["redis>=5", "redis<6"]), None),
        (Constraints(packages=["redis[hiredis]>=5"]), None),
        (Constraints(packages=["redis>=6"]), "package redis>=6 wanted, 5.1.0 found"),
        (Constraints(packages=["aioredis"]), "package aioredis is not installed"),
        (Constraints(packages=["redis", "zebra>=1"]), "package zebra>=1 is not installed"),
        (Constraints(packages=["odd>=1"]), "package odd>=1 wanted, not a version found"),
        (Constraints(python=">=3.13", platforms=["win32"], packages=["zebra"]), "python >=3.13 wanted, 3.12.1 found"),
        (Constraints(conflicts=["zebra", "redis>=6"]), None),
        (Constraints(conflicts=["redis<6"]), "conflicts with package redis<6, which is installed"),
        (Constraints(tenants=["acme"], not_tenants=["globex"]), None),  # a matter of who asks, not of where
    ],
)
def test_a_machine_bars_what_its_constraints_do_not_allow(
    candidate: Make, environment: Environment, constraints: Constraints, barrier: str | None
) -> None:
    assert barrier_here(candidate("redis", constraints=constraints), environment) == barrier


def test_a_pre_release_of_python_counts_as_its_version(candidate: Make) -> None:
    early = Environment("3.14.0rc1", lambda: frozenset(), {}.get)
    assert barrier_here(candidate("redis", constraints=Constraints(python=">=3.12")), early) is None


@pytest.mark.parametrize(
    ("constraints", "complaint"),
    [
        (Constraints(python="3.12 or so"), "adapter/cache=redis: expected a version specifier, found '3.12 or so'."),
        (Constraints(packages=["redis >> 5"]), "adapter/cache=redis: expected a package and its versions"),
        (Constraints(packages=[""]), "adapter/cache=redis: expected a package and its versions"),
        (Constraints(packages=["redis; python_version > '3'"]), "expected a package and its versions"),
        (Constraints(packages=["redis @ https://packages.example/redis.whl"]), "expected a package and its versions"),
    ],
)
def test_a_constraint_that_cannot_be_read_is_a_mistake_not_a_barrier(
    candidate: Make, environment: Environment, constraints: Constraints, complaint: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        barrier_here(candidate("redis", constraints=constraints), environment)
    assert complaint in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("constraints", "tenant", "barrier"),
    [
        (Constraints(), None, None),
        (Constraints(), "acme", None),
        (Constraints(tenants=["acme", "globex"]), "acme", None),
        (Constraints(tenants=["globex", "acme"]), "initech", "only for tenants acme, globex"),
        (Constraints(tenants=["acme"]), None, "only for tenants acme"),
        (Constraints(not_tenants=["initech"]), "initech", "not for tenant initech"),
        (Constraints(not_tenants=["initech"]), "acme", None),
        (Constraints(not_tenants=["initech"]), None, None),
        (Constraints(tenants=["acme"], not_tenants=["acme"]), "acme", "not for tenant acme"),
        (Constraints(tenants=["acme"]), "ACME", "only for tenants acme"),
    ],
)
def test_tenants_are_let_in_and_kept_out_by_name(
    constraints: Constraints, tenant: str | None, barrier: str | None
) -> None:
    assert barrier_for(constraints, tenant) == barrier


def test_every_capability_that_is_asked_for_must_be_there(candidate: Make) -> None:
    live = candidate("redis", capabilities={"ttl", "incr"})
    assert lacking(live, ()) is None
    assert lacking(live, {"ttl"}) is None
    assert lacking(live, {"ttl", "incr"}) is None
    assert lacking(live, {"ttl", "scan", "batch"}) == "lacks batch, scan"


def test_this_environment_is_what_runs_the_test() -> None:
    here = this_environment()
    assert here.python.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert sys.platform in here.platforms()
    assert here.version_of("packaging") == metadata.version("packaging")
    assert here.version_of("no-such-distribution") is None


def test_a_distribution_is_looked_up_on_disk_once_for_each_environment() -> None:
    here = this_environment()
    assert here.version_of("packaging") is here.version_of("packaging")
    assert installed_version("no-such-distribution") is None
