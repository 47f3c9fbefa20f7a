"""What training starts from: fresh weights, or those that somebody has trained on millions of images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import ModelFileError, OptionError
from hubel.data.index import Index
from hubel.data.preprocess import Preprocess
from hubel.data.sources.listing import SPLITS
from hubel.models.catalogue import options_of
from hubel.models.variant import Variant
from hubel.training.recipe import Recipe
from hubel.weights.create import is_file_name, is_tag
from hubel.weights.model_file import read_card
from hubel.weights.pretrained import Pretrained, find_weights, list_weights

__all__ = ["SMALL", "Start", "default_network", "enlarged", "find_start"]

SMALL = 64  # pixels; images of at most so many on both sides are small: a small network learns them in minutes
_PRETRAINED, _FRESH = "efficientnet_lite0", "convnet"
# Small images: from which number on they train the small network. Grey: with 1,000 it is as good as a pretrained one
# (benchmarks/freeze_policy.py). Coloured: up to 10,000 it is far worse; more were not measured, and the time decides.
_ENOUGH = {"grey": 1_000, "coloured": 100_000}
# Pretrained networks are best where things are as large as those that they have learnt from; of more small images than
# this, each pixel more costs minutes. 1,000 of CIFAR-10: 86.8 % right at 128 pixels, 90.0 % at 224, in twice the time.
_FULLY_ENLARGED, _ENLARGED = 2_000, 128  # images, pixels
_TEST = SPLITS.index("test")


@dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        weights: a tag of pretrained weights, or a file; None from scratch.
        preprocess: how the weights want to see an image; None from scratch, or where nobody knows.
        options: that the network needs for them.
        notes: what a person should know.
        provenance: for the model's card.
    """

    weights: str | Path | None = None
    preprocess: Preprocess | None = None
    options: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


def default_network(index: Index, recipe: Recipe) -> str:
    """The classifier where nobody names one: a pretrained network, or a small one for many small images.

    Args:
        index: the images.
        recipe: its `weights` and `size` count: small images get the small network where nothing is to start from, or
            where they are to stay small.
    """
    if not _is_small(index):
        return _PRETRAINED
    rows = _teaching(index)
    kind = "coloured" if int(index.channels[rows].max(initial=1)) > 1 else "grey"
    small = max(recipe.input_size() or (SMALL + 1,)) <= SMALL
    return _FRESH if small or recipe.weights == "none" or len(rows) >= _ENOUGH[kind] else _PRETRAINED


def enlarged(index: Index, like: Preprocess, variant: Variant) -> tuple[int, int]:
    """Height and width at which weights see images: those that they were trained at; less for many small images."""
    if variant.fixed_size or not _is_small(index) or len(_teaching(index)) <= _FULLY_ENLARGED:
        return like.height, like.width
    most = max(_ENLARGED, variant.smallest)
    return min(like.height, most), min(like.width, most)


def _is_small(index: Index) -> bool:
    """Whether no usable image is larger than `SMALL`."""
    rows = index.usable()
    return all(sides[rows].max(initial=0) <= SMALL for sides in (index.height, index.width))


def _teaching(index: Index) -> NDArray[np.int64]:
    """The rows of the usable images that the data does not set aside to measure."""
    rows = index.usable()
    teaching: NDArray[np.int64] = rows[index.split[rows] != _TEST]
    return teaching


def find_start(recipe: Recipe, name: str, variant: Variant) -> Start:
    """What a recipe says; "auto" takes weights that need no download.

    Args:
        recipe: its `weights` and `freeze` count.
        name: the exact name of the network.
        variant: what is known of it.

    Raises:
        UnknownNameError: there are no such weights.
        OptionError: a network without pretrained weights cannot be frozen, or makes images.
    """
    rows, wanted = list_weights(name), recipe.weights
    if wanted == "auto":
        at_hand = [row for row in rows[:1] if _installed(row)]
        wanted = at_hand[0].tag if at_hand and variant.task == "classify" else "none"
    if wanted == "none":
        if recipe.freeze not in ("auto", "none"):
            hint = "add --weights default" if rows else "it has none"
            raise OptionError(f"{name} starts from scratch, so nothing of it can be frozen without weights; {hint}")
        note = f"{name} starts from scratch; --weights default starts from pretrained ones (a download)"
        return Start(notes=(note,) if rows and recipe.weights == "auto" else ())
    if variant.task != "classify":
        raise OptionError(f"{name} makes images; it has no pretrained weights to start from")
    # Auxiliary classifiers help a fresh network to learn; a pretrained one has no use for them.
    options = {"auxiliary": False} if "auxiliary" in options_of(name) else {}
    if is_file_name(wanted) and not is_tag(name, wanted):
        return _from_file(Path(wanted).expanduser().resolve(), rows, options)
    row = find_weights(name, wanted)
    provenance = {"weights": f"{name}.{row.tag}"}
    return Start(row.tag, _in_shape(row), {**row.options, **options}, provenance=provenance)


def _installed(row: Pretrained) -> bool:
    """Whether weights come with a distribution that is here."""
    if row.origin != "package":
        return False
    try:
        metadata.distribution(row.where)
    except metadata.PackageNotFoundError:
        return False
    return True


def _from_file(path: Path, rows: list[Pretrained], options: dict[str, Any]) -> Start:
    if not path.is_file():
        raise OptionError(f"--weights {path}: no such file")
    provenance = {"weights": path.name}
    try:
        card = read_card(path)
    except ModelFileError:  # another library's, which says nothing of how it wants to see an image
        return Start(path, _in_shape(rows[0]) if rows else None, options, provenance=provenance)
    return Start(path, card.preprocess, {**card.options, **options}, provenance=provenance)


def _in_shape(row: Pretrained) -> Preprocess:
    """How weights want to see an image, and as much of it as has the shape of the input."""
    return replace(row.preprocess, resize="crop", crop=1.0)
