"""Sentences of pages and reports by language: one table for each language, in `strings/`.

What writes a sentence names its key; the text itself is English, as everywhere else, so that terminals, logs and files
need not know of languages. A page in another language asks for the same sentence there. Names of classes and files are
values, never keys, and are never translated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Self

from hubel.core.errors import UnknownNameError

__all__ = [
    "LANGUAGES", "Sentence", "counted_images", "find_language", "in_language", "joined", "plural", "preferred",
    "sentence", "split_name", "table",
]  # fmt: skip

#: Languages of pages and reports; the first is what all else is written in.
LANGUAGES = ("en", "ko")


class Sentence(str):
    """English text that is known in the other languages, too.

    Attributes:
        key: its key in the tables; "" for several sentences, one after the other.
        values: what stands in it, by name; these may be sentences.
    """

    key: str
    values: Mapping[str, Any]

    def __new__(cls, text: str, key: str, values: Mapping[str, Any]) -> Self:
        """Return the text with its key and its values."""
        found = super().__new__(cls, str.__str__(text))
        found.key, found.values = key, values
        return found

    def __str__(self) -> str:
        """Return the sentence itself, so that what takes any text, as figures do, still knows its key."""
        return self


@cache
def table(language: str) -> dict[str, str]:
    """Return all sentences of a language by their keys; `{name}` stands for a value."""
    text = files("hubel.core").joinpath("strings", f"{language}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


def find_language(name: str) -> str:
    """Return the name of a language.

    Raises:
        UnknownNameError: pages and reports are not written in it.
    """
    if name not in LANGUAGES:
        raise UnknownNameError("language", name, LANGUAGES)
    return name


def preferred(header: str) -> str:
    """Return the language of ours that an Accept-Language header likes best; English if it likes none.

    >>> preferred("ko-KR,ko;q=0.9,en-US;q=0.8"), preferred("de, en;q=0.5"), preferred("")
    ('ko', 'en', 'en')
    """
    liked = []
    for entry in header[:1000].split(","):
        tag, _, quality = entry.partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        liked.append((weight, tag.strip().lower().partition("-")[0]))
    ours = [(weight, tag) for weight, tag in liked if tag in LANGUAGES and weight > 0]
    return max(ours, key=lambda pair: pair[0])[1] if ours else LANGUAGES[0]


def sentence(key: str, **values: Any) -> Sentence:
    """Return a sentence with its values filled in.

    >>> sentence("report.more", n=3)
    '3 more'
    >>> in_language(sentence("report.more", n=3), "ko")
    '3개 더 보기'
    """
    return Sentence(table(LANGUAGES[0])[key].format(**values), key, values)


def plural(key: str, n: int, **values: Any) -> Sentence:
    """Return the sentence `key.one` or `key.other`, with the number as `n`."""
    return sentence(f"{key}.{'one' if n == 1 else 'other'}", n=n, **values)


def split_name(name: str) -> str:
    """Return the word for the images of a split, such as "test"."""
    return sentence(f"split.{name}") if f"split.{name}" in table(LANGUAGES[0]) else name


def counted_images(n: int, split: str) -> Sentence:
    """Return how many images of a split there are, such as "1 test image"."""
    return plural("images.of_split", n, split=split_name(split))


def joined(*parts: str) -> Sentence:
    """Return sentences, one after the other; empty ones are left out."""
    some = [part for part in parts if part]
    return Sentence(" ".join(some), "", {str(at): part for at, part in enumerate(some)})


def in_language(text: str, language: str) -> str:
    """Return a text in a language; what is no `Sentence` is returned as it is."""
    if not isinstance(text, Sentence):
        return text
    values = {name: in_language(one, language) if isinstance(one, str) else one for name, one in text.values.items()}
    return table(language)[text.key].format(**values) if text.key else " ".join(values.values())
