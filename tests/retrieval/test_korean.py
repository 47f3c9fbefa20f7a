"""Korean queries by the table."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.retrieval.korean import korean_words, to_english


@pytest.mark.parametrize(
    ("korean", "english"),
    [
        ("빨간 드레스", "red dress"),
        ("모자를", "hat"),
        ("해변의 강아지들", "seashore dog"),
        ("긴팔 티셔츠", "long sleeve shirt"),
        ("고양이 사진", "cat"),
        ("야구모자", "baseball cap"),
        ("뷁", ""),
        ("red 모자", "red hat"),
        ("a dress", "a dress"),
    ],
)
def test_words(korean: str, english: str) -> None:
    assert to_english(korean) == english
    assert to_english(unicodedata.normalize("NFD", korean)) == english  # as macOS and some keyboards write it


def test_the_table_is_what_it_says() -> None:
    table = korean_words()
    assert len(table) > 900
    for korean, english in table.items():
        assert all("가" <= letter <= "힣" or letter == " " for letter in korean)
        assert english.isascii()


@settings(max_examples=20, deadline=None)
@given(st.text("가나다라마바사아자차카타파하들은는이가 ab", max_size=40))
def test_no_korean_is_left(text: str) -> None:
    assert not any("가" <= letter <= "힣" for letter in to_english(text))
