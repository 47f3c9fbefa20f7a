"""Augmentation: random changes of training images that keep their class.

Geometric transforms compose into one map, together with the crop and the resize, so that an image is interpolated once;
operations on colours compose into one matrix. The parameters of a sample are a function of `(seed, epoch, sample)`; see
`hubel.core.random`. Each operation is one record, in the order of `operations.OPERATIONS`.
"""

from __future__ import annotations

from hubel.data.augment.apply import (
    transform_annotation,
    transform_boxes,
    transform_image,
    transform_mask,
    transform_points,
)
from hubel.data.augment.batch import augment_batch, mix_batch
from hubel.data.augment.colour import principal_axes
from hubel.data.augment.draws import Augmentation, draw_augmentations
from hubel.data.augment.mosaic import PlacedImage, draw_placed_images, join_annotations
from hubel.data.augment.named import POLICIES, VIEWS, find_policy
from hubel.data.augment.policy import Policy

__all__ = [
    "POLICIES",
    "VIEWS",
    "Augmentation",
    "PlacedImage",
    "Policy",
    "augment_batch",
    "draw_augmentations",
    "draw_placed_images",
    "find_policy",
    "join_annotations",
    "mix_batch",
    "principal_axes",
    "transform_annotation",
    "transform_boxes",
    "transform_image",
    "transform_mask",
    "transform_points",
]
