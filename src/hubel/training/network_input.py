"""Choose the size of a network's input, and how images are brought to it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from hubel.data.dataset import Dataset
from hubel.data.preprocess import Preprocess
from hubel.models.variant import Variant
from hubel.tasks.catalogue import TASKS
from hubel.tasks.task import Task
from hubel.training.initial_weights import SMALL_PIXELS, enlarged_size
from hubel.training.recipe import Recipe, parse_size

__all__ = ["choose_preprocess", "shows_small_images"]

_SMALL = 128  # pixels of the sides of images whose objects have few
_MULTIPLE = 32  # of which the sides of a dense network's input are: the largest stride of its maps


def choose_preprocess(
    recipe: Recipe, variant: Variant, dataset: Dataset, like: Preprocess | None = None, *, task: Task = TASKS[0]
) -> Preprocess:
    """Return the network's input: what the recipe says, and otherwise what suits the network and the images.

    Pretrained weights see images as they were trained: in colour, with their mean and deviation, and undistorted. So
    the largest centre crop of the input's shape is taken. Many small images are enlarged no further than to 128
    pixels, where the network takes other sizes than that of its training. Images of one size that is nearly the
    network's are padded, as LeCun et al. 1998 do with 28x28 digits on 32x32; all others are squashed. Grey images
    stay grey. Mean and deviation are not set yet, unless they come with the weights.

    Where the task has `most_pixels`, the input has the shape of the images: see `_shape_of_images`.
    """
    size = parse_size(recipe.data.size) if recipe.data.size else None
    if task.most_pixels:
        height, width = size or _shape_of_images(dataset, task.most_pixels)
        shaped: Any = recipe.data.resize or task.resize
        channels = like.channels if like else int(dataset.index.channels[dataset.rows()].max())
        plain = like or Preprocess(height, width, channels, mean=(0.0,) * channels, std=(1.0,) * channels)
        return replace(plain, height=height, width=width, resize=shaped, crop=1.0)
    if like is not None:
        height, width = size or enlarged_size(dataset, like, variant)
        resize: Any = recipe.data.resize or like.resize
        crop = like.crop if resize == like.resize else 1.0
        return replace(like, height=height, width=width, resize=resize, crop=crop)
    index, rows = dataset.index, dataset.rows()
    heights, widths = index.height[rows], index.width[rows]
    native = (int(heights.max()), int(widths.max()))
    uniform = bool((heights == native[0]).all() and (widths == native[1]).all())
    if size:
        height, width = size
    elif variant.fixed_size:
        height, width = variant.shape.height, variant.shape.width
    else:
        sides = native if uniform and max(native) <= SMALL_PIXELS else (SMALL_PIXELS, SMALL_PIXELS)
        height, width = (max(side, variant.smallest) for side in sides)
    nearly = uniform and all(0.75 * s <= n <= s for n, s in zip(native, (height, width), strict=True))
    resize = recipe.data.resize or ("pad" if nearly else "squash")
    channels = int(index.channels[rows].max())
    return Preprocess(height, width, channels, resize, mean=(0.0,) * channels, std=(1.0,) * channels)


def shows_small_images(dataset: Dataset, preprocess: Preprocess) -> bool:
    """Return whether all images are small and have the input's size, so that the network sees their own pixels.

    Interpolated, such images lose what their objects are told and measured by: of figures of 19 to 38 pixels on
    canvases of 96, boxes after four epochs had an AP of 65 % with scaled crops, and 84 % with shifts by whole pixels.
    """
    index, rows = dataset.index, dataset.rows()
    same = (index.height[rows] == preprocess.height) & (index.width[rows] == preprocess.width)
    return max(preprocess.height, preprocess.width) <= _SMALL and bool(same.all())


def _shape_of_images(dataset: Dataset, most_pixels: int) -> tuple[int, int]:
    """Return the median height and width of the images, shrunk to so many pixels, in multiples of 32."""
    index, rows = dataset.index, dataset.rows()
    height, width = float(np.median(index.height[rows])), float(np.median(index.width[rows]))
    scale = min(1.0, math.sqrt(most_pixels / (height * width)))
    return (
        max(_MULTIPLE, _MULTIPLE * round(height * scale / _MULTIPLE)),
        max(_MULTIPLE, _MULTIPLE * round(width * scale / _MULTIPLE)),
    )
