"""A text encoder that needs no weights: words as directions of their own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hubel.core.vectors import unit

WORDS = {"a", "an", "the", "photo", "of", "kind", "red", "green", "blue", "nothing", "here"}


class FakeTexts:
    """Stands for MiniLM: the vector of a text is the sum over its words, each a direction drawn by its letters."""

    def is_word(self, word: str) -> bool:
        return word in WORDS

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), 384), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4])
                row += np.random.default_rng(seed).standard_normal(384) * (0.2 if word in ("a", "of", "photo") else 1)
        return unit(rows)


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("concepts", "search"):
        monkeypatch.setattr(f"hubel.retrieval.{module}.load_minilm", FakeTexts)
