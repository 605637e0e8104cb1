"""Rules that name a component's provider: for everyone or for one tenant, outright or by a weighted split.

Pure. A split must never depend on anything but its own words and the subject, so that every replica, and every process
that reads its vectors, draws the same bucket.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.declarations import Component, check_name
from pointsman.errors import ConfigurationError
from pointsman.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKETS = 10_000


@frozen
class Split:
    """A weighted choice by subject.

    Attributes:
        incumbent: Takes the buckets that no challenger takes, and every request without a subject.
        to: Challengers with their weights in 1/10 000, in order; they take buckets from 0.
        salt: Stays for the split's life, so that raising a weight never moves anybody back.
    """

    incumbent: str
    to: tuple[tuple[str, int], ...]
    salt: str = ""

    @property
    def providers(self) -> tuple[str, ...]:
        """All providers that the split may name, the incumbent first."""
        return self.incumbent, *(provider for provider, _ in self.to)

    def __str__(self) -> str:
        challengers = ", ".join(f"{provider} {weight / 100:g} %" for provider, weight in self.to)
        return f"{self.incumbent} (split: {challengers})"


Selection: TypeAlias = str | Split
Selections: TypeAlias = Mapping[Component[Any], Selection]


@frozen
class Choices:
    """The selections of one layer: for everyone, and tenant by tenant."""

    everyone: Selections = field(default_factory=dict)
    tenants: Mapping[str, Selections] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str | None, Component[Any], Selection]]:
        """Yield ``(tenant or None, component, selection)`` for every rule."""
        for component, selection in self.everyone.items():
            yield None, component, selection
        for tenant, selections in self.tenants.items():
            for component, selection in selections.items():
                yield tenant, component, selection


def parse_selection(value: object, where: str) -> Selection:
    """Return the selection that a settings file, a manifest or an order writes.

    Args:
        value: A provider's name, or ``{"incumbent": "redis", "to": [["memory", 500]], "salt": "…"}``.
        where: What is read, for the message.

    Raises:
        ConfigurationError: It is neither, or the weights exceed 10 000.
    """
    if isinstance(value, str):
        check_name(value, f"{where}: a provider")
        return value
    if not isinstance(value, Mapping) or not {"incumbent", "to"} <= set(value) <= {"incumbent", "to", "salt"}:
        raise ConfigurationError(
            f"{where}: expected a provider, or a split, found {value!r}.",
            hint="Write redis, or {incumbent: redis, to: [[memory, 500]], salt: spring}.",
        )
    return _parse_split(value, where)


def _parse_split(value: Mapping[str, Any], where: str) -> Split:
    check_name(value["incumbent"], f"{where}: the incumbent")
    if not isinstance(value["to"], Sequence):
        raise ConfigurationError(f"{where}: expected a list of challengers, found {value['to']!r}.")
    challengers = tuple(_parse_challenger(pair, where) for pair in value["to"])
    names = [value["incumbent"], *(name for name, _ in challengers)]
    if len(dict.fromkeys(names)) != len(names):
        raise ConfigurationError(f"{where}: expected each provider once in a split, found {', '.join(names)}.")
    total = sum(weight for _, weight in challengers)
    if not challengers or total > BUCKETS:
        raise ConfigurationError(
            f"{where}: expected challengers with weights of at most {BUCKETS} in all, "
            f"found {len(challengers)} with {total}."
        )
    salt = value.get("salt", "")
    if not isinstance(salt, str) or len(salt) > 128:
        raise ConfigurationError(f"{where}: expected a salt of at most 128 characters, found {salt!r}.")
    return Split(value["incumbent"], challengers, salt)


def _parse_challenger(pair: object, where: str) -> tuple[str, int]:
    match pair:
        case [str(provider), int(weight)] if not isinstance(weight, bool) and 0 <= weight <= BUCKETS:
            check_name(provider, f"{where}: a challenger")
            return provider, weight
        case _:
            raise ConfigurationError(f"{where}: expected [provider, weight in 1/10 000], found {pair!r}.")


def draw(split: Split, component: Component[Any], subject: str | None) -> str:
    """Return the provider that a split gives to a subject.

    Source: DESIGN 4; ``h`` is the first four bytes, big-endian, of ``sha256("salt|domain|key|subject")``.
    """
    if subject is None:
        return split.incumbent
    bucket = bucket_of(split.salt, component, subject)
    for provider, weight in split.to:
        if bucket < weight:
            return provider
        bucket -= weight
    return split.incumbent


def bucket_of(salt: str, component: Component[Any], subject: str) -> int:
    """Return the bucket of a subject, 0 to 9 999."""
    text = f"{salt}|{component[0]}|{component[1]}|{subject}"
    head = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]
    return int.from_bytes(head, "big") * BUCKETS >> 32
