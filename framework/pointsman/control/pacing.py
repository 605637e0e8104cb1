"""When to read, how long a request waits for that, and when the head may be written.

Pure functions of numbers and a random source. Every figure was simulated together; none is a setting but the
limits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

IDLE_WAIT_S: Final = 0.25
"""How long the first request after a silence waits for the refresh."""
STALE_WAIT_S: Final = 1.0
"""How long a request waits once the head is past the hard limit."""
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MOST_S: Final = 15.0
REFUSED_MOST_S: Final = 60.0
"""The ceiling of the backoff after which a refused manifest is tried again."""
LIFE: Final = timedelta(days=7)
"""How long a signature of the control document is good; it is signed anew from half of it."""
WRITE_EVERY_S: Final = 1.0
"""A paced store takes one write a second and object."""
WRITE_JITTER_S: Final = 0.5


class Limits(msgspec.Struct, frozen=True):
    """The ages that matter.

    Attributes:
        soft_s: Older than this the head is read again.
        hard_s: Older than this the replica is stale.
        release_s: How often the publisher's release is looked at.
    """

    soft_s: float = 10.0
    hard_s: float = 60.0
    release_s: float = 60.0


def next_read(limits: Limits, random: Random) -> float:
    """Return the seconds from the departure of one good read to the next."""
    return limits.soft_s * random.uniform(0.8, 1.0)


def first_phase(limits: Limits, random: Random) -> float:
    """Return the seconds from the cold start to the next read, so that replicas started together spread."""
    return random.uniform(0.0, limits.soft_s)


def backoff(failures: int, random: Random, most_s: float = BACKOFF_MOST_S) -> float:
    """Return the seconds to wait after the n-th failure in a row: full jitter under a doubling ceiling."""
    ceiling = min(most_s, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 30))
    return random.uniform(0.0, ceiling)


def patience(limits: Limits, *, age_s: float, silence_s: float, since_failure_s: float) -> float:
    """Return the seconds that a request waits for a refresh that is due; 0: it is served at once.

    ``age_s`` is the head's, ``silence_s`` counts from the last request or probe, ``since_failure_s`` from the last
    refresh that failed (infinite: none has).
    """
    if since_failure_s <= limits.soft_s:
        return 0.0
    if age_s > limits.hard_s:
        return STALE_WAIT_S
    return IDLE_WAIT_S if silence_s > limits.soft_s else 0.0


def write_not_before(stamp: datetime, losses: int, random: Random) -> datetime:
    """Return when a paced object that was written at ``stamp`` may be written again.

    Who lost more races in a row goes earlier.
    """
    return stamp + timedelta(seconds=WRITE_EVERY_S + random.uniform(0.0, WRITE_JITTER_S / (1 + losses)))


def retry_gap(losses: int, random: Random) -> float:
    """Return the seconds between two tries against a store that is not paced."""
    return random.uniform(0.0, min(0.5, 0.01 * 2.0 ** min(losses, 10)))
