"""Slow and obvious float64 versions of what `hubel.data.augment` does, written from definitions and not from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Map = Callable[[Floats, Floats], tuple[Floats, Floats]]  # from x and y in the result to x and y in the picture


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    shape = (height, width, channels) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def scene(height: int, width: int) -> Pixels:
    """Waves that become finer to one side, with hard edges."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(2 * np.pi * (6 + 40 * x) * x), np.sin(2 * np.pi * (5 + 60 * y) * y), np.sign(np.sin(70 * (x + y)))]
    return (127.5 + 120 * np.stack(waves, -1)).round().astype(np.uint8)


def pixel(picture: Floats, row: NDArray[np.int64], column: NDArray[np.int64], fill: str) -> Floats:
    height, width = picture.shape[:2]
    if fill == "black":
        outside = (row < 0) | (row >= height) | (column < 0) | (column >= width)
        found = picture[row.clip(0, height - 1), column.clip(0, width - 1)].copy()
        found[outside] = 0
        return found
    if fill == "edge":
        return picture[row.clip(0, height - 1), column.clip(0, width - 1)]
    padded_rows = np.concatenate([np.arange(height), np.arange(height)[::-1]])[row % (2 * height)]
    padded_columns = np.concatenate([np.arange(width), np.arange(width)[::-1]])[column % (2 * width)]
    return picture[padded_rows, padded_columns]


def between(picture: Pixels, x: Floats, y: Floats, fill: str) -> Floats:
    """The picture at continuous places, bilinear between the middles of its pixels."""
    values = picture.reshape(*picture.shape[:2], -1).astype(np.float64)
    column, row = np.floor(x - 0.5).astype(np.int64), np.floor(y - 0.5).astype(np.int64)
    right, below = (x - 0.5 - column)[..., None], (y - 0.5 - row)[..., None]
    upper = pixel(values, row, column, fill) * (1 - right) + pixel(values, row, column + 1, fill) * right
    lower = pixel(values, row + 1, column, fill) * (1 - right) + pixel(values, row + 1, column + 1, fill) * right
    return upper * (1 - below) + lower * below


def sampled(picture: Pixels, place: Map, size: tuple[int, int], points: tuple[int, int], fill: str) -> Floats:
    """The mean of `points` (in x, in y) of each pixel of the result, `(height, width, channels)`."""
    (height, width), (across, down) = size, points
    y, x = np.meshgrid(
        (np.arange(height * down) + 0.5) / down, (np.arange(width * across) + 0.5) / across, indexing="ij"
    )
    fine = between(picture, *place(x, y), fill)
    return fine.reshape(height, down, width, across, -1).mean((1, 3))


def points_of(place: Map, size: tuple[int, int]) -> tuple[int, int]:
    """One point; two or three in a direction in which neighbours lie further than 1 or 2.5 pixels apart."""
    height, width = size
    y, x = np.meshgrid([0.0, height], [0.0, width], indexing="ij")
    tiny = 1e-5
    here, right, below = (np.stack(place(x + dx, y + dy)) for dx, dy in ((0, 0), (tiny, 0), (0, tiny)))
    steps = [np.hypot(*(there - here)).max() / tiny for there in (right, below)]
    across, down = (1 if step <= 1.0001 else 2 if step <= 2.5 else 3 for step in steps)
    return across, down


def squashed(picture: Pixels, place: Map, size: tuple[int, int]) -> Map:
    """The map from the input on to the picture, where the whole picture is squashed to the input."""
    height, width = picture.shape[:2]

    def onward(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        x, y = place(x, y)
        return x * width / size[1], y * height / size[0]

    return onward


def moved(name: str, values: tuple[float, ...], size: tuple[int, int]) -> Map:
    """Where a value of the input comes from, by the definition of each move."""
    height, width = size
    middle_x, middle_y = width / 2, height / 2

    def rotate(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        # Against the clock, with y downwards: what lay at angle a now lies at a + turn.
        angle, far = np.arctan2(-(y - middle_y), x - middle_x), np.hypot(x - middle_x, y - middle_y)
        before = angle - values[0] * np.pi / 180
        return middle_x + far * np.cos(before), middle_y - far * np.sin(before)

    def shear(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        # First all rows slide, then all columns; so undo the columns first.
        y = y - np.tan(np.pi * values[1] / 180) * (x - middle_x)
        return x - np.tan(np.pi * values[0] / 180) * (y - middle_y), y

    def perspective(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        # The null vector of the usual equations for four pairs of points.
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        rows = []
        for (u, v), i in zip(corners, range(4), strict=True):
            p, q = u + values[2 * i] * width, v + values[2 * i + 1] * height
            rows += [[u, v, 1, 0, 0, 0, -p * u, -p * v, -p], [0, 0, 0, u, v, 1, -q * u, -q * v, -q]]
        h = np.linalg.svd(np.array(rows, float))[2][-1]
        weight = h[6] * x + h[7] * y + h[8]
        return (h[0] * x + h[1] * y + h[2]) / weight, (h[3] * x + h[4] * y + h[5]) / weight

    return {
        "mirror": lambda x, y: (width - x, y),
        "flip": lambda x, y: (x, height - y),
        "rotate": rotate,
        "shear": shear,
        "scale": lambda x, y: (middle_x + (x - middle_x) / values[0], middle_y + (y - middle_y) / values[0]),
        "shift": lambda x, y: (x - values[0] * width, y - values[1] * height),
        "perspective": perspective,
    }[name]  # type: ignore[return-value]


def one_after_another(*maps: Map) -> Map:
    """What happens first stands first, so its map back is the last one."""

    def place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        for step in reversed(maps):
            x, y = step(x, y)
        return x, y

    return place


def cubic_weights(share: float) -> list[float]:
    """Of the four neighbours of a place (Keys 1981, with a = -3/4)."""
    a = -0.75

    def near(d: float) -> float:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1

    def far(d: float) -> float:
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a

    return [far(1 + share), near(share), near(1 - share), far(2 - share)]


def enlarged(field: Floats, size: tuple[int, int]) -> Floats:
    """A grid of values `(rows, columns, c)` in as many as the size has, by cubics."""
    out = np.zeros((*size, field.shape[2]))
    for i in range(size[0]):
        y = (i + 0.5) * field.shape[0] / size[0] - 0.5
        for j in range(size[1]):
            x = (j + 0.5) * field.shape[1] / size[1] - 0.5
            for r, down in enumerate(cubic_weights(y - math.floor(y))):
                for c, right in enumerate(cubic_weights(x - math.floor(x))):
                    row = min(max(math.floor(y) - 1 + r, 0), field.shape[0] - 1)
                    column = min(max(math.floor(x) - 1 + c, 0), field.shape[1] - 1)
                    out[i, j] += down * right * field[row, column]
    return out


GREY = (0.299, 0.587, 0.114)


def grey_of(values: Floats) -> Floats:
    return GREY[0] * values[..., 0] + GREY[1] * values[..., 1] + GREY[2] * values[..., 2]


def recoloured(values: Floats, name: str, numbers: tuple[float, ...]) -> Floats:
    """One change of colour of values `(h, w, 3)` from 0 to 255, which may go beyond."""
    if name == "brightness":
        return values * numbers[0]
    if name == "contrast":
        mean = grey_of(values).mean()
        return mean + (values - mean) * numbers[0]
    if name == "saturation":
        grey = grey_of(values)[..., None]
        return grey + (values - grey) * numbers[0]
    if name == "channels":
        return values + 255 * np.array(numbers)
    assert name == "hue"
    y = grey_of(values)
    i = 0.5959 * values[..., 0] - 0.2746 * values[..., 1] - 0.3213 * values[..., 2]
    q = 0.2115 * values[..., 0] - 0.5227 * values[..., 1] + 0.3112 * values[..., 2]
    angle, far = np.arctan2(q, i) + math.radians(numbers[0]), np.hypot(i, q)
    back = np.linalg.inv(np.array([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)]))
    return np.stack([y, far * np.cos(angle), far * np.sin(angle)], -1) @ back.T


def as_bytes(values: Any) -> Floats:
    return np.clip(np.round(values), 0, 255)
