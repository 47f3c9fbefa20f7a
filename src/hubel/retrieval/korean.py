"""Queries in Korean: nouns and the words beside them into English, by a table that ships with hubel.

`korean_words.tsv` has Korean words and their English; it was written for hubel by its authors, under the licence of
hubel. A Korean sentence keeps its order, so that the thing it is about stands last, as English has it before a
preposition: "빨간 드레스" is "red dress". Particles and endings ("은", "에서", "하는") are taken off or left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["korean_words", "to_english"]

_HANGUL = re.compile(r"[가-힣]+")
_PARTICLES = (
    "에서는", "으로는", "이라는", "에서", "에게", "으로", "까지", "부터", "처럼", "보다", "이나", "이랑", "하고",
    "들이", "들을", "들은", "들의", "들", "은", "는", "이", "가", "을", "를", "의", "에", "로", "와", "과", "도", "만",
    "나", "랑",
)  # fmt: skip
_MOST_WORDS = 3  # of an entry such as "긴팔 티셔츠"


@cache
def korean_words() -> Mapping[str, str]:
    """Return the English of each Korean word of the table; "" for words that say nothing of a photo."""
    text = files("hubel.retrieval").joinpath("korean_words.tsv").read_text(encoding="utf-8")
    pairs = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return dict(pairs)


def to_english(text: str) -> str:
    """Return a text with its Korean words in English; words that the table lacks are left out.

    >>> to_english("옷걸이에 걸린 빨간 드레스"), to_english("a dress")
    ('hanger red dress', 'a dress')
    """
    text = unicodedata.normalize("NFC", text)
    if not _HANGUL.search(text):
        return text
    words, out = text.split(), []
    start = 0
    while start < len(words):
        for length in range(min(_MOST_WORDS, len(words) - start), 0, -1):
            english = _meaning(" ".join(words[start : start + length]))
            if english is not None:
                out.append(english)
                start += length
                break
        else:
            if not _HANGUL.search(words[start]):
                out.append(words[start])
            start += 1
    return " ".join(" ".join(out).split())


def _meaning(phrase: str) -> str | None:
    """Return the English of a phrase, without its particle if need be, or part by part; None if it is unknown."""
    known = korean_words()
    bare = re.sub(r"[^\w\s]", "", phrase)
    for form in (bare, *(bare.removesuffix(particle) for particle in _PARTICLES if bare.endswith(particle))):
        if form in known:
            return known[form]
        if (joined := form.replace(" ", "")) in known:
            return known[joined]
    if " " in bare:
        return None
    for at in range(len(bare) - 1, 0, -1):  # "운동화끈": nouns are run together
        if len(bare) > 3 and bare[:at] in known and (rest := _meaning(bare[at:])) is not None and len(bare[at:]) > 1:
            return f"{known[bare[:at]]} {rest}"
    return None
