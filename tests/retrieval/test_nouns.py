"""Nouns in sentences, what they are a kind of, and slips of the keyboard."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.retrieval.nouns import corrected, mentions, nouns
from hubel.weights.imagenet import imagenet_synsets


@cache
def places() -> dict[str, int]:
    """Return the row of each synset."""
    return {identity: row for row, identity in enumerate(nouns().ids)}


def found(text: str) -> list[tuple[str, bool]]:
    return [(one.text, one.head) for one in mentions(text, nouns())]


def test_every_class_of_imagenet_is_below_entity() -> None:
    (entity,) = nouns().meanings("entity")
    for synset in imagenet_synsets():
        assert entity in nouns().above(places()[synset])


@pytest.mark.parametrize(
    ("lower", "upper"),
    [("n01534433", "bird"), ("n02123394", "cat"), ("n02687172", "vehicle"), ("n03110669", "musical instrument")],
)
def test_what_stands_above(lower: str, upper: str) -> None:
    assert set(nouns().above(places()[lower])) & set(nouns().meanings(upper))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red fire engine on a bridge", [("fire engine", True), ("bridge", False)]),
        ("red fox", [("red fox", True)]),
        ("Two CATS", [("cats", True)]),
        ("musical instruments", [("musical instruments", True)]),
        ("denim legs", [("denim", False), ("legs", True)]),
        ("a pair of shoes", [("shoes", True)]),
        ("t-shirt", [("t-shirt", True)]),
        ("something", []),
        ("", []),
        ("!?", []),
        ("men with knives", [("knives", True)]),
    ],
)
def test_mentions(text: str, expected: list[tuple[str, bool]]) -> None:
    assert found(text) == expected


def test_plural_and_singular_are_both_meant() -> None:
    """WordNet has "pants" as underwear and "pant" as trousers; who says pants means either."""
    ranks = nouns().meanings("pants")
    assert {nouns().lemmas[one][0] for one, rank in ranks.items() if rank == 0} >= {"bloomers", "trouser"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a longsleeve", "a long sleeve"),
        ("a giraff!", "a giraffe!"),
        ("outwear", "outerwear"),
        ("shoes", "shoes"),
        ("xqzzv", "xqzzv"),
        ("running dogs", "running dogs"),  # a known word with an ending
        ("dog " + "z" * 10_000, "dog " + "z" * 10_000),
    ],
)
def test_corrections(text: str, expected: str) -> None:
    assert corrected(text, nouns(), lambda word: word in ("a", "run")) == expected


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert sum(one.head for one in mentions(text, nouns())) <= 1
    corrected(text, nouns(), lambda word: True)
