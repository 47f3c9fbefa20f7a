"""Geometric operations, and the product of their matrices: from a position in the network's input to one in the image.

Positions are continuous: pixel (row i, column j) covers x from j to j + 1 and y from i to i + 1. Every matrix leads
from where a value is wanted back to where it comes from, so those of transforms that follow each other multiply in that
order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment.extremes import TIMES, both_signs, extreme_pair, from_unchanged
from hubel.data.augment.opencv import opencv
from hubel.data.augment.operation import (
    GeometricStep,
    GeometricTransform,
    Matrix,
    Operation,
    Pixels,
    Setting,
    Stage,
    Values,
    for_each,
    signed,
)
from hubel.data.preprocess import Preprocess

__all__ = [
    "CROP",
    "FLIP",
    "INDICES",
    "MIRROR",
    "PERSPECTIVE",
    "ROTATE",
    "SCALE",
    "SHEAR",
    "SHIFT",
    "SHIFT_BY_PIXELS",
    "TRANSFORMS",
    "WARP",
    "WHOLE_PIXEL_TRANSFORMS",
    "CropShares",
    "padded",
    "resize_matrix",
    "transform_matrix",
    "whole_pixels",
]

CropShares = tuple[float, float, float, float]
Number = TypeVar("Number", float, NDArray[np.float64])

_GRID = 6  # points of the warp's displacements, in each direction
_KEYSTONE = (1, 0, -1, 0, 1, 0, -1, 0)  # the corners' shifts that enlarge the upper edge


def _linear(a: float, b: float, c: float, d: float) -> Matrix:
    return np.array([[a, b, 0.0], [c, d, 0.0], [0.0, 0.0, 1.0]])


def _translation(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _crop_shares(draws: list[float], crop: float, aspect: float) -> CropShares:
    """Return height, width, and how far down and right the crop lies of all that it could, as shares."""
    area = crop + (1 - crop) * draws[0]
    (ratio,) = signed(draws[1:2], math.log(aspect))
    side, shape = math.sqrt(area), math.exp(ratio / 2)
    return min(1.0, side * shape), min(1.0, side / shape), draws[2], draws[3]


CROP: Operation[CropShares] = Operation(
    name="crop",
    stage=Stage.INTERPOLATION,
    settings=(
        Setting(
            "crop",
            (0.01, 1),
            extremes=from_unchanged(
                lambda crop, aspect: f"{crop:.0%} of the area",
                lambda crop, aspect: (crop**0.5, crop**0.5, 0.5, 0.5),
            ),
        ),
        Setting(
            "aspect",
            (1, 4),
            extremes=lambda crop, aspect: extreme_pair(
                f"{aspect:.3g} times as high", (1.0, 1 / aspect, 0.5, 0.5),
                f"{aspect:.3g} times as wide", (1 / aspect, 1.0, 0.5, 0.5),
            ),
        ),
    ),
    draws=(7, 8, 9, 10),  # area, shape, place down and right
    parameters=for_each(_crop_shares),
)  # fmt: skip


def _for_half(draws: NDArray[np.float64], *on: bool) -> list[Values | None]:
    return [() if draw < 0.5 else None for draw in draws[:, 0].tolist()]


_half_of_them = from_unchanged(lambda *on: "half of them", lambda *on: ())

MIRROR = GeometricTransform(
    name="mirror",
    stage=Stage.WHOLE_PIXEL,
    settings=(Setting("mirror", extremes=_half_of_them),),
    options=(Setting("alternate"),),
    draws=(2,),
    alternating="alternate",
    parameters=_for_half,
    matrix=lambda values, width, height: _linear(-1.0, 0.0, 0.0, 1.0),
    rearrange=lambda pixels, values, fill: opencv().flip(pixels, 1).reshape(pixels.shape),
)

FLIP = GeometricTransform(
    name="flip",
    stage=Stage.WHOLE_PIXEL,
    settings=(Setting("flip", extremes=_half_of_them),),
    draws=(6,),
    parameters=_for_half,
    matrix=lambda values, width, height: _linear(1.0, 0.0, 0.0, -1.0),
    rearrange=lambda pixels, values, fill: pixels[::-1],
)


def _rotation(values: Values, width: float, height: float) -> Matrix:
    """Return the matrix that turns an image by degrees, counterclockwise."""
    angle = math.radians(values[0])
    return _linear(math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle))


ROTATE = GeometricTransform(
    name="rotate",
    settings=(Setting("rotate", (0, 180), extremes=both_signs("°")),),
    draws=(11,),
    parameters=for_each(signed),
    matrix=_rotation,
)


def _shear(values: Values, width: float, height: float) -> Matrix:
    """Return the matrix that slants the vertical axis by the first angle, then the horizontal one by the second."""
    across, down = (math.tan(math.radians(value)) for value in values)
    return _linear(1.0, -across, 0.0, 1.0) @ _linear(1.0, 0.0, -down, 1.0)


SHEAR = GeometricTransform(
    name="shear",
    settings=(Setting("shear", (0, 80), extremes=both_signs("°", values=2)),),
    draws=(12, 13),
    parameters=for_each(signed),
    matrix=_shear,
)

SCALE = GeometricTransform(
    name="scale",
    settings=(
        Setting(
            "scale",
            (1, 4),
            extremes=lambda scale: extreme_pair(
                f"{TIMES} {1 / scale:.3g}", (1 / scale,), f"{TIMES} {scale:.3g}", (scale,)
            ),
        ),
    ),
    draws=(14,),
    parameters=for_each(lambda draws, scale: (math.exp(*signed(draws, math.log(scale))),)),
    matrix=lambda values, width, height: _linear(1 / values[0], 0.0, 0.0, 1 / values[0]),
)


def _perspective(values: Values, width: float, height: float) -> Matrix:
    """Return the matrix that brings the points at these distances from the corners into the corners.

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


PERSPECTIVE = GeometricTransform(
    name="perspective",
    settings=(
        Setting(
            "perspective",
            (0, 0.4),
            extremes=lambda most: extreme_pair(
                f"nearer above, by {most:.0%}", tuple(most * sign for sign in _KEYSTONE),
                f"nearer below, by {most:.0%}", tuple(-most * sign for sign in _KEYSTONE),
            ),
        ),
    ),
    draws=(37, 38, 39, 40, 41, 42, 43, 44),  # x and y of each corner
    parameters=for_each(signed),
    matrix=_perspective,
)  # fmt: skip

_SHIFT = (Setting("shift", (0, 1), extremes=both_signs(" %", values=2, scale=100)),)

SHIFT = GeometricTransform(
    name="shift",
    stage=Stage.WHOLE_PIXEL,
    settings=_SHIFT,
    draws=(1, 0),  # right, down
    parameters=for_each(signed),
    matrix=lambda values, width, height: _translation(-values[0] * width, -values[1] * height),
)


def whole_pixels(draw: Number, share: float, side: float) -> Number:
    """Return whole numbers from -m to m, each as likely, m being a share of a side; from uniform draws in [0, 1)."""
    most = round(share * side)
    return draw * (2 * most + 1) // 1 - most


def _shift_by_pixels(values: Values, width: float, height: float) -> Matrix:
    right, down, share = values
    return _translation(-whole_pixels(right, share, width), -whole_pixels(down, share, height))


def _clipped(indices: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    return np.clip(indices, 0, side - 1)


def _reflected(indices: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    within = indices % (2 * side)
    return np.minimum(within, 2 * side - 1 - within)


#: By what fills the outside of an image: from indices beyond its sides to those of the pixels that are seen there.
INDICES: dict[str, Callable[[NDArray[np.int64], int], NDArray[np.int64]]] = {
    "black": _clipped,
    "edge": _clipped,
    "reflect": _reflected,
}


def padded(pixels: Pixels, rows: int, columns: int, fill: str) -> Pixels:
    """Return images `(..., h, w, c)` with so many rows and columns more on each side, of what fills them."""
    if fill == "black":
        return np.pad(pixels, [(0, 0)] * (pixels.ndim - 3) + [(rows, rows), (columns, columns), (0, 0)])
    y, x = np.arange(-rows, pixels.shape[-3] + rows), np.arange(-columns, pixels.shape[-2] + columns)
    inner = INDICES[fill]
    return pixels[..., inner(y, pixels.shape[-3]), :, :][..., inner(x, pixels.shape[-2]), :]


def _shifted(pixels: Pixels, values: Values, fill: str) -> Pixels:
    height, width = pixels.shape[:2]
    x, y = int(whole_pixels(values[0], values[2], width)), int(whole_pixels(values[1], values[2], height))
    if fill != "black":
        wide = padded(pixels, abs(y), abs(x), fill)
        return wide[abs(y) - y : abs(y) - y + height, abs(x) - x : abs(x) - x + width]
    out = np.zeros_like(pixels)
    out[max(0, y) : height + y, max(0, x) : width + x] = pixels[max(0, -y) : height - y, max(0, -x) : width - x]
    return out


# The form that `SHIFT` takes where nothing interpolates; how far, depends on the input's size.
SHIFT_BY_PIXELS = GeometricTransform(
    name="shift_by_pixels",
    stage=Stage.WHOLE_PIXEL,
    settings=_SHIFT,
    draws=SHIFT.draws,
    parameters=lambda draws, share: [(right, down, share) for right, down in draws.tolist()],
    matrix=_shift_by_pixels,
    rearrange=_shifted,
)


def _displacements(draws: NDArray[np.float64], most: float) -> list[NDArray[np.float64]]:
    """Return x and y of the points of a grid, as shares of the sides, for each image `(rows, columns, 2)`."""
    return list(((2 * draws - 1) * most).reshape(-1, _GRID, _GRID, 2))


def _example_displacements(most: float) -> NDArray[np.float64]:
    return np.asarray(most * (2 * np.random.Generator(np.random.PCG64(3)).random((_GRID, _GRID, 2)) - 1))


WARP: Operation[NDArray[np.float64]] = Operation(
    name="warp",
    stage=Stage.INTERPOLATION,
    settings=(
        Setting(
            "warp", (0, 0.2), extremes=from_unchanged(lambda most: f"{most:.1%} of the side", _example_displacements)
        ),
    ),
    draws=tuple(range(2000, 2000 + 2 * _GRID * _GRID)),
    parameters=_displacements,
)

# In the order in which they happen.
TRANSFORMS = (MIRROR, FLIP, ROTATE, SHEAR, SCALE, PERSPECTIVE, SHIFT)
WHOLE_PIXEL_TRANSFORMS = (SHIFT_BY_PIXELS, MIRROR, FLIP)  # where nothing interpolates


def transform_matrix(transforms: Sequence[GeometricStep], width: int, height: int) -> Matrix:
    """Return the map from the input after transforms to the input before them, `(3, 3)`, for this width and height."""
    total = _translation(width / 2, height / 2)
    for transform, values in transforms:
        total = total @ transform.matrix(values, width, height)
    return total @ _translation(-width / 2, -height / 2)


def resize_matrix(preprocess: Preprocess, left: int, top: int, width: int, height: int) -> Matrix:
    """Return the map from the network's input to an image, `(3, 3)`, as `Preprocess.apply` resizes a part of the image.

    Args:
        preprocess: size and resize mode.
        left: of the part, in pixels of the image.
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
