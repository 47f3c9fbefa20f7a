"""Two small towers: pictures and sentences, each to a point of one sphere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.nn.contrastive import LearntScale
from hubel.teach.course.lesson import RefusedError
from hubel.teach.course.lessons.pairs.scenes import SIDE

__all__ = ["PictureTower", "SentenceTower", "TwoTowers", "Vocabulary"]

_WORDS = 12  # of the longest sentence
_DIMENSIONS = 128


class Vocabulary:
    """Numbers for the words of a language.

    Args:
        words: every word that is known.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._numbers = {word: number for number, word in enumerate(words, start=1)}

    def __len__(self) -> int:
        return len(self._numbers)

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Return the words of sentences as numbers from 1 on, int64 `(n, 12)`, and 0 where a sentence has ended.

        Raises:
            RefusedError: a sentence is empty or too long, or has a word that is not known.
        """
        rows = []
        for sentence in sentences:
            words = sentence.lower().split()
            if not 0 < len(words) <= _WORDS:
                raise RefusedError("pairs", "find.error.length", most=_WORDS, count=len(words))
            if unknown := [word for word in words if word not in self._numbers]:
                raise RefusedError("pairs", "find.error.word", word=unknown[0][:40], known=", ".join(self._numbers))
            rows.append([*map(self._numbers.__getitem__, words), *[0] * (_WORDS - len(words))])
        return torch.tensor(rows, dtype=torch.int64)


class PictureTower(nn.Sequential):
    """Three convolutions of stride 2, and two linear layers.

    The last map is flattened, not averaged: what is left and what is right must not get lost. Strides in place of
    pooling cost a third.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for maps, kernel in ((32, 5), (64, 3), (128, 3)):
            layers += [
                nn.Conv2d(channels, maps, kernel, stride=2, padding=kernel // 2),
                nn.BatchNorm2d(maps),
                nn.ReLU(),
            ]
            channels = maps
        flat = channels * (SIDE // 8) ** 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(flat, 256), nn.ReLU(), nn.Linear(256, _DIMENSIONS))


class SentenceTower(nn.Module):
    """A vector for each word, two convolutions along the sentence, and two linear layers.

    Args:
        words: number of words that are known.
    """

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words + 1, 32, padding_idx=0)
        self.layers = nn.Sequential(
            nn.Conv1d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv1d(64, 128, 3, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(128 * _WORDS, 256), nn.ReLU(), nn.Linear(256, _DIMENSIONS),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map the numbers of words `(n, 12)` to `(n, d)`."""
        vectors: Tensor = self.layers(self.embedding(x).transpose(1, 2))
        return vectors


class TwoTowers(nn.Module):
    """Both towers, and the factor of their similarities.

    Args:
        words: number of words that are known.
    """

    def __init__(self, words: int) -> None:
        super().__init__()
        self.pictures, self.sentences, self.scale = PictureTower(), SentenceTower(words), LearntScale()

    def see(self, pixels: Tensor) -> Tensor:
        """Return unit vectors `(n, d)` of pictures uint8 `(n, h, w, 3)`."""
        x = pixels.permute(0, 3, 1, 2).float() / 128 - 1
        return F.normalize(self.pictures(x), dim=1)

    def read(self, words: Tensor) -> Tensor:
        """Return unit vectors `(n, d)` of sentences as numbers of words `(n, 12)`."""
        return F.normalize(self.sentences(words), dim=1)
