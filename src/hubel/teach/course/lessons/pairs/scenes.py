"""Scenes of two figures, and the sentences that describe them.

A scene shows two figures beside or above each other, each with a size, a colour and a shape. That makes 4,608 kinds of
scene, and a caption names everything that tells them apart: it fits the scenes of exactly one kind. The same scene can
be described from either figure ("a red circle left of a blue square", "a blue square right of a red circle").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.random import bits, permutation, uniform
from hubel.data.sources.figures import INSIDE

__all__ = ["COLOURS", "EDITS", "KINDS", "SIDE", "SPOKEN", "Spoken", "caption", "draw_scenes", "edited", "split_kinds"]

Ints = NDArray[np.int64]

#: Height and width of a scene in pixels.
SIDE = 32
#: The colours, RGB from 0 to 255.
COLOURS = {
    "red": (225, 40, 40), "green": (40, 175, 60), "blue": (50, 80, 235),
    "yellow": (245, 220, 50), "pink": (250, 130, 200), "white": (250, 250, 250),
}  # fmt: skip
_SIZES = ("small", "large")
_DIRECTIONS = ("left", "right", "above", "below")  # of the figure that is named first
_HALF = ((3.5, 4.5), (6.0, 7.5))  # half of a figure's side in pixels, from and to, by size
_APART = 8.0  # pixels from the centre of the scene to that of a figure, along the direction
_JITTER = (1.0, 4.0)  # pixels that a figure is moved by at most, along the direction and across
_TURN = np.radians(12)  # the largest rotation either way
_NOISE = 6.0  # standard deviation, of 255
_FINE = 2  # points across a pixel, for smooth edges
_FIGURES = tuple(INSIDE)
# Size, colour and shape of the figure on the left or above, of the other one, and whether they lie beside each other.
_AXES = (len(_SIZES), len(COLOURS), len(_FIGURES)) * 2 + (2,)
#: In what a wrong caption can differ: the first figure's size, colour or shape, or which figure is where.
EDITS = ("size", "colour", "shape", "order")
#: Number of kinds of scene.
KINDS = int(np.prod(_AXES))


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """The words of a language.

    Attributes:
        sentence: pattern of a caption, of the fields `first`, `second` and `direction`.
        figure: pattern of a figure, of the fields `size`, `colour` and `shape`.
        words: by size, colour, shape and direction.
    """

    sentence: str
    figure: str
    words: Mapping[str, str]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Return every word that a caption can have, each once."""
        text = " ".join([self.sentence, self.figure, *self.words.values()])
        return tuple(sorted({word for word in text.split() if "{" not in word}))


#: The languages that captions are written in.
SPOKEN = {
    "en": Spoken(
        sentence="{first} {direction} {second}",
        figure="a {size} {colour} {shape}",
        words={
            **{word: word for word in (*_SIZES, *COLOURS, *_FIGURES, "above", "below")},
            "left": "left of",
            "right": "right of",
        },
    ),
    "ko": Spoken(
        sentence="{second} {direction} 있는 {first}",
        figure="{size} {colour} {shape}",
        words={
            "small": "작은", "large": "큰",
            "red": "빨간", "green": "초록", "blue": "파란", "yellow": "노란", "pink": "분홍", "white": "하얀",
            "circle": "원", "square": "사각형", "triangle": "삼각형", "cross": "십자",
            "left": "왼쪽에", "right": "오른쪽에", "above": "위에", "below": "아래에",
        },
    ),
}  # fmt: skip


def split_kinds(held_out: int, seed: int) -> tuple[Ints, Ints]:
    """Return the kinds to learn from, and `held_out` others: whatever is asked of these is a new combination.

    Raises:
        OptionError: nothing would be left to learn from.
    """
    if not 0 < held_out < KINDS:
        raise OptionError(f"of {KINDS:,} kinds of scene 1 to {KINDS - 1:,} are held out, not {held_out:,}")
    order = permutation(KINDS, seed)
    return order[held_out:], order[:held_out]


def caption(kind: int, swapped: bool, language: str = "en") -> str:
    """Describe the scenes of a kind, from the figure on the left or above, or, `swapped`, from the other one.

    >>> caption(0, False), caption(0, True)
    ('a small red circle left of a small red circle', 'a small red circle right of a small red circle')
    >>> caption(KINDS - 1, True, "ko")
    '큰 하얀 십자 아래에 있는 큰 하얀 십자'
    """
    spoken = SPOKEN[language]
    *parts, upright = (int(i) for i in np.unravel_index(kind, _AXES))
    figures = [
        spoken.figure.format(
            size=spoken.words[_SIZES[size]],
            colour=spoken.words[tuple(COLOURS)[colour]],
            shape=spoken.words[_FIGURES[shape]],
        )
        for size, colour, shape in (parts[:3], parts[3:])
    ]
    first, second = reversed(figures) if swapped else figures
    direction = spoken.words[_DIRECTIONS[2 * upright + swapped]]
    return spoken.sentence.format(first=first, second=second, direction=direction)


def edited(kinds: Ints, edit: str) -> Ints:
    """Return the kinds that differ from these in one respect, one of `EDITS`, of their first figure or of both.

    >>> [caption(kind, False) for kind in edited(np.array([0]), "colour")]
    ['a small green circle left of a small red circle']
    """
    parts = list(np.unravel_index(kinds, _AXES))
    if edit == "order":  # never the same scene again, as the figures of some are alike
        same = np.all([parts[i] == parts[i + 3] for i in range(3)], 0)
        parts = [*parts[3:6], *parts[:3], np.where(same, 1 - parts[6], parts[6])]
    else:
        axis = EDITS.index(edit)
        parts[axis] = (parts[axis] + 1) % _AXES[axis]
    return np.ravel_multi_index(tuple(parts), _AXES).astype(np.int64)


def draw_scenes(kinds: Sequence[int] | Ints, seed: int) -> NDArray[np.uint8]:
    """Draw a scene of each kind, uint8 `(n, SIDE, SIDE, 3)`; places, sizes, shades and the ground are drawn by seed."""
    n = len(kinds)
    *parts, upright = (np.asarray(part) for part in np.unravel_index(np.asarray(kinds, np.int64), _AXES))
    row = np.arange(n)
    image = _ground(n, seed)
    across = np.stack([upright == 0, upright == 1], 1)  # which coordinate the direction is along: x, y
    for which, (size, colour, shape) in enumerate((parts[:3], parts[3:])):
        draws = uniform(seed, row[:, None], which, np.arange(7))
        jitter = (2 * draws[:, :2] - 1) * np.where(across, *_JITTER)
        centre = SIDE / 2 + jitter + np.where(across, (2 * which - 1) * _APART, 0)
        low, high = np.array(_HALF)[size].T
        half = low + (high - low) * draws[:, 2]
        covered = _covered(shape, centre, half, (2 * draws[:, 3] - 1) * _TURN)
        shade = np.array(list(COLOURS.values()))[colour] + 40 * (draws[:, 4:7] - 0.5)
        image += covered[..., None] * (shade[:, None, None] - image)
    # The sum of four uniform numbers, 16 bits of a word each, is nearly normal; its variance is 1 / 3.
    words = bits(seed, row[:, None], 9, np.arange(SIDE * SIDE * 3)).view(np.uint16).reshape(n, SIDE, SIDE, 3, 4)
    image += _NOISE * np.sqrt(3) * (words.sum(-1, dtype=np.float64) / 2**16 - 2)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _ground(n: int, seed: int) -> NDArray[np.float64]:
    """Return dark grounds `(n, SIDE, SIDE, 3)`, each a slanting course between two greys."""
    draws = uniform(seed, np.arange(n)[:, None], 8, np.arange(3))
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    angle = (2 * np.pi * draws[:, 0])[:, None, None]
    course = 0.5 + (x * np.cos(angle) + y * np.sin(angle)) / 1.5
    dark, light = (20 + 70 * draws[:, i, None, None] for i in (1, 2))
    return np.repeat((dark + (light - dark) * course)[..., None], 3, -1)


def _covered(
    shape: Ints, centre: NDArray[np.float64], half: NDArray[np.float64], turn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of each pixel that a figure covers, `(n, SIDE, SIDE)`."""
    points = (np.arange(SIDE * _FINE) + 0.5) / _FINE
    share = np.zeros((len(shape), SIDE, SIDE))
    for number, inside in enumerate(INSIDE.values()):
        of = np.flatnonzero(shape == number)
        x, y = points[None, None] - centre[of, :1, None], points[None, :, None] - centre[of, 1:, None]
        cos, sin = (f(turn[of])[:, None, None] / half[of, None, None] for f in (np.cos, np.sin))
        hit = inside(x * cos + y * sin, y * cos - x * sin)
        share[of] = hit.reshape(len(of), SIDE, _FINE, SIDE, _FINE).mean((2, 4))
    return share
