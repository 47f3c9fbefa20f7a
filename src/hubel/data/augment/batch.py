"""Augmentation of whole batches at once: by whole pixels, where nothing is interpolated, and by mixing their images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation, scalar, uniform
from hubel.data.augment.colour import apply_colour
from hubel.data.augment.draws import draw_colour, draw_parameters
from hubel.data.augment.erase import ERASE, erase_squares
from hubel.data.augment.geometry import FLIP, MIRROR, SHIFT_BY_PIXELS, WHOLE_PIXEL_TRANSFORMS, padded, whole_pixels
from hubel.data.augment.mixing import MIXING
from hubel.data.augment.policy import Policy

__all__ = ["augment_batch", "mix_batch"]

# Keys of the draws of a batch, beside seed, epoch and step. The first keeps them apart from those of the order.
_MIXING, _WHICH, _SHARE, _PARTNERS, _Y, _X = 4, 0, 1, 2, 3, 4


def augment_batch(
    images: NDArray[np.uint8],
    policy: Policy,
    *,
    seed: int,
    epoch: int | NDArray[Any],
    samples: NDArray[np.int64],
    fill: str | None = None,
) -> NDArray[np.uint8]:
    """Augment images uint8 `(n, h, w, c)`, whose numbers in the data set are `samples`.

    What the policy would interpolate is left out: see `Policy.keeps_pixels`.

    Args:
        images: of the network's size; not changed.
        policy: the policy.
        seed: of the run.
        epoch: one number, or one for each image.
        samples: `(n,)`.
        fill: what a shift brings in; that of the policy if None.

    Returns:
        A new array, except under a policy that changes nothing.
    """
    drawn = draw_parameters(policy, (*WHOLE_PIXEL_TRANSFORMS, ERASE), seed, epoch, samples)
    out = images if policy.keeps_place else _rearranged(images, drawn, fill or policy.fill)
    if not policy.keeps_colours and len(samples):
        source, out = out, np.empty_like(out)
        drawn_colour = draw_colour(policy, seed, epoch, samples)
        for image, (steps, key), result in zip(source, drawn_colour, out, strict=True):
            apply_colour(image, steps, key, out=result)
    if ERASE in drawn:
        out = erase_squares(out, drawn[ERASE])
    return out


def _rearranged(images: NDArray[np.uint8], drawn: dict[Any, Any], fill: str) -> NDArray[np.uint8]:
    """Copy each image to its position in a black one, its pixels as single items: faster than any gathering.

    Where something else comes in from outside, its part of an image that is padded is copied.
    """
    n, height, width, channels = images.shape
    out = np.zeros(images.shape, np.uint8)
    if not out.size:
        return out
    item = np.dtype((np.void, channels))
    source = np.ascontiguousarray(images).view(item)[..., 0]
    target = out.view(item)[..., 0]
    never = [None] * n
    mirrored, flipped = drawn.get(MIRROR, never), drawn.get(FLIP, never)
    right, down = _shifts(drawn[SHIFT_BY_PIXELS], height, width) if SHIFT_BY_PIXELS in drawn else ([0] * n, [0] * n)
    rows, columns = (max(map(abs, moves)) if fill != "black" else 0 for moves in (down, right))
    if rows or columns:
        source = padded(images, rows, columns, fill).view(item)[..., 0]
    for i, (y, x) in enumerate(zip(down, right, strict=True)):
        to = target[i]
        if mirrored[i] is not None:
            to = to[:, ::-1]
        if flipped[i] is not None:
            to = to[::-1]
        if rows or columns:
            to[:] = source[i, rows - y : rows - y + height, columns - x : columns - x + width]
            continue
        to[max(0, y) : height + y, max(0, x) : width + x] = source[i, max(0, -y) : height - y, max(0, -x) : width - x]
    return out


def _shifts(values: list[tuple[float, float, float]], height: int, width: int) -> tuple[list[int], list[int]]:
    """Return the pixels by which each image moves right, and down."""
    right, down, shares = zip(*values, strict=True)
    return (
        whole_pixels(np.array(right), shares[0], width).astype(np.int64).tolist(),
        whole_pixels(np.array(down), shares[0], height).astype(np.int64).tolist(),
    )


def mix_batch(
    pixels: NDArray[np.uint8], policy: Policy, seed: int, epoch: int, step: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, float]:
    """Mix images uint8 `(n, h, w, c)`, each with another one of the batch, by mixup or CutMix.

    Returns:
        The images; for each the position in the batch of the other one, `(n,)`, or None where nothing is mixed; and the
        share that each keeps of itself, from 0 to 1.
    """
    active = [operation for operation in MIXING if policy.is_on(operation)]
    if not active or len(pixels) < 2:
        return pixels, None, 1.0
    keys = seed, epoch, step, _MIXING
    operation = active[int(float(uniform(*keys, _WHICH)) * len(active))]
    (alpha,) = policy.values_of(operation)
    share = float(np.random.Generator(np.random.PCG64(scalar(*keys, _SHARE))).beta(alpha, alpha))
    others = permutation(len(pixels), *keys, _PARTNERS)
    position = float(uniform(*keys, _Y)), float(uniform(*keys, _X))
    mixed, share = operation.mix(pixels, pixels[others], share, position)
    return mixed, others, share
