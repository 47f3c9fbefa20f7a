"""An augmentation applied to an image, to a mask that lies over it, and to the boxes and points of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.data.annotation import IGNORED, Annotation
from hubel.data.augment.colour import apply_colour
from hubel.data.augment.draws import Augmentation
from hubel.data.augment.erase import erase_squares
from hubel.data.augment.geometry import INDICES, resize_matrix, transform_matrix
from hubel.data.augment.opencv import opencv
from hubel.data.augment.operation import Matrix
from hubel.data.augment.sampling import displacement_map, resample, sample_image
from hubel.data.preprocess import Preprocess

__all__ = [
    "LEAST_INSIDE",
    "input_to_image",
    "transform_annotation",
    "transform_boxes",
    "transform_image",
    "transform_mask",
    "transform_points",
]

#: The share of an object's box that stays in the input, below which the object is left out.
LEAST_INSIDE = 0.1

_POINTS_OF_SIDE = 9  # of a box: between its corners it may become a curve
_ROUNDS = 16  # of the inversion of displacements; each halves the error where these are flat


def input_to_image(preprocess: Preprocess, augmentation: Augmentation, width: int, height: int) -> Matrix:
    """Return the map from positions in the network's input, displaced, to those in an image of this size, `(3, 3)`."""
    transforms = transform_matrix(augmentation.transforms, preprocess.width, preprocess.height)
    return resize_matrix(preprocess, *augmentation.box(width, height)) @ transforms


def transform_image(image: NDArray[np.uint8], preprocess: Preprocess, augmentation: Augmentation) -> NDArray[np.uint8]:
    """Transform a decoded image into the augmented input of the network; it is interpolated once.

    Where nothing is cropped or interpolated, `Preprocess.apply` resizes it, so that the augmentation that does nothing
    gives the same pixels as evaluation.

    Args:
        image: uint8 `(h, w)` grey or `(h, w, 3)` RGB; not changed.
        preprocess: size, channels and resize mode.
        augmentation: the drawn parameters.

    Returns:
        uint8 `(height, width, channels)`, not normalised yet.
    """
    exact = [(one.rearrange, values) for one, values in augmentation.transforms if one.rearrange is not None]
    if augmentation.displacements is None and len(exact) == len(augmentation.transforms):
        pixels = _cropped(image, preprocess, augmentation)
        for rearrange, values in exact:
            pixels = rearrange(pixels, values, _fill(preprocess, augmentation))
        pixels = np.ascontiguousarray(pixels)
    else:
        pixels = _sampled(image, preprocess, augmentation, _fill(preprocess, augmentation))
    pixels = apply_colour(pixels, augmentation.colour, augmentation.key)
    if augmentation.erase is not None:
        pixels = erase_squares(pixels[None], [augmentation.erase])[0]
    return pixels


def _cropped(image: NDArray[np.uint8], preprocess: Preprocess, augmentation: Augmentation) -> NDArray[np.uint8]:
    """Return the crop at the input's size, not transformed yet."""
    height, width = image.shape[:2]
    left, top, columns, rows = augmentation.box(width, height)
    if (columns, rows) == (width, height) or preprocess.resize == "pad":  # whose black has sharp edges
        return preprocess.apply(np.ascontiguousarray(image[top : top + rows, left : left + columns]))
    if preprocess.resize == "squash":
        part = _grey_if_wanted(image[top : top + rows, left : left + columns], preprocess)
        size, cubic = (preprocess.height, preprocess.width), preprocess.interpolation == "bicubic"
        return _with_channels(resample(part, size, cubic=cubic), preprocess)
    # Nothing comes in from outside, but halves of pixels at the edges of the image.
    return _sampled(image, preprocess, replace(augmentation, transforms=()), "edge")


def _sampled(
    image: NDArray[np.uint8], preprocess: Preprocess, augmentation: Augmentation, fill: str
) -> NDArray[np.uint8]:
    image = _grey_if_wanted(image, preprocess)
    size = preprocess.height, preprocess.width
    pixels = sample_image(
        image,
        input_to_image(preprocess, augmentation, image.shape[1], image.shape[0]),
        size,
        displacements=_displacements(augmentation, preprocess),
        fill=fill,
        cubic=preprocess.interpolation == "bicubic",
    )
    return _with_channels(pixels, preprocess)


def _grey_if_wanted(image: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    colourless = preprocess.channels == 1 and image.ndim == 3
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L")) if colourless else image


def _with_channels(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    out = pixels if pixels.ndim == 3 else pixels[..., None]
    return out if out.shape[2] == preprocess.channels else np.repeat(out, preprocess.channels, axis=2)


def transform_mask(
    mask: NDArray[Any],
    preprocess: Preprocess,
    augmentation: Augmentation,
    image_size: tuple[int, int],
    *,
    outside: int = IGNORED,
) -> NDArray[Any]:
    """Transform a mask that lies over an image like the image: each value is that of the nearest pixel.

    Args:
        mask: `(h, w)` or `(h, w, c)` of any type; it may be of another resolution than the image.
        preprocess: as for the image.
        augmentation: likewise. Colours and the erased square do not concern a mask.
        image_size: height and width of the image that `transform_image` got.
        outside: value beyond the mask, where the image is filled with black.
    """
    rows, columns = mask.shape[:2]
    height, width = image_size
    y, x = np.meshgrid(np.arange(preprocess.height) + 0.5, np.arange(preprocess.width) + 0.5, indexing="ij")
    positions = np.stack([x, y], -1)
    displacements = _displacements(augmentation, preprocess)
    if displacements is not None:
        positions = positions + displacement_map(displacements, (preprocess.height, preprocess.width))
    source = _mapped(input_to_image(preprocess, augmentation, width, height), positions)
    column = np.floor(source[..., 0] * (columns / width) + 1e-9).astype(np.int64)
    row = np.floor(source[..., 1] * (rows / height) + 1e-9).astype(np.int64)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    fill = _fill(preprocess, augmentation)
    out: NDArray[Any] = mask[INDICES[fill](row, rows), INDICES[fill](column, columns)]
    if fill == "black":
        out[~inside] = outside
    return out


def transform_boxes(
    boxes: NDArray[Any], preprocess: Preprocess, augmentation: Augmentation, image_size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transform boxes of an image like the image: into upright boxes around the result, clipped to the input.

    Args:
        boxes: left, top, right and bottom in pixels of the image, `(n, 4)`.
        preprocess: as for the image.
        augmentation: likewise.
        image_size: height and width of the image that `transform_image` got.

    Returns:
        Boxes in pixels of the input, `(n, 4)`, and the share of the transformed box that lies inside, `(n,)`. A box
        that has left the input has no area and the share 0; it keeps its row, so that labels still fit, and whoever
        trains on boxes leaves out those whose share is too small.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    step = np.linspace(0, 1, _POINTS_OF_SIDE)
    zero, one = np.zeros_like(step), np.ones_like(step)
    edges = np.stack([np.concatenate([step, one, step, zero]), np.concatenate([zero, step, one, step])], -1)
    points = boxes[:, None, :2] + edges * (boxes[:, None, 2:] - boxes[:, None, :2])
    transformed = _to_input(points, preprocess, augmentation, image_size)
    whole = np.concatenate([transformed.min(1), transformed.max(1)], 1)
    clipped = np.clip(whole, 0, np.array([preprocess.width, preprocess.height] * 2, np.float64))
    area = _area(whole)
    return clipped, np.divide(_area(clipped), area, out=np.zeros_like(area), where=area > 0)


def transform_points(
    points: NDArray[Any], preprocess: Preprocess, augmentation: Augmentation, image_size: tuple[int, int]
) -> NDArray[np.float64]:
    """Transform key points of an image like the image.

    Args:
        points: x, y and visibility in pixels of the image, `(..., 3)`; visibility 0 says that a point is not given.
        preprocess: as for the image.
        augmentation: likewise. Colours and the erased square do not concern points.
        image_size: height and width of the image that `transform_image` got.

    Returns:
        Points in pixels of the input, `(..., 3)`: 0, 0, 0 for one that is not given or has left the input.
    """
    points = np.asarray(points, np.float64)
    moved = np.empty_like(points)
    moved[..., :2] = _to_input(points[..., :2], preprocess, augmentation, image_size)
    moved[..., 2] = points[..., 2]
    inside = (moved[..., :2] >= 0) & (moved[..., :2] <= (preprocess.width, preprocess.height))
    moved[~inside.all(-1) | (points[..., 2] == 0)] = 0
    return moved


def transform_annotation(
    annotation: Annotation,
    preprocess: Preprocess,
    augmentation: Augmentation,
    image_size: tuple[int, int],
    *,
    point_mirror: Sequence[int] = (),
    least_inside: float = LEAST_INSIDE,
) -> Annotation:
    """Transform all marks on an image like the image.

    An object of whose transformed box less than a share lies in the input is left out; the boxes of the others are cut
    at its edges. Where the image is seen in a mirror, left and right key points change places.

    Args:
        annotation: in pixels of the image; not changed.
        preprocess: as for the image.
        augmentation: likewise.
        image_size: height and width of the image that `transform_image` got, upright.
        point_mirror: for each key point, the position of the one that it becomes in a mirrored image; none change
            places if empty.
        least_inside: the share of a box that has to be in the input, above 0, up to 1.

    Returns:
        The annotation in pixels of the input; pixels of its mask that were outside of the image are `IGNORED`.
    """
    boxes, share = transform_boxes(annotation.boxes, preprocess, augmentation, image_size)
    kept = share >= max(least_inside, np.finfo(np.float64).tiny)
    points = annotation.points
    if points.size:
        points = transform_points(points, preprocess, augmentation, image_size)
        if len(point_mirror) and _mirrors(preprocess, augmentation, image_size):
            points = points[:, list(point_mirror)]
        points = points[kept]
    mask = annotation.mask
    return Annotation(
        classes=annotation.classes[kept],
        boxes=boxes[kept],
        crowd=annotation.crowd[kept],
        points=points,
        mask=None if mask is None else transform_mask(mask, preprocess, augmentation, image_size),
    )


def _mirrors(preprocess: Preprocess, augmentation: Augmentation, image_size: tuple[int, int]) -> bool:
    """Return whether the map turns the image over: the determinant of its derivative in the centre is negative."""
    matrix = input_to_image(preprocess, augmentation, image_size[1], image_size[0])
    centre = np.array([preprocess.width / 2, preprocess.height / 2, 1.0])
    # Of a projective map it is det(M) / w^3, w being the third coordinate of the mapped point.
    return bool(np.linalg.det(matrix) * (matrix[2] @ centre) < 0)


def _to_input(
    points: NDArray[np.float64], preprocess: Preprocess, augmentation: Augmentation, image_size: tuple[int, int]
) -> NDArray[np.float64]:
    """Return where points of the image `(..., 2)` are in the input."""
    height, width = image_size
    to_input = np.linalg.inv(input_to_image(preprocess, augmentation, width, height))
    target = _mapped(np.asarray(to_input, np.float64), points)
    displacements = _displacements(augmentation, preprocess)
    if displacements is None or not target.size:
        return target
    # Where p + d(p) is the target: half way to p = target - d(p), again and again. A whole step overshoots where d is
    # steep: at a warp of 0.1, it left one point in a hundred 17 pixels of 100 away.
    cv2, by_pixel = opencv(), displacement_map(displacements, (preprocess.height, preprocess.width))
    at_least = np.atleast_2d(target)
    transformed = places = at_least.reshape(-1, *at_least.shape[-2:])
    for _ in range(_ROUNDS):
        middles = (transformed - 0.5).astype(np.float32)
        found = cv2.remap(by_pixel, middles, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        transformed = (transformed + places - found.reshape(places.shape)) / 2
    return np.asarray(transformed.reshape(target.shape))


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))


def _mapped(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points `(..., 2)`, x and y, after a projective map."""
    out = np.concatenate([points, np.ones_like(points[..., :1])], -1) @ matrix.T
    return np.asarray(out[..., :2] / out[..., 2:])


def _displacements(augmentation: Augmentation, preprocess: Preprocess) -> NDArray[np.float32] | None:
    """Return the local displacements in pixels of the input."""
    if augmentation.displacements is None:
        return None
    return np.asarray(augmentation.displacements * (preprocess.width, preprocess.height), np.float32)


def _fill(preprocess: Preprocess, augmentation: Augmentation) -> str:
    return "black" if preprocess.resize == "pad" else augmentation.fill
