"""Pictures changed as photographers change them: shifted, cropped, mirrored, upside down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hubel.teach.course.digit_pictures import SIDE

__all__ = ["CANVAS", "MARGIN", "VIEWS", "crop", "on_canvas"]

Floats = NDArray[np.float64]

MARGIN = 2  # black pixels around a digit, into which it can be shifted
CANVAS = SIDE + 2 * MARGIN  # pixels


def on_canvas(pictures: Floats, down: int = 0, right: int = 0) -> Floats:
    """Place pictures `(n, 8, 8)` on black canvases `(n, 12, 12)`, shifted from the centre by at most 2 pixels."""
    canvas = np.zeros((len(pictures), CANVAS, CANVAS))
    top, left = MARGIN + down, MARGIN + right
    canvas[:, top : top + SIDE, left : left + SIDE] = pictures
    return canvas


def crop(canvases: Floats) -> Floats:
    """Cut out the inner three quarters of canvases `(n, 12, 12)` and enlarge them to the whole size, bilinearly."""
    inner = CANVAS * 3 // 4
    start = (CANVAS - inner) // 2
    weights = _enlarging(inner, CANVAS)
    part = canvases[:, start : start + inner, start : start + inner]
    return np.asarray(weights @ part @ weights.T)


def _enlarging(small: int, large: int) -> Floats:
    """Return the matrix `(large, small)` that interpolates a line, pixel centres at half numbers."""
    place = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    left = np.minimum(place.astype(int), small - 2)
    matrix = np.zeros((large, small))
    rows = np.arange(large)
    matrix[rows, left] = 1 - (place - left)
    matrix[rows, left + 1] = place - left
    return matrix


#: By name, in the order of the page.
VIEWS: dict[str, Callable[[Floats], Floats]] = {
    "as_is": on_canvas,
    "right1": lambda pictures: on_canvas(pictures, 0, 1),
    "down1": lambda pictures: on_canvas(pictures, 1, 0),
    "right2": lambda pictures: on_canvas(pictures, 0, 2),
    "down2": lambda pictures: on_canvas(pictures, 2, 0),
    "cropped": lambda pictures: crop(on_canvas(pictures)),
    "mirrored": lambda pictures: on_canvas(pictures)[:, :, ::-1],
    "upside_down": lambda pictures: on_canvas(pictures)[:, ::-1],
}
