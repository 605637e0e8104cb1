from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.summarizers import Keywords, KeywordsSettings, Lead, LeadSettings, Summary

TEXT = "Points move. Trains follow points. Signals protect trains."
TEXTS = st.text("abc ABCé.!?\n", max_size=200) | st.text(max_size=200)


async def test_lead_keeps_the_first_sentences() -> None:
    assert await Lead(LeadSettings(sentences=2)).summarize(TEXT) == Summary(
        sentences=["Points move.", "Trains follow points."]
    )
    assert (await Lead(LeadSettings(sentences=20)).summarize("No end")).sentences == ["No end"]


async def test_keywords_names_what_comes_back_and_where_it_first_stands() -> None:
    summary = await Keywords(KeywordsSettings(terms=2)).summarize(TEXT)
    assert summary.terms == ["points", "trains"]
    assert summary.sentences == ["Points move.", "Trains follow points."]


async def test_a_term_stands_where_it_is_a_word_not_a_part_of_one() -> None:
    summary = await Keywords(KeywordsSettings(terms=1)).summarize("Starting is hard. The art of art is art.")
    assert summary == Summary(sentences=["The art of art is art."], terms=["art"])


async def test_words_that_say_nothing_are_no_terms() -> None:
    summary = await Keywords(KeywordsSettings(terms=5)).summarize("The and with the that it is of 1234 a_b.")
    assert summary == Summary(sentences=[], terms=[])


@pytest.mark.parametrize("text", ["", "  \n "])
async def test_a_blank_text_has_an_empty_summary(text: str) -> None:
    assert await Lead(LeadSettings()).summarize(text) == Summary(sentences=[])
    assert await Keywords(KeywordsSettings()).summarize(text) == Summary(sentences=[])


@given(text=TEXTS, count=st.integers(1, 20))
async def test_lead_says_nothing_that_the_text_does_not_say(text: str, count: int) -> None:
    sentences = (await Lead(LeadSettings(sentences=count)).summarize(text)).sentences
    assert len(sentences) <= count
    assert text.strip().startswith(sentences[0] if sentences else "")


@given(text=TEXTS, count=st.integers(1, 50))
async def test_keywords_is_a_function_of_the_text_and_each_term_has_a_sentence(text: str, count: int) -> None:
    summary = await Keywords(KeywordsSettings(terms=count)).summarize(text)
    assert summary == await Keywords(KeywordsSettings(terms=count)).summarize(text)
    assert len(summary.terms) == len(set(summary.terms)) <= count
    assert len(summary.sentences) <= len(summary.terms)
    assert all(any(term in sentence.lower() for sentence in summary.sentences) for term in summary.terms)


@given(text=TEXTS, count=st.integers(1, 10))
async def test_asking_for_more_terms_only_adds_some(text: str, count: int) -> None:
    fewer = await Keywords(KeywordsSettings(terms=count)).summarize(text)
    more = await Keywords(KeywordsSettings(terms=count + 1)).summarize(text)
    assert more.terms[: len(fewer.terms)] == fewer.terms
