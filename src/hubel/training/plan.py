"""What a run will do, decided from the data and the recipe before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

import hubel
from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.process import usable_cores
from hubel.core.progress import counted
from hubel.data.augment import Policy, find_policy
from hubel.data.index import Index, scan
from hubel.data.kept import Keep
from hubel.data.loading import Images, Labelled, steps_per_epoch
from hubel.data.preprocess import Preprocess
from hubel.data.sources import Source
from hubel.data.sources.listing import SPLITS
from hubel.data.splits import Splits, split
from hubel.inference.device import pick_device, pick_precision
from hubel.inference.engines import ENGINES
from hubel.inference.threads import probe_threads
from hubel.models.catalogue import find, list_models
from hubel.models.variant import Variant
from hubel.nn.freezing import boundaries
from hubel.nn.network import Network
from hubel.training.recipe import Recipe
from hubel.training.start import SMALL, default_network, enlarged, find_start
from hubel.weights.card import ModelCard

__all__ = ["Plan", "choose_preprocess", "make_plan", "with_task"]

# By task: what "auto" stands for, and settings without meaning. A classifier's network depends on the images, too.
_TUNING_LR = {"adamw": 5e-4, "sgd": 0.002}
_TUNING_EMA, _TUNING_SMOOTHING = 0.9, 0.1
_OPTIMIZERS = {"classify": "sgd", "reconstruct": "adamw"}
_MEANINGLESS = {"classify": (), "reconstruct": ("loss", "label_smoothing", "class_weights", "multi_label")}

_LARGEST_BATCH, _LARGEST_TUNED_BATCH = 128, 32
_EPOCHS, _EPOCHS_AT_MOST, _STEPS_IN_ALL = 15, 60, 1500
_CHOOSERS = 50  # validation images; of fewer, the share that is right is a matter of luck
_VAL = SPLITS.index("val")
_MOST_NAMES = 20  # of networks in a message
_STEPS_AT_LEAST = 16  # an epoch of fewer steps learns little


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before training.

    Attributes:
        recipe: with nothing left to decide.
        card: the model to be: its network, classes, preprocessing, and where it comes from.
        index: the images.
        splits: which rows do what.
        train: images that teach.
        val: images that choose the epoch.
        test: images that measure.
        notes: what a person should know.
        weights: what training starts from, a tag or a file; None from scratch.
        keeps_last: there are too few validation images to choose an epoch by, so the last one is kept.
    """

    recipe: Recipe
    card: ModelCard
    index: Index
    splits: Splits
    train: Labelled[Images]
    val: Labelled[Images]
    test: Labelled[Images]
    notes: tuple[str, ...]
    weights: str | Path | None = None
    keeps_last: bool = False

    @property
    def choosers(self) -> int:
        """The number of images that choose the epoch and do not teach."""
        return 0 if self.keeps_last else len(self.splits.val)


def with_task(recipe: Recipe) -> Recipe:
    """The recipe with its task decided, and with what follows from it.

    A classifier whose network is "auto" gets it with its optimizer when the images are known; see `make_plan`.

    Raises:
        UnknownNameError: there is no such network.
        OptionError: the network is for another task, or a setting has no meaning for this one.
    """
    if recipe.model == "auto" and recipe.task in ("auto", "classify"):
        return replace(recipe, task="classify")
    model = "autoencoder_28" if recipe.model == "auto" else recipe.model
    exact, variant = find(model)
    if recipe.task not in ("auto", variant.task):
        able = [name for name in list_models() if find(name)[1].task == recipe.task]
        shown = ", ".join(able[:_MOST_NAMES]) + (", ..." if len(able) > _MOST_NAMES else "")
        raise OptionError(f"{exact} cannot {recipe.task} images; those that can: {shown}")
    for setting in _MEANINGLESS[variant.task]:
        if getattr(recipe, setting) != getattr(Recipe, setting):
            raise OptionError(
                f"{setting} has no meaning where a network makes images and names no classes; leave it out"
            )
    return replace(recipe, task=variant.task, model=model)


def make_plan(source: Source, recipe: Recipe) -> Plan:
    """Look at the data and decide. What cannot work is refused here, before a run has a folder.

    Raises:
        DataError: the data cannot be used.
        UnknownNameError: there is no such network, option or policy.
        OptionError: the network is for another task or cannot be built so, or the device is not there.
    """
    recipe = with_task(recipe)
    pick_precision(recipe.precision, pick_device(recipe.device))
    loading = None if recipe.loading_threads < 0 else recipe.loading_threads
    index = scan(source, threads=loading)
    if recipe.model == "auto":
        recipe = with_task(replace(recipe, model=default_network(index, recipe)))
    name, variant = find(recipe.model)
    start = find_start(recipe, name, variant)
    recipe = _with_optimizer(recipe, variant, tuned=start.weights is not None)
    classes = index.classes(multi_label=recipe.multi_label) if recipe.task == "classify" else ()
    splits = split(
        index, seed=recipe.seed, val=recipe.val_share, test=recipe.test_share, multi_label=recipe.multi_label
    )
    keeps_last = (
        start.weights is not None and not (index.split[splits.val] == _VAL).any() and len(splits.val) < _CHOOSERS
    )
    if keeps_last:
        note = f"{counted(len(splits.val), 'image')} would be too few to choose an epoch by: they teach, too"
        teaching = np.union1d(splits.train, splits.val)
        splits = replace(splits, train=teaching, val=teaching, notes=(*splits.notes, note))
    card = ModelCard(
        name,
        classes,
        choose_preprocess(recipe, variant, index, start.preprocess),
        {**start.options, **recipe.options},
        "sigmoid" if recipe.loss == "sigmoid" or not classes else "softmax",
        provenance={
            "data": index.name,
            "fingerprint": index.fingerprint(),
            "hubel": hubel.__version__,
            "multi_label": recipe.multi_label,
            "seed": recipe.seed,
            "shares": [recipe.val_share, recipe.test_share],
            **start.provenance,
        },
    )
    size = min(card.preprocess.height, card.preprocess.width)
    changes = find_policy(recipe.augment, channels=card.preprocess.channels, size=size)
    with torch.device("meta"):
        network = card.create()
    if start.weights is not None:
        known = ("auto", *(boundaries(network) if isinstance(network, Network) else ()))
        for setting, value, names in (
            ("part to freeze", recipe.freeze, known),
            ("engine", recipe.engine, ("auto", *ENGINES)),
        ):
            if value not in names:
                raise UnknownNameError(setting, value, names)

    def labelled(rows: NDArray[np.int64], keep: str = recipe.cache) -> Labelled[Images]:
        images = Images(source, index, rows, card.preprocess, threads=loading, keep=cast(Keep, keep))
        return Labelled(images, index.targets(rows, classes, multi_label=recipe.multi_label))

    train = labelled(splits.train)
    # A pretrained network brings its colours along; one that makes images is compared with its input, from 0 to 1.
    if classes and start.preprocess is None:
        mean, std = train.images.colours()
        preprocess = replace(card.preprocess, mean=mean, std=std)
        card = replace(card, preprocess=preprocess)
        train = replace(train, images=train.images.normalised_by(preprocess))
    val = train if np.array_equal(splits.val, splits.train) else labelled(splits.val)
    most = _LARGEST_BATCH if start.weights is None else _LARGEST_TUNED_BATCH
    batch_size = recipe.batch_size or _batch_size(len(splits.train), most)
    decided = replace(
        recipe,
        batch_size=batch_size,
        weights=str(start.weights or "none"),
        # How long a pretrained network is tuned depends on what its features show; see `freeze_policy`.
        epochs=recipe.epochs or (0 if start.weights else _epochs(steps_per_epoch(len(splits.train), batch_size))),
        threads=recipe.threads or probe_threads(),
        augment=_lasting(variant.augment if recipe.augment == "auto" else recipe.augment, changes),
    )
    return Plan(
        decided,
        card,
        index,
        splits,
        train,
        val,
        val if splits.test_is_val else labelled(splits.test, "off"),  # looked at once
        (*index.notes(), *splits.notes, *start.notes, *([] if recipe.threads else _slower(decided))),
        start.weights,
        keeps_last,
    )


def _lasting(name: str, what: Policy) -> str:
    """The name of a policy; the settings themselves where they come from a file, which may change or go."""
    return what.to_text() if name.lower().endswith(".toml") else name


def _with_optimizer(recipe: Recipe, variant: Variant, *, tuned: bool) -> Recipe:
    """The recipe with what "auto" stands for in its optimizer: fine-tuning takes smaller steps than a fresh start."""
    optimizer = recipe.optimizer
    if optimizer == "auto":
        optimizer = "adamw" if tuned else _OPTIMIZERS[variant.task]
    usual = (_TUNING_LR[optimizer] if tuned else variant.lr) if tuned or optimizer == "sgd" else 0.0
    decided: dict[str, Any] = {"optimizer": optimizer, "lr": recipe.lr or usual}
    if recipe.ema < 0:
        decided["ema"] = _TUNING_EMA if tuned else 0.0
    if recipe.label_smoothing < 0 and tuned and recipe.loss == "softmax":
        decided["label_smoothing"] = _TUNING_SMOOTHING
    return replace(recipe, **decided)


def choose_preprocess(recipe: Recipe, variant: Variant, index: Index, like: Preprocess | None = None) -> Preprocess:
    """The network's input: what the recipe says, and where it says nothing what suits the network and the images.

    Pretrained weights want to see images as they were trained: in colour, with their mean and deviation, and in their
    shape. So the centre is cropped from an image that is not of the input's shape, as large as it can be. Many small
    images are enlarged no further than to 128 pixels, where the network takes other sizes than that of its training.
    Images of one size that is nearly the network's are padded, as LeCun et al. 1998 do with 28x28 digits on 32x32; all
    others are squashed. Grey images stay grey. The colours are not normalised yet.
    """
    if like is not None:
        height, width = recipe.input_size() or enlarged(index, like, variant)
        fit: Any = like.resize if recipe.resize == "auto" else recipe.resize
        return replace(like, height=height, width=width, resize=fit, crop=like.crop if fit == like.resize else 1.0)
    rows = index.usable()
    heights, widths = index.height[rows], index.width[rows]
    native = (int(heights.max()), int(widths.max()))
    uniform = bool((heights == native[0]).all() and (widths == native[1]).all())
    if wanted := recipe.input_size():
        height, width = wanted
    elif variant.fixed_size:
        height, width = variant.shape.height, variant.shape.width
    else:
        sides = native if uniform and max(native) <= SMALL else (SMALL, SMALL)
        height, width = (max(side, variant.smallest) for side in sides)
    nearly = uniform and all(0.75 * s <= n <= s for n, s in zip(native, (height, width), strict=True))
    fit = recipe.resize if recipe.resize != "auto" else "pad" if nearly else "squash"
    channels = int(index.channels[rows].max())
    return Preprocess(height, width, channels, fit, mean=(0.0,) * channels, std=(1.0,) * channels)


def _batch_size(n: int, most: int) -> int:
    """The largest power of two that leaves enough steps in an epoch, from 8 to `most`."""
    size = most
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
