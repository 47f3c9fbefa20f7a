"""A change, applied to a picture, to a mask that lies over it, and to boxes around what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.data.augment.changes import Change
from hubel.data.augment.colour import coloured
from hubel.data.augment.geometry import Matrix, fit_matrix, moves_matrix, whole_pixels
from hubel.data.augment.opencv import opencv
from hubel.data.augment.sampling import displacement, resized, sample
from hubel.data.augment.whole import erased
from hubel.data.preprocess import Preprocess

__all__ = ["change_boxes", "change_mask", "changed", "map_of"]

_ON_AN_EDGE = 9  # points of each side of a box: between its corners it may become a curve
_ROUNDS = 12  # of following the field back; each leaves a part of the error that is the field's steepness


def map_of(preprocess: Preprocess, change: Change, width: int, height: int) -> Matrix:
    """From positions in the network's input, after its local moves, to those in a picture of this size, `(3, 3)`."""
    moves = moves_matrix(change.moves, preprocess.width, preprocess.height)
    return fit_matrix(preprocess, *change.box(width, height)) @ moves


def changed(picture: NDArray[np.uint8], preprocess: Preprocess, change: Change) -> NDArray[np.uint8]:
    """A decoded picture as the network's input, changed; it is interpolated once.

    Where nothing is cut, turned or bent, `Preprocess.apply` makes it, so that the change that does nothing gives what
    evaluation sees.

    Args:
        picture: uint8 `(h, w)` grey or `(h, w, 3)` RGB; not changed.
        preprocess: size, channels and fit.
        change: what happens.

    Returns:
        uint8 `(height, width, channels)`, not normalised yet.
    """
    if change.field is None and all(name in _WHOLE for name, _ in change.moves):
        pixels = _cut(picture, preprocess, change)
        for name, values in change.moves:
            pixels = _WHOLE[name](pixels, values)
        pixels = np.ascontiguousarray(pixels)
    else:
        pixels = _sampled(picture, preprocess, change, _fill(preprocess, change))
    pixels = coloured(pixels, change.colours, change.key)
    if change.erase is not None:
        side, *place = change.erase
        pixels = erased(pixels[None], side, np.array([place]), np.array([True]))[0]
    return pixels


def _cut(picture: NDArray[np.uint8], preprocess: Preprocess, change: Change) -> NDArray[np.uint8]:
    """What a change cuts out, not moved yet."""
    height, width = picture.shape[:2]
    left, top, columns, rows = change.box(width, height)
    if (columns, rows) == (width, height) or preprocess.resize == "pad":  # whose black has sharp edges
        return preprocess.apply(np.ascontiguousarray(picture[top : top + rows, left : left + columns]))
    if preprocess.resize == "squash":
        part = _grey_if_wanted(picture[top : top + rows, left : left + columns], preprocess)
        size, cubic = (preprocess.height, preprocess.width), preprocess.interpolation == "bicubic"
        return _with_channels(resized(part, size, cubic=cubic), preprocess)
    # Nothing comes in from outside, but halves of pixels at the edges of the picture.
    return _sampled(picture, preprocess, replace(change, moves=()), "edge")


def _slid(pixels: NDArray[np.uint8], values: tuple[float, ...]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    x, y = whole_pixels(values[0], values[2], width), whole_pixels(values[1], values[2], height)
    out = np.zeros_like(pixels)
    out[max(0, y) : height + y, max(0, x) : width + x] = pixels[max(0, -y) : height - y, max(0, -x) : width - x]
    return out


# Moves that need no interpolation of their own.
_WHOLE: dict[str, Callable[[NDArray[np.uint8], tuple[float, ...]], NDArray[np.uint8]]] = {
    "mirror": lambda pixels, values: opencv().flip(pixels, 1).reshape(pixels.shape),
    "flip": lambda pixels, values: pixels[::-1],
    "slide": _slid,
}


def _sampled(picture: NDArray[np.uint8], preprocess: Preprocess, change: Change, fill: str) -> NDArray[np.uint8]:
    picture = _grey_if_wanted(picture, preprocess)
    size = preprocess.height, preprocess.width
    pixels = sample(
        picture,
        map_of(preprocess, change, picture.shape[1], picture.shape[0]),
        size,
        field=_field(change, preprocess),
        fill=fill,
        cubic=preprocess.interpolation == "bicubic",
    )
    return _with_channels(pixels, preprocess)


def _grey_if_wanted(picture: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    colourless = preprocess.channels == 1 and picture.ndim == 3
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).convert("L")) if colourless else picture


def _with_channels(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    out = pixels if pixels.ndim == 3 else pixels[..., None]
    return out if out.shape[2] == preprocess.channels else np.repeat(out, preprocess.channels, axis=2)


def change_mask(
    mask: NDArray[Any], preprocess: Preprocess, change: Change, picture: tuple[int, int], *, outside: int = 255
) -> NDArray[Any]:
    """A mask that lies over a picture, moved with it: each value is that of the nearest pixel.

    Args:
        mask: `(h, w)` or `(h, w, c)` of any type; it may be of another resolution than the picture.
        preprocess: as for the picture.
        change: likewise. Colours and the erased square do not concern a mask.
        picture: height and width of the picture that `changed` got.
        outside: what lies beyond the mask, where the picture is filled with black.
    """
    rows, columns = mask.shape[:2]
    y, x = np.meshgrid(np.arange(preprocess.height) + 0.5, np.arange(preprocess.width) + 0.5, indexing="ij")
    wanted = np.stack([x, y], -1)
    field = _field(change, preprocess)
    if field is not None:
        wanted = wanted + displacement(field, (preprocess.height, preprocess.width))
    places = _mapped(map_of(preprocess, change, picture[1], picture[0]), wanted)
    column = np.floor(places[..., 0] * (columns / picture[1]) + 1e-9).astype(np.int64)
    row = np.floor(places[..., 1] * (rows / picture[0]) + 1e-9).astype(np.int64)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    turn = _FOLD[_fill(preprocess, change)]
    out: NDArray[Any] = mask[turn(row, rows), turn(column, columns)]
    if _fill(preprocess, change) == "black":
        out[~inside] = outside
    return out


def _clipped(places: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    return np.clip(places, 0, side - 1)


def _folded(places: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    within = places % (2 * side)
    return np.minimum(within, 2 * side - 1 - within)


_FOLD = {"black": _clipped, "edge": _clipped, "reflect": _folded}


def change_boxes(
    boxes: NDArray[Any], preprocess: Preprocess, change: Change, picture: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes of a picture, moved with it: the upright boxes around what the old ones become, cut at the input's edges.

    Args:
        boxes: left, top, right and bottom in pixels of the picture, `(n, 4)`.
        preprocess: as for the picture.
        change: likewise.
        picture: height and width of the picture that `changed` got.

    Returns:
        Boxes in pixels of the input, `(n, 4)`, and the share of the moved box that lies inside, `(n,)`. A box that has
        left the input has no area and the share 0; it keeps its row, so that labels still fit, and whoever trains on
        boxes leaves out those whose share is too small.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    step = np.linspace(0, 1, _ON_AN_EDGE)
    zero, one = np.zeros_like(step), np.ones_like(step)
    edges = np.stack([np.concatenate([step, one, step, zero]), np.concatenate([zero, step, one, step])], -1)
    points = boxes[:, None, :2] + edges * (boxes[:, None, 2:] - boxes[:, None, :2])
    back = np.linalg.inv(map_of(preprocess, change, picture[1], picture[0]))
    moved = target = _mapped(np.asarray(back, np.float64), points)
    field = _field(change, preprocess)
    if field is not None:
        # Where p + d(p) is the target: p = target - d(p), again and again.
        moves = displacement(field, (preprocess.height, preprocess.width))
        for _ in range(_ROUNDS):
            column = np.clip(moved[..., 0], 0, preprocess.width - 1).astype(np.int64)
            row = np.clip(moved[..., 1], 0, preprocess.height - 1).astype(np.int64)
            moved = target - moves[row, column]
    whole = np.concatenate([moved.min(1), moved.max(1)], 1)
    most = np.array([preprocess.width, preprocess.height] * 2, np.float64)
    cut = np.clip(whole, 0, most)
    area, left = _area(whole), _area(cut)
    return cut, np.divide(left, area, out=np.zeros_like(area), where=area > 0)


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))


def _mapped(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points `(..., 2)`, x and y, through a projective map."""
    out = np.concatenate([points, np.ones_like(points[..., :1])], -1) @ matrix.T
    return np.asarray(out[..., :2] / out[..., 2:])


def _field(change: Change, preprocess: Preprocess) -> NDArray[np.float32] | None:
    """The local moves in pixels of the input."""
    if change.field is None:
        return None
    return np.asarray(change.field * (preprocess.width, preprocess.height), np.float32)


def _fill(preprocess: Preprocess, change: Change) -> str:
    return "black" if preprocess.resize == "pad" else change.fill
