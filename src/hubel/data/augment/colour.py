"""Operations on colours as 3x4 matrices, whose product is applied in one pass: rounded once, and clipped once.

A value of a channel runs from 0 to 255. A grey image is taken for one of three equal channels, and gets the grey of
what they become.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment.extremes import MINUS, both_signs, extreme_factors, extreme_pair, from_unchanged
from hubel.data.augment.opencv import opencv
from hubel.data.augment.operation import (
    ColourMatrix,
    ColourStep,
    Extreme,
    Matrix,
    Pixels,
    Setting,
    Values,
    for_each,
    signed,
)

__all__ = [
    "BRIGHTNESS",
    "CHANNELS",
    "COLOUR_MATRICES",
    "CONTRAST",
    "GREY",
    "HUE",
    "PCA",
    "SATURATION",
    "apply_colour",
    "principal_axes",
]

_LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R BT.601, as Pillow has it
# To lightness and two differences of colour, of NTSC; the first row is `_LUMA`.
_YIQ = np.array([_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
_ALL_GREY = np.tile(_LUMA, (3, 1))
_IDENTITY = np.eye(3)
_DEVIATIONS = 2.0  # of the principal colours in the preview: normal factors have no largest value


def _affine(linear: Matrix, shift: Matrix | float = 0.0) -> Matrix:
    out = np.empty((3, 4))
    out[:, :3], out[:, 3] = linear, shift
    return out


def _factor(draws: list[float], most: float) -> Values:
    return (1 + signed(draws, most)[0],)


# Factors as in Haeberli & Voorhies 1994: between the image and one that is black, or of its mean grey, or grey.
BRIGHTNESS = ColourMatrix(
    name="brightness",
    settings=(Setting("brightness", (0, 1), extremes=extreme_factors),),
    draws=(15,),
    parameters=for_each(_factor),
    matrix=lambda values, grey: _affine(values[0] * _IDENTITY),
)

CONTRAST = ColourMatrix(
    name="contrast",
    settings=(Setting("contrast", (0, 1), extremes=extreme_factors),),
    draws=(16,),
    parameters=for_each(_factor),
    matrix=lambda values, grey: _affine(values[0] * _IDENTITY, (1 - values[0]) * grey),
    needs_mean=True,
)


def _saturation(values: Values, grey: float) -> Matrix:
    return _affine(values[0] * _IDENTITY + (1 - values[0]) * _ALL_GREY)


SATURATION = ColourMatrix(
    name="saturation",
    settings=(Setting("saturation", (0, 1), extremes=extreme_factors),),
    draws=(17,),
    parameters=for_each(_factor),
    matrix=_saturation,
)


def _hue(values: Values, grey: float) -> Matrix:
    """Return the matrix that turns colours by degrees in the plane of equal lightness."""
    cos, sin = math.cos(math.radians(values[0])), math.sin(math.radians(values[0]))
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return _affine(np.linalg.solve(_YIQ, turn @ _YIQ))


HUE = ColourMatrix(
    name="hue",
    settings=(Setting("hue", (0, 180), extremes=both_signs("°")),),
    draws=(18,),
    parameters=for_each(signed),
    matrix=_hue,
)


def _channel_shifts(values: Values, grey: float) -> Matrix:
    return _affine(_IDENTITY, 255 * np.array(values))


CHANNELS = ColourMatrix(
    name="channels",
    settings=(
        Setting(
            "channels",
            (0, 1),
            extremes=lambda most: extreme_pair(
                f"red +{most:.0%}, blue {MINUS}",
                (most, 0.0, -most),
                f"red {MINUS}{most:.0%}, blue +",
                (-most, 0.0, most),
            ),
        ),
    ),
    draws=(19, 20, 21),  # red, green, blue
    parameters=for_each(signed),
    matrix=_channel_shifts,
)

Axes = tuple[tuple[float, float, float], ...]


def _principal_shifts(draws: NDArray[np.float64], deviation: float, axes: Axes) -> list[Values]:
    """Return AlexNet's sums of the principal colours, each by a normal factor (Box & Muller 1958), of full scale."""
    size, turn = draws[:, :3], draws[:, 3:]
    factors = np.sqrt(-2 * np.log1p(-size)) * np.cos(2 * np.pi * turn)
    # Written out: a product of matrices may be rounded otherwise for another number of images.
    sums = [sum(factors[:, i] * axes[i][channel] for i in range(3)) for channel in range(3)]
    shifts = deviation * np.stack([np.asarray(channel) for channel in sums], 1)
    return [tuple(shift) for shift in shifts.tolist()]


def _principal_extremes(deviation: float, axes: Axes) -> tuple[Extreme[Values], Extreme[Values]]:
    far = _DEVIATIONS * deviation
    most = tuple(float(far * sum(axis[channel] for axis in axes)) for channel in range(3))
    less = tuple(-value for value in most)
    return extreme_pair(f"{MINUS}{_DEVIATIONS:g} deviations", less, f"+{_DEVIATIONS:g} deviations", most)


PCA = ColourMatrix(
    name="pca",
    settings=(Setting("pca", (0, 10), extremes=_principal_extremes),),
    options=(Setting("axes"),),
    draws=(22, 23, 24, 25, 26, 27),  # for each axis the size of its normal factor, then for each the angle
    parameters=_principal_shifts,
    matrix=_channel_shifts,
)

GREY = ColourMatrix(
    name="grey",
    settings=(
        Setting("grey", (0, 1), extremes=from_unchanged(lambda share: f"{share:.0%} of them", lambda share: (0.0,))),
    ),
    draws=(28,),
    parameters=for_each(lambda draws, share: (0.0,) if draws[0] < share else None),
    matrix=_saturation,
)

# In the order in which they happen.
COLOUR_MATRICES = (BRIGHTNESS, CONTRAST, SATURATION, HUE, CHANNELS, PCA, GREY)


def apply_colour(pixels: Pixels, steps: Iterable[ColourStep], key: int = 0, *, out: Pixels | None = None) -> Pixels:
    """Return an image uint8 `(h, w, 1 or 3)` after operations on its values, in order.

    Neighbouring matrices are multiplied, so values that one of them brings beyond black or white may come back.

    Args:
        pixels: not changed.
        steps: matrices and effects, with their values.
        key: of the noise.
        out: array of the image's shape for the result; if not given, the result is a new array, or `pixels` itself when
            there is nothing to do.
    """
    total: Matrix | None = None
    mean: NDArray[np.float64] | None = None
    for operation, values in steps:
        if isinstance(operation, ColourMatrix):
            if operation.needs_mean and mean is None:
                mean = np.resize(opencv().mean(pixels)[: pixels.shape[2]], 3)
            now = None if mean is None else mean if total is None else total[:, :3] @ mean + total[:, 3]
            following = operation.matrix(values, 0.0 if now is None else float(_LUMA @ now))
            total = following if total is None else _composed(following, total)
        else:
            pixels, total, mean = operation.apply(_multiplied(pixels, total), values, key), None, None
    result = _multiplied(pixels, total, out)
    if out is None or result is out:
        return result
    out[...] = result
    return out


def _composed(second: Matrix, first: Matrix) -> Matrix:
    out = second[:, :3] @ first
    out[:, 3] += second[:, 3]
    return out


def _multiplied(pixels: Pixels, matrix: Matrix | None, out: Pixels | None = None) -> Pixels:
    if matrix is None:
        return pixels
    if pixels.shape[2] == 1:
        matrix = np.array([[_LUMA @ matrix[:, :3].sum(1), _LUMA @ matrix[:, 3]]])
    result = opencv().transform(pixels, matrix, dst=out)
    return out if result is out and out is not None else np.asarray(result).reshape(pixels.shape)


def principal_axes(pixels: Pixels) -> Axes:
    """Return the eigenvectors of the covariance of RGB values `(..., 3)`, each times its eigenvalue, largest first.

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
