"""Two ways to shorten a note: its first sentences, or its weightiest terms.

Pure: the same text gives the same summary in every process. No I/O.
"""

import math
import re
from collections import Counter
from typing import Annotated, Protocol

from pydantic import BaseModel, Field

from pointsman import Component, provides

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_STOP_WORDS = frozenset(
    "and are but for from has have its not that the their this was were will with you".split()  # noqa: SIM905 - reads
)


class Summary(BaseModel):
    """What is left of a text: whole sentences in its order, and its terms, weightiest first."""

    sentences: list[str]
    terms: list[str] = []


class Summarizer(Protocol):
    """Shortens a text; asynchronous, since the next provider may ask a model."""

    async def summarize(self, text: str) -> Summary:
        """Return the summary of a text, empty for a blank one."""
        ...


SUMMARIZER = Component[Summarizer]("service", "summarizer")


class LeadSettings(BaseModel, frozen=True, extra="forbid"):
    """How many sentences are kept."""

    sentences: Annotated[int, Field(ge=1, le=20)] = 2


@provides(SUMMARIZER, "lead")
class Lead(Summarizer):
    """The first sentences."""

    def __init__(self, settings: LeadSettings) -> None:
        self._count = settings.sentences

    async def summarize(self, text: str) -> Summary:
        """Return the first sentences."""
        return Summary(sentences=_sentences(text)[: self._count])


class KeywordsSettings(BaseModel, frozen=True, extra="forbid"):
    """How many terms are named."""

    terms: Annotated[int, Field(ge=1, le=50)] = 5


@provides(SUMMARIZER, "keywords", capabilities={"terms"})
class Keywords(Summarizer):
    """The terms that carry most weight, and the sentences that first have them."""

    def __init__(self, settings: KeywordsSettings) -> None:
        self._count = settings.terms

    async def summarize(self, text: str) -> Summary:
        """Return the weightiest terms with their sentences; of equal terms the first in the text counts more."""
        wanted = [term for term, _ in _weights(text).most_common(self._count)]
        kept: list[str] = []
        missing = set(wanted)
        for sentence in _sentences(text):
            if new := missing.intersection(_words(sentence)):
                kept.append(sentence)
                missing -= new
        return Summary(sentences=kept, terms=wanted)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _weights(text: str) -> Counter[str]:
    """Return occurrences times the logarithm of the length: long words that come back say most."""
    counts = Counter(word for word in _words(text) if word not in _STOP_WORDS)
    return Counter({word: round(100 * count * math.log(len(word))) for word, count in counts.items()})
