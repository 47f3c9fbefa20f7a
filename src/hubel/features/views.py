"""Fixed views of an image for the frozen part of a network: each is computed once, so there are few.

View 0 is the image as evaluation sees it, view 1 its mirror image where a mirrored one is another picture of the same
class; the others are what a policy draws: crops with mild changes of light, unless the user wants something else. They
are functions of the image's bytes and the view's number.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import AnnotatedSource, Annotation
from hubel.data.augment import VIEWS, Policy, draw_augmentations, find_policy, transform_image
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess

__all__ = ["annotation_view", "image_key", "image_view", "view", "view_name", "views_policy"]

_PLAIN = Policy()


def image_key(digest: NDArray[np.void]) -> int:
    """Return the random key of an image, from the hash of its bytes."""
    return int.from_bytes(digest.tobytes()[:8], "little")


def view(
    pixels: NDArray[np.uint8], preprocess: Preprocess, number: int, key: int, policy: Policy = VIEWS
) -> NDArray[np.uint8]:
    """Return one view of a decoded image.

    Args:
        pixels: `(h, w)` grey or `(h, w, 3)` RGB.
        preprocess: whose size and fit the view has.
        number: of the view, from 0 on.
        key: of the image; see `image_key`.
        policy: the policy of the views that are neither plain nor mirrored.

    Returns:
        `(height, width, channels)`, not normalised yet.
    """
    if number == 0:
        return preprocess.apply(pixels)
    grey = preprocess.channels == 1  # the mirror image of a letter or a digit is another sign
    if number == 1 and policy.mirror and not grey:
        return preprocess.apply(pixels)[:, ::-1]
    drawn_from = replace(policy, mirror=False) if grey and policy == VIEWS else policy
    return transform_image(pixels, preprocess, draw_augmentations(drawn_from, key, number)[0])


def views_policy(augment: str, preprocess: Preprocess) -> Policy:
    """Return the policy of views for the `augment` of a recipe: the one that is named, or the mild `VIEWS`."""
    if augment in ("auto", "none"):
        return VIEWS
    return find_policy(augment, channels=preprocess.channels, size=min(preprocess.height, preprocess.width))


def view_name(number: int, policy: Policy = VIEWS) -> str:
    """Return the name that features of a view are stored under; it depends on the policy."""
    if number == 0 or policy == VIEWS:
        return f"view{number}"
    return f"view{number}-{hashlib.blake2b(policy.to_text().encode(), digest_size=4).hexdigest()}"


def image_view(images: Images, position: int, number: int, policy: Policy = VIEWS) -> NDArray[np.uint8]:
    """Return one view of an image of a dataset, uint8 `(height, width, channels)`."""
    return view(images.decoded(position), images.preprocess, number, image_key(images.digests[position]), policy)


def annotation_view(images: Images, position: int, number: int, policy: Policy = VIEWS) -> Annotation:
    """Return what is marked on one view of an image of a dataset, in pixels of the network's input.

    Raises:
        DecodeError: its mask can no longer be read.
    """
    assert isinstance(images.source, AnnotatedSource), "the data has no annotations"
    preprocess = images.preprocess
    mirrored = number == 1 and policy.mirror and preprocess.channels != 1
    drawn_from = _PLAIN if number == 0 or mirrored else policy
    augmentation = draw_augmentations(drawn_from, image_key(images.digests[position]), number)[0]
    moved = images.transformed_annotation(position, preprocess, augmentation)
    return moved.mirrored(preprocess.width, images.source.point_mirror) if mirrored else moved
