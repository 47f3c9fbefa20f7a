"""Moves as matrices, and their product: from a position in the network's input to one in the picture.

Positions are continuous: pixel (row i, column j) covers x from j to j + 1 and y from i to i + 1. Every matrix leads
from where a value is wanted back to where it comes from, so those of moves that follow each other multiply in that
order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.data.preprocess import Preprocess

__all__ = ["MOVES", "Matrix", "fit_matrix", "moves_matrix", "whole_pixels"]

Matrix = NDArray[np.float64]
Values = tuple[float, ...]
Step = tuple[str, Values]


def _linear(a: float, b: float, c: float, d: float) -> Matrix:
    return np.array([[a, b, 0.0], [c, d, 0.0], [0.0, 0.0, 1.0]])


def _rotate(values: Values, width: float, height: float) -> Matrix:
    """A turn of the picture by degrees, against the clock."""
    angle = math.radians(values[0])
    return _linear(math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle))


def _shear(values: Values, width: float, height: float) -> Matrix:
    """Rows slide by tan(first) of their distance from the centre, then columns by tan(second); in degrees."""
    across, down = (math.tan(math.radians(value)) for value in values)
    return _linear(1.0, -across, 0.0, 1.0) @ _linear(1.0, 0.0, -down, 1.0)


def _shift(values: Values, width: float, height: float) -> Matrix:
    """The picture moves right and down, by shares of the width and height."""
    move = np.eye(3)
    move[:2, 2] = -values[0] * width, -values[1] * height
    return move


def _slide(values: Values, width: float, height: float) -> Matrix:
    """The picture moves right and down by whole pixels; see `whole_pixels`."""
    move = np.eye(3)
    move[:2, 2] = -whole_pixels(values[0], values[2], width), -whole_pixels(values[1], values[2], height)
    return move


def whole_pixels(luck: float, share: float, side: float) -> int:
    """A number from -m to m, each as likely, m being a share of a side; from a uniform number in [0, 1)."""
    most = round(share * side)
    return math.floor(luck * (2 * most + 1)) - most


def _perspective(values: Values, width: float, height: float) -> Matrix:
    """The picture's points at these distances from its corners come to the corners.

    Args:
        values: x and y of each corner (upper left, upper right, lower right, lower left), as shares of the sides.
        width: in pixels.
        height: in pixels.
    """
    x, y = width / 2, height / 2
    corners = np.array([(-x, -y), (x, -y), (x, y), (-x, y)])
    wanted = corners + np.array(values).reshape(4, 2) * (width, height)
    equations = np.zeros((8, 8))
    for i, ((u, v), (p, q)) in enumerate(zip(corners, wanted, strict=True)):
        equations[2 * i] = u, v, 1, 0, 0, 0, -u * p, -v * p
        equations[2 * i + 1] = 0, 0, 0, u, v, 1, -u * q, -v * q
    return np.append(np.linalg.solve(equations, wanted.ravel()), 1.0).reshape(3, 3)


# By name, from values and the input's width and height to the matrix, the input's centre being the origin.
MOVES: dict[str, Callable[[Values, float, float], Matrix]] = {
    "mirror": lambda values, width, height: _linear(-1.0, 0.0, 0.0, 1.0),
    "flip": lambda values, width, height: _linear(1.0, 0.0, 0.0, -1.0),
    "rotate": _rotate,
    "shear": _shear,
    "scale": lambda values, width, height: _linear(1 / values[0], 0.0, 0.0, 1 / values[0]),
    "perspective": _perspective,
    "shift": _shift,
    "slide": _slide,
}


def moves_matrix(moves: Sequence[Step], width: int, height: int) -> Matrix:
    """From the input after moves to the input before them, `(3, 3)`, for an input of this width and height."""
    total = _translation(width / 2, height / 2)
    for name, values in moves:
        total = total @ MOVES[name](values, width, height)
    return total @ _translation(-width / 2, -height / 2)


def fit_matrix(preprocess: Preprocess, left: int, top: int, width: int, height: int) -> Matrix:
    """From the network's input to a picture, `(3, 3)`, as `Preprocess.apply` would fit a part of the picture.

    Args:
        preprocess: the fit.
        left: of the part, in pixels of the picture.
        top: likewise.
        width: of the part, in pixels.
        height: likewise.
    """
    # A part much longer than wide is cut by `resize` first; the centre of what is left is the same.
    inner_width, inner_height = preprocess.inner_size(width, height)
    across, down = width / inner_width, height / inner_height
    x, y = (inner_width - preprocess.width) / 2, (inner_height - preprocess.height) / 2
    if preprocess.resize == "crop":
        x, y = round(x), round(y)
    elif preprocess.resize == "pad":
        x, y = -((preprocess.width - inner_width) // 2), -((preprocess.height - inner_height) // 2)
    return np.array([[across, 0.0, left + x * across], [0.0, down, top + y * down], [0.0, 0.0, 1.0]])


def _translation(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
