"""Changes of colour as 3x4 matrices, whose product is applied in one pass: rounded once, and cut off once.

A value of a channel runs from 0 to 255. A grey picture is taken for one of three equal channels, and gets the grey of
what they become.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment.effects import EFFECTS
from hubel.data.augment.geometry import Step
from hubel.data.augment.opencv import opencv

__all__ = ["GREY", "MATRICES", "coloured", "principal_axes"]

Matrix = NDArray[np.float64]
Values = tuple[float, ...]

GREY = np.array([0.299, 0.587, 0.114])  # of ITU-R BT.601, as Pillow has it
# To lightness and two differences of colour, of NTSC; the first row is `GREY`.
_YIQ = np.array([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
_ALL_GREY = np.tile(GREY, (3, 1))
_SAME = np.eye(3)


def _affine(linear: Matrix, shift: Matrix | float = 0.0) -> Matrix:
    out = np.empty((3, 4))
    out[:, :3], out[:, 3] = linear, shift
    return out


def _hue(values: Values, grey: float) -> Matrix:
    """A turn in the plane of equal lightness, by degrees."""
    cos, sin = math.cos(math.radians(values[0])), math.sin(math.radians(values[0]))
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return _affine(np.linalg.solve(_YIQ, turn @ _YIQ))


# By name, from values and the picture's mean grey to the matrix. Factors as in Haeberli & Voorhies 1994: between the
# picture and one that is black, or of its mean grey, or without colour.
MATRICES: dict[str, Callable[[Values, float], Matrix]] = {
    "brightness": lambda values, grey: _affine(values[0] * _SAME),
    "contrast": lambda values, grey: _affine(values[0] * _SAME, (1 - values[0]) * grey),
    "saturation": lambda values, grey: _affine(values[0] * _SAME + (1 - values[0]) * _ALL_GREY),
    "hue": _hue,
    "channels": lambda values, grey: _affine(_SAME, 255 * np.array(values)),
}


def coloured(
    pixels: NDArray[np.uint8], steps: Iterable[Step], key: int = 0, *, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """An image uint8 `(h, w, 1 or 3)` after changes of its values, in order.

    Neighbouring matrices are multiplied, so values that one of them brings beyond black or white may come back.

    Args:
        pixels: not changed.
        steps: names of `MATRICES` and `effects.EFFECTS`, and their values.
        key: of what is random in an effect.
        out: where the result goes, of the image's shape; a new array, or `pixels` itself when there is nothing to do,
            if not given.
    """
    total, mean = None, None
    for name, values in steps:
        if name in MATRICES:
            if name == "contrast" and mean is None:
                mean = np.resize(opencv().mean(pixels)[: pixels.shape[2]], 3)
            now = None if mean is None else mean if total is None else total[:, :3] @ mean + total[:, 3]
            following = MATRICES[name](values, 0.0 if now is None else float(GREY @ now))
            total = following if total is None else _after(following, total)
        else:
            pixels, total, mean = EFFECTS[name](_applied(pixels, total), values, key), None, None
    result = _applied(pixels, total, out)
    if out is None or result is out:
        return result
    out[...] = result
    return out


def _after(second: Matrix, first: Matrix) -> Matrix:
    out = second[:, :3] @ first
    out[:, 3] += second[:, 3]
    return out


def _applied(
    pixels: NDArray[np.uint8], matrix: Matrix | None, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    if matrix is None:
        return pixels
    if pixels.shape[2] == 1:
        matrix = np.array([[GREY @ matrix[:, :3].sum(1), GREY @ matrix[:, 3]]])
    made = opencv().transform(pixels, matrix, dst=out)
    return out if made is out and out is not None else np.asarray(made).reshape(pixels.shape)


def principal_axes(pixels: NDArray[np.uint8]) -> tuple[tuple[float, float, float], ...]:
    """The eigenvectors of the covariance of RGB values `(..., 3)`, each times its eigenvalue, the largest first.

    Values are taken in units of full scale (Krizhevsky et al. 2012, Section 4.1). The sign of an eigenvector, which is
    arbitrary, makes its largest component positive.
    """
    values, vectors = np.linalg.eigh(np.cov(pixels.reshape(-1, 3).T / 255.0))
    rows = []
    for value, vector in sorted(zip(values.tolist(), vectors.T, strict=True), key=lambda pair: -pair[0]):
        sign = 1.0 if vector[np.abs(vector).argmax()] > 0 else -1.0
        first, second, third = (sign * max(0.0, value) * vector).round(6).tolist()
        rows.append((first, second, third))
    return tuple(rows)
