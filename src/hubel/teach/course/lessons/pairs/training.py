"""Training of the two towers on scenes and their captions, from nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hubel.core.random import permutation, scalar, uniform
from hubel.nn.contrastive import info_nce
from hubel.teach.course.lessons.pairs.scenes import SPOKEN, caption, draw_scenes
from hubel.teach.course.lessons.pairs.towers import TwoTowers, Vocabulary
from hubel.training.eager import eager

__all__ = ["Pairs", "TrainedStep", "embed_pairs", "make_pairs", "train_towers", "vocabulary"]

_MEASURED = 256  # pictures that are measured at once
_RATE = 2e-3
_WARM_UP = 0.05  # share of the steps in which the rate rises
_DRAWINGS = 8  # of each kind of scene, which later epochs see again
_DRAW, _SIDE, _ORDER = 0, 1, 2  # separate the random numbers of pictures, captions and the order


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """Pictures, and a caption of each.

    Attributes:
        pixels: uint8 `(n, h, w, 3)`.
        captions: row i describes picture i, and no other.
        words: the captions as numbers of words `(n, 12)`.
    """

    pixels: Tensor
    captions: tuple[str, ...]
    words: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedStep:
    """The towers after a step.

    Attributes:
        step: number of steps that they have been trained for.
        loss: of the last batch; before the first step, of none.
        towers: they; in the mode for training.
    """

    step: int
    loss: float | None
    towers: TwoTowers


def vocabulary(language: str) -> Vocabulary:
    """Return the vocabulary of a language's captions."""
    return Vocabulary(SPOKEN[language].vocabulary)


def make_pairs(kinds: NDArray[np.int64], seed: int, language: str = "en") -> Pairs:
    """Draw a scene of each kind, and describe it from one of its figures, chosen at random."""
    swapped = uniform(seed, _SIDE, np.arange(len(kinds))) < 0.5
    captions = tuple(
        caption(kind, other, language) for kind, other in zip(kinds.tolist(), swapped.tolist(), strict=True)
    )
    pixels = torch.from_numpy(draw_scenes(kinds, scalar(seed, _DRAW)))
    return Pairs(pixels=pixels, captions=captions, words=vocabulary(language).encode(captions))


def train_towers(
    kinds: NDArray[np.int64], *, steps: int, batch: int = 256, seed: int = 0, language: str = "en"
) -> Iterator[TrainedStep]:
    """Train two towers on scenes of some kinds, and yield them before the first step and after each.

    A batch has no two scenes of a kind, so that each picture fits exactly one of its captions. The rate rises over the
    first steps and then falls along half a cosine; the optimizer is Adam.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scalar(seed))
        towers = TwoTowers(len(vocabulary(language)))
    optimizer = eager(torch.optim.Adam)(towers.parameters(), _RATE)
    per_epoch = max(1, len(kinds) // batch)
    drawn: dict[int, Pairs] = {}
    yield TrainedStep(step=0, loss=None, towers=towers)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        drawing = epoch % _DRAWINGS
        if drawing not in drawn:
            drawn[drawing] = make_pairs(kinds, scalar(seed, drawing), language)
        pairs = drawn[drawing]
        rows = torch.from_numpy(permutation(len(kinds), seed, _ORDER, epoch)[place * batch : (place + 1) * batch])
        done = (step + 0.5) / steps
        rise = min(1.0, done / _WARM_UP)
        optimizer.param_groups[0]["lr"] = _RATE * rise * (1 + math.cos(math.pi * done)) / 2
        loss = info_nce(towers.see(pairs.pixels[rows]), towers.read(pairs.words[rows]), towers.scale())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield TrainedStep(step=step + 1, loss=float(loss.detach()), towers=towers)


@torch.no_grad()
def embed_pairs(towers: TwoTowers, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return unit vectors `(n, d)` of pictures and of captions; the towers are left in the mode for training."""
    towers.eval()
    images = torch.cat([towers.see(part) for part in torch.split(pairs.pixels, _MEASURED)])
    texts = towers.read(pairs.words)
    towers.train()
    return images, texts
