"""Geometric figures, each as the set of points inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIGURES", "INSIDE", "Inside", "Plane"]

#: Positions across or down, or what is computed from them.
Plane = NDArray[np.float64]
#: Tells which positions `(x, y)`, in a figure's own square from -1 to 1 with y downwards, are inside it.
Inside = Callable[[Plane, Plane], NDArray[np.bool_]]


def _circle(x: Plane, y: Plane) -> NDArray[np.bool_]:
    return np.asarray(x**2 + y**2 <= 1)


def _square(x: Plane, y: Plane) -> NDArray[np.bool_]:
    return np.asarray(np.maximum(abs(x), abs(y)) <= 1)


def _triangle(x: Plane, y: Plane) -> NDArray[np.bool_]:
    return np.asarray((abs(y) <= 1) & (2 * abs(x) <= y + 1))


def _cross(x: Plane, y: Plane) -> NDArray[np.bool_]:
    return np.asarray((np.maximum(abs(x), abs(y)) <= 1) & (np.minimum(abs(x), abs(y)) <= 0.33))


#: The figures by name.
INSIDE: Mapping[str, Inside] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
}
#: Names of the figures.
FIGURES = tuple(INSIDE)
