"""The picture of the lesson: a house in the evening, with edges of every direction, flat parts and fine grain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hubel.core import random

__all__ = ["draw_scene"]

_HEIGHT, _WIDTH = 84, 112
_FINE = 4  # drawn so much larger, then averaged
_GRAIN = 9.0  # standard deviation of the grain of the meadow, of 255

Point = tuple[float, float]


def draw_scene() -> NDArray[np.uint8]:
    """Return the picture, RGB `(84, 112, 3)`."""
    image = Image.fromarray(_sky())
    draw = ImageDraw.Draw(image)

    def shape(points: list[Point], colour: str) -> None:
        draw.polygon([(x * _FINE, y * _FINE) for x, y in points], colour)

    def disc(x: float, y: float, radius: float, colour: str) -> None:
        draw.ellipse([(v * _FINE) for v in (x - radius, y - radius, x + radius, y + radius)], colour)

    disc(90, 20, 9, "#ffe9a8")
    shape([(0, 52), (22, 30), (40, 46), (62, 26), (86, 48), (112, 34), (112, 84), (0, 84)], "#5d6f8f")
    shape([(0, 60), (30, 50), (70, 58), (112, 50), (112, 84), (0, 84)], "#5f8a4a")
    shape([(26, 44), (64, 44), (64, 72), (26, 72)], "#ead9bd")
    shape([(21, 45), (45, 26), (69, 45)], "#a8442f")
    shape([(56, 30), (61, 30), (61, 41), (56, 37)], "#7d3324")
    shape([(31, 50), (41, 50), (41, 59), (31, 59)], "#33415e")
    shape([(35.5, 50), (36.5, 50), (36.5, 59), (35.5, 59)], "#ead9bd")
    shape([(49, 54), (58, 54), (58, 72), (49, 72)], "#6b4a2f")
    for left in range(74, 112, 6):
        shape([(left, 62), (left + 1.5, 60), (left + 3, 62), (left + 3, 76), (left, 76)], "#f4f1ea")
    shape([(74, 66), (112, 66), (112, 68), (74, 68)], "#f4f1ea")
    disc(12, 52, 8, "#2f5a34")
    shape([(11, 58), (13, 58), (13, 70), (11, 70)], "#4b3523")
    pixels = np.asarray(image.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX)).astype(float)
    grain = random.normal(0, np.arange(_HEIGHT * _WIDTH)).reshape(_HEIGHT, _WIDTH, 1)
    meadow = (np.arange(_HEIGHT) >= 72)[:, None, None]
    return np.clip(np.rint(pixels + _GRAIN * grain * meadow), 0, 255).astype(np.uint8)


def _sky() -> NDArray[np.uint8]:
    """Return a vertical gradient at the fine size."""
    top, bottom = np.array([88, 132, 196.0]), np.array([250, 214, 176.0])
    share = np.clip(np.arange(_HEIGHT * _FINE) / (50 * _FINE), 0, 1)[:, None]
    column = top + (bottom - top) * share
    return np.repeat(np.rint(column).astype(np.uint8)[:, None], _WIDTH * _FINE, axis=1)
