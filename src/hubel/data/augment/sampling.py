"""One sampling of an image by a map from each position of the network's input to one of the image.

A value of the result is the mean over its pixel of the image, interpolated between the middles of its own pixels.
Where the map shrinks, several points of each pixel are taken, and before that the image is reduced by whole numbers:
both are means, so nothing is left out that could flicker.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment.opencv import floats, opencv, scratch
from hubel.data.augment.operation import Matrix

__all__ = ["displacement_map", "local_steps", "resample", "sample_image"]

_APART = 1.25  # pixels of the image that may lie between the points of one pixel
_MOST_POINTS = 3  # of a pixel, in each direction; more cost more than they bring
_REDUCED = 2.0  # pixels of the image, after it was reduced, that a step in the input still spans at the least
_WIDEST = 32_000  # pixels; OpenCV's own limit is 32,767
_MOST_PADDED = 3  # times the area of the image, with its padding
_OVERSHOOT = 1.9  # times the largest displacement: cubics between its points reach no further
_BORDERS = {"black": "BORDER_CONSTANT", "edge": "BORDER_REPLICATE", "reflect": "BORDER_REFLECT"}


def sample_image(
    image: NDArray[np.uint8],
    matrix: Matrix,
    size: tuple[int, int],
    *,
    displacements: NDArray[np.float32] | None = None,
    fill: str = "black",
    cubic: bool = False,
) -> NDArray[np.uint8]:
    """Sample an image uint8 `(h, w)` or `(h, w, 3)` by a map.

    Args:
        image: not changed.
        matrix: from positions in the result to positions in the image, `(3, 3)`.
        size: height and width of the result.
        displacements: a grid `(rows, columns, 2)`, x and y in pixels of the result, which come before the matrix and
            are smooth between; see `displacement_map`.
        fill: what lies outside of the image: black, edge or reflect.
        cubic: interpolate by cubics where nothing shrinks.

    Returns:
        `(height, width)` or `(height, width, 3)`.
    """
    cv2, (height, width) = opencv(), size
    border = getattr(cv2, _BORDERS[fill])
    image, matrix = _reduced(image, matrix, size, border)
    colour = image.ndim == 3
    if colour:  # four channels fill a vector register: the warp takes less than half the time of three
        rgba = scratch("rgba", (*image.shape[:2], 4))
        image = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=rgba)
    if fill != "black":
        image, matrix, border = _padded(image, matrix, size, displacements, border)
    step_x, step_y = local_steps(matrix, size).max((0, 1))
    across, down = _points(step_x), _points(step_y)
    fine = (width * across, height * down)
    # From the middles of the fine pixels, counted from 0, to those of the image's.
    inward = np.array([[1 / across, 0, 0.5 / across], [0, 1 / down, 0.5 / down], [0, 0, 1]])
    outward = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    flat = bool(matrix[2, 0] == 0 and matrix[2, 1] == 0)
    interpolation = cv2.INTER_CUBIC if cubic and across == down == 1 else cv2.INTER_LINEAR
    buffer = scratch("fine", (fine[1], fine[0], *image.shape[2:])) if across * down > 1 or colour else None
    if displacements is None:
        total, flags = outward @ matrix @ inward, interpolation | cv2.WARP_INVERSE_MAP
        if flat:
            out = cv2.warpAffine(image, total[:2], fine, flags=flags, borderMode=border, dst=buffer)
        else:
            out = cv2.warpPerspective(image, total, fine, flags=flags, borderMode=border, dst=buffer)
    else:
        shape = (fine[1], fine[0], 2)
        wanted = cv2.resize(displacements, fine, dst=floats("wanted", shape), interpolation=cv2.INTER_CUBIC)
        wanted += _grid(fine, (across, down))
        total, room = (outward @ matrix).astype(np.float32), floats("positions", shape)
        if flat:
            positions = cv2.transform(wanted, total[:2], dst=room)
        else:
            positions = cv2.perspectiveTransform(wanted, total, dst=room)
        out = cv2.remap(image, positions, None, interpolation, borderMode=border, dst=buffer)
    if across * down > 1:
        out = cv2.resize(out, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(out, cv2.COLOR_RGBA2RGB) if colour else out)


def resample(image: NDArray[np.uint8], size: tuple[int, int], *, cubic: bool = False) -> NDArray[np.uint8]:
    """Return an image uint8 `(h, w)` or `(h, w, 3)` at another size: `sample_image` with a map that only scales."""
    cv2, (height, width) = opencv(), size
    steps = [old / new for old, new in zip(image.shape[:2], size, strict=True)]
    down, across = map(_points, steps)
    if max(steps[0] / down, steps[1] / across) > _APART:  # so many points would miss some of it
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    once = down == across == 1
    interpolation = cv2.INTER_CUBIC if cubic and once else cv2.INTER_LINEAR
    fine = (height * down, width * across)
    buffer = None if once else scratch("fine", (*fine, *image.shape[2:]))
    out = cv2.resize(image, fine[::-1], dst=buffer, interpolation=interpolation)
    return np.asarray(out if once else cv2.resize(out, (width, height), interpolation=cv2.INTER_AREA))


def displacement_map(displacements: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate a grid of displacements `(rows, columns, 2)` by cubics to one a pixel, `(height, width, 2)`."""
    cv2 = opencv()
    return np.asarray(cv2.resize(displacements, (size[1], size[0]), interpolation=cv2.INTER_CUBIC))


def local_steps(matrix: Matrix, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return how far apart in the image neighbours of the result are: at its corners, for a step in x and one in y.

    Returns:
        `(2, 2, 2)`: upper and lower, left and right, x and y; in pixels of the image; `(1, 1, 2)` for an affine map.
    """
    slopes = _slopes(matrix, size)
    return np.asarray(np.hypot(slopes[..., 0, :], slopes[..., 1, :]))


def _slopes(matrix: Matrix, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the derivatives of the map at the corners of the result, `(2, 2, 2, 2)`: of image x and y, by x and y.

    Those of an affine map are the same everywhere, `(1, 1, 2, 2)`; those of a projective one grow without bound towards
    its horizon, which no policy lets come into the result.
    """
    if not matrix[2, :2].any():
        return np.asarray(matrix[:2, :2])[None, None]
    y, x = np.meshgrid((0.0, size[0]), (0.0, size[1]), indexing="ij")
    points = np.stack([x, y, np.ones_like(x)], -1) @ matrix.T
    weight = points[..., 2:, None]
    return np.asarray((matrix[:2, :2] - points[..., :2, None] / weight * matrix[2, :2]) / weight)


def _points(step: float) -> int:
    """Return the number of points that are taken of a pixel whose neighbours lie so many pixels apart in the image."""
    return 1 if step <= 1 + 1e-6 else min(_MOST_POINTS, max(2, math.ceil(step / _APART - 1e-6)))


def _reduced(
    image: NDArray[np.uint8], matrix: Matrix, size: tuple[int, int], border: int
) -> tuple[NDArray[np.uint8], Matrix]:
    """Reduce the image to means over blocks of pixels, where the map shrinks far; return it and the map into it."""
    height, width = image.shape[:2]
    slopes = _slopes(matrix, size)
    # How far the image's x, and its y, change over a pixel of the result: where that is least.
    reach = np.hypot(slopes[..., 0], slopes[..., 1]).min((0, 1)) / _REDUCED
    by_x, by_y = (
        min(side, max(1, int(most), math.ceil(side / _WIDEST)))
        for side, most in zip((width, height), reach, strict=True)
    )
    if by_x == by_y == 1:
        return image, matrix
    cv2 = opencv()
    if width % by_x or height % by_y:
        image = cv2.copyMakeBorder(image, 0, -height % by_y, 0, -width % by_x, border)
    smaller = (-(-width // by_x), -(-height // by_y))
    small = np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA))
    return small, np.diag([1 / by_x, 1 / by_y, 1.0]) @ matrix


def _padded(
    image: NDArray[np.uint8],
    matrix: Matrix,
    size: tuple[int, int],
    displacements: NDArray[np.float32] | None,
    border: int,
) -> tuple[NDArray[np.uint8], Matrix, int]:
    """Pad the image as far as the map reaches, which is faster than OpenCV's own test of every position.

    Returns:
        The image, the map into it, and the border that it needs now; all unchanged, if it had to be much larger.
    """
    (height, width), cv2 = image.shape[:2], opencv()
    x, y = np.meshgrid((0.0, size[1]), (0.0, size[0]))
    corners = np.stack([x, y, np.ones_like(x)], -1).reshape(4, 3) @ matrix.T
    positions = corners[:, :2] / corners[:, 2:]
    local = 0.0 if displacements is None else _OVERSHOOT * float(np.abs(displacements).max())
    margin = 2 + local * np.abs(_slopes(matrix, size)).sum(-1).max((0, 1))
    before = np.ceil(np.maximum(0, margin - positions.min(0))).astype(int)
    after = np.ceil(np.maximum(0, positions.max(0) + margin - (width, height))).astype(int)
    if (whole := before + after + (width, height)).prod() > _MOST_PADDED * width * height or whole.max() > _WIDEST:
        return image, matrix, border
    if not (before.any() or after.any()):
        return image, matrix, border
    room = scratch("padded", (int(whole[1]), int(whole[0]), *image.shape[2:]))
    (left, top), (right, bottom) = before.tolist(), after.tolist()
    larger = cv2.copyMakeBorder(image, top, bottom, left, right, border, dst=room)
    shifted = np.array([[1.0, 0.0, before[0]], [0.0, 1.0, before[1]], [0.0, 0.0, 1.0]]) @ matrix
    return np.asarray(larger), shifted, cv2.BORDER_CONSTANT


@lru_cache(maxsize=16)
def _grid(size: tuple[int, int], points: tuple[int, int]) -> NDArray[np.float32]:
    """Return the position of each of `width, height` points, so many a pixel, `(height, width, 2)`: x and y."""
    out = np.empty((size[1], size[0], 2), np.float32)
    out[..., 0] = (np.arange(size[0]) + 0.5) / points[0]
    out[..., 1] = ((np.arange(size[1]) + 0.5) / points[1])[:, None]
    out.setflags(write=False)
    return out
