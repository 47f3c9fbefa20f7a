"""What a run will do, decided from the data and the recipe before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hubel.core.process import usable_cores
from hubel.data.index import Index, scan
from hubel.data.loading import Images, steps_per_epoch
from hubel.data.preprocess import Preprocess
from hubel.data.sources import Source
from hubel.data.splits import Splits, split
from hubel.models.catalogue import find
from hubel.models.variant import Variant
from hubel.runtime.threads import probe_threads
from hubel.training.loop import Labelled
from hubel.training.recipe import Recipe

__all__ = ["Plan", "choose_preprocess", "make_plan"]

_LARGEST_AUTOMATIC = 64  # pixels; what a processor without accelerator trains from scratch in minutes
_LARGEST_BATCH = 128
_EPOCHS, _EPOCHS_AT_MOST, _STEPS_IN_ALL = 15, 60, 1500
_STEPS_AT_LEAST = 16  # an epoch of fewer steps learns little


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before training.

    Attributes:
        recipe: with nothing left to decide.
        index: the images.
        splits: which rows do what.
        classes: names, in the order of the outputs.
        preprocess: what the network will see.
        train: images that teach, val: that choose, test: that measure.
        fingerprint: of the images, labels and splits.
        notes: what a person should know.
    """

    recipe: Recipe
    index: Index
    splits: Splits
    classes: tuple[str, ...]
    preprocess: Preprocess
    train: Labelled
    val: Labelled
    test: Labelled
    fingerprint: str
    notes: tuple[str, ...]


def make_plan(source: Source, recipe: Recipe) -> Plan:
    """Look at the data and decide.

    Raises:
        DataError: the data cannot be used.
        UnknownNameError: there is no such network.
    """
    _, variant = find(recipe.model)
    threads = None if recipe.loading_threads < 0 else recipe.loading_threads
    index = scan(source, threads=threads)
    classes = index.classes(multi_label=recipe.multi_label)
    splits = split(index, seed=recipe.seed, val=recipe.val_share, test=recipe.test_share)
    preprocess = choose_preprocess(recipe, variant, index)
    images = Images(source, index, splits.train, preprocess, threads=threads)
    mean, std = images.colours()
    preprocess = replace(preprocess, mean=mean, std=std)

    def labelled(rows: Any) -> Labelled:
        targets = index.targets(rows, classes, multi_label=recipe.multi_label)
        if np.array_equal(rows, splits.train):
            return Labelled(images.normalised_by(preprocess), targets)
        return Labelled(Images(source, index, rows, preprocess, threads=threads), targets)

    train, val = labelled(splits.train), labelled(splits.val)
    batch_size = recipe.batch_size or _batch_size(len(splits.train))
    decided = replace(
        recipe,
        batch_size=batch_size,
        epochs=recipe.epochs or _epochs(steps_per_epoch(len(splits.train), batch_size)),
        threads=recipe.threads or probe_threads(),
        augment=variant.augment if recipe.augment == "auto" else recipe.augment,
    )
    return Plan(
        decided,
        index,
        splits,
        classes,
        preprocess,
        train,
        val,
        val if splits.test_is_val else labelled(splits.test),
        index.fingerprint(),
        (*index.notes(), *splits.notes, *([] if recipe.threads else _slower(decided))),
    )


def choose_preprocess(recipe: Recipe, variant: Variant, index: Index) -> Preprocess:
    """The network's input: what the recipe says, and where it says nothing what suits the network and the images.

    Images of one size that is nearly the network's are padded, as LeCun et al. 1998 do with 28x28 digits on 32x32; all
    others are squashed. Grey images stay grey.
    """
    rows = index.usable()
    heights, widths = index.columns["height"][rows], index.columns["width"][rows]
    native = (int(heights.max()), int(widths.max()))
    uniform = bool((heights == native[0]).all() and (widths == native[1]).all())
    if wanted := recipe.input_size():
        height, width = wanted
    elif variant.fixed_size:
        height, width = variant.shape.height, variant.shape.width
    elif uniform and max(native) <= _LARGEST_AUTOMATIC:
        height, width = native
    else:
        height, width = _LARGEST_AUTOMATIC, _LARGEST_AUTOMATIC
    nearly = uniform and all(0.75 * s <= n <= s for n, s in zip(native, (height, width), strict=True))
    fit = recipe.fit if recipe.fit != "auto" else "pad" if nearly else "squash"
    channels = int(index.columns["channels"][rows].max())
    return Preprocess(height, width, channels, fit, mean=(0.5,) * channels, std=(0.25,) * channels)  # type: ignore[arg-type]


def _batch_size(n: int) -> int:
    """The largest power of two that leaves enough steps in an epoch, from 8 to 128."""
    size = _LARGEST_BATCH
    while size > 8 and n / size < _STEPS_AT_LEAST:
        size //= 2
    return size


def _epochs(steps: int) -> int:
    """15; of a small set as many as make enough steps, up to 60."""
    return min(_EPOCHS_AT_MOST, max(_EPOCHS, -(-_STEPS_IN_ALL // steps)))


def _slower(recipe: Recipe) -> list[str]:
    """A word where fewer threads compute than there are cores: the last bits of the result depend on the number."""
    if recipe.threads >= usable_cores():
        return []
    return [f"other programs are using this machine; computing with {recipe.threads} of {usable_cores()} threads"]
