"""Choose what training starts from, fresh weights or pretrained ones, and load it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from hubel.core.errors import ModelFileError, OptionError
from hubel.core.files import no_such, user_path
from hubel.data.dataset import Dataset
from hubel.data.preprocess import Preprocess
from hubel.data.sources.listing import SPLITS
from hubel.data.taught import Taught
from hubel.models.catalogue import options_of
from hubel.models.variant import Variant
from hubel.nn.network import Network
from hubel.nn.shapes_only import shapes_only
from hubel.training.plan import Plan, TransferPlan
from hubel.training.recipe import Recipe, TransferSettings, parse_size
from hubel.weights.create import create_model, is_file_name, is_tag
from hubel.weights.model_file import read_card
from hubel.weights.pretrained import Pretrained, find_weights, list_weights

__all__ = [
    "SMALL_PIXELS",
    "InitialWeights",
    "at_hand",
    "check_weights",
    "default_network",
    "enlarged_size",
    "find_initial_weights",
    "pretrained_network",
]

SMALL_PIXELS = 64  # images of at most so many on both sides are small: a small network learns them in minutes
_PRETRAINED, _FRESH = "efficientnet_lite0", "convnet"
# Number of small images from which on the small network is trained from scratch. Grey: with 1,000 it is as good as a
# pretrained one (benchmarks/freeze_policy.py). Coloured: up to 10,000 it is far worse; more were not measured, and
# the time decides.
_ENOUGH = {"grey": 1_000, "coloured": 100_000}
# Pretrained networks are best where objects are as large as those that they were trained on; with more small images
# than this, each pixel more costs minutes. 1,000 of CIFAR-10: accuracy 86.8 % at 128 pixels, 90.0 % at 224, in twice
# the time.
_FULLY_ENLARGED, _ENLARGED = 2_000, 128  # images, pixels
_TEST = SPLITS.index("test")


@dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """Weights that training starts from, with their preprocessing.

    Attributes:
        weights: a tag of pretrained weights, or a file; None from scratch.
        preprocess: that the weights were trained with; None from scratch, or where it is unknown.
        options: that the network needs for them.
        notes: what a person should know.
        provenance: for the model's card.
        taught: images that taught the weights, as far as their file tells; None where it does not.
    """

    weights: str | Path | None = None
    preprocess: Preprocess | None = None
    options: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    taught: Taught | None = None


def default_network(dataset: Dataset, recipe: Recipe) -> str:
    """Return the classifier where nobody names one: a pretrained network, or a small one for many small images.

    Args:
        dataset: the images.
        recipe: its `weights` and `size` count: small images get the small network where nothing is to start from, or
            where they are to stay small.
    """
    if not _is_small(dataset):
        return _PRETRAINED
    rows = dataset.rows()
    coloured = int(dataset.index.channels[rows[dataset.index.split[rows] != _TEST]].max(initial=1)) > 1
    enough = _training_images(dataset) >= _ENOUGH["coloured" if coloured else "grey"]
    stays_small = recipe.data.size is not None and max(parse_size(recipe.data.size)) <= SMALL_PIXELS
    return _FRESH if stays_small or recipe.transfer.weights == "none" or enough else _PRETRAINED


def enlarged_size(dataset: Dataset, like: Preprocess, variant: Variant) -> tuple[int, int]:
    """Return height and width for pretrained weights: those of their training; less for many small images."""
    if variant.fixed_size or not _is_small(dataset) or _training_images(dataset) <= _FULLY_ENLARGED:
        return like.height, like.width
    most = max(_ENLARGED, variant.smallest)
    return min(like.height, most), min(like.width, most)


def _is_small(dataset: Dataset) -> bool:
    """Return whether no usable image is larger than `SMALL_PIXELS`."""
    index, rows = dataset.index, dataset.rows()
    return all(sides[rows].max(initial=0) <= SMALL_PIXELS for sides in (index.height, index.width))


def _training_images(dataset: Dataset) -> int:
    """Return the number of usable images that the data does not set aside to measure."""
    return int((dataset.index.split[dataset.rows()] != _TEST).sum())


def find_initial_weights(settings: TransferSettings, name: str, variant: Variant) -> InitialWeights:
    """Return the weights that the settings name; by default those that need no download.

    Args:
        settings: `weights` and `freeze` count.
        name: the exact name of the network.
        variant: its description.

    Raises:
        UnknownNameError: there are no such weights.
        OptionError: a network without pretrained weights cannot be frozen, or has none.
    """
    rows, wanted = list_weights(name), settings.weights
    if wanted is None:
        wanted = rows[0].tag if at_hand(name) and variant.output == "vector" else "none"
    if wanted == "none":
        if settings.freeze not in (None, "none"):
            hint = "add --weights default" if rows else "it has none"
            raise OptionError(f"{name} starts from scratch, so nothing of it can be frozen without weights; {hint}")
        note = f"{name} starts from scratch; --weights default starts from pretrained ones (a download)"
        return InitialWeights(notes=(note,) if rows and settings.weights is None else ())
    if variant.output != "vector":
        raise OptionError(f"{name} predicts no classes; it has no pretrained weights to start from")
    # Auxiliary classifiers help a fresh network to learn; a pretrained one has no use for them.
    options = {"auxiliary": False} if "auxiliary" in options_of(name) else {}
    if is_file_name(wanted) and not is_tag(name, wanted):
        return _from_file(Path(os.path.realpath(user_path(wanted))), rows, options)
    row = find_weights(name, wanted)
    return InitialWeights(
        weights=row.tag,
        preprocess=_undistorted(row),
        options={**row.options, **options},
        provenance={"weights": f"{name}.{row.tag}"},
    )


def at_hand(name: str) -> bool:
    """Return whether the default weights of a network, given by its exact name, need no download."""
    return any(_installed(row) for row in list_weights(name)[:1])


def _installed(row: Pretrained) -> bool:
    """Return whether weights come with a distribution that is installed."""
    if row.origin != "package":
        return False
    try:
        metadata.distribution(row.location)
    except metadata.PackageNotFoundError:
        return False
    return True


def _from_file(path: Path, rows: list[Pretrained], options: dict[str, Any]) -> InitialWeights:
    if not path.is_file():
        raise OptionError(f"--weights {no_such(path, 'file')}")
    provenance = {"weights": path.name}
    try:
        card = read_card(path)
    except ModelFileError:  # another library's, which does not tell its preprocessing
        preprocess = _undistorted(rows[0]) if rows else None
        return InitialWeights(weights=path, preprocess=preprocess, options=options, provenance=provenance)
    return InitialWeights(
        weights=path,
        preprocess=card.preprocess,
        options={**card.options, **options},
        provenance=provenance,
        taught=Taught.read(card.provenance),
    )


def _undistorted(row: Pretrained) -> Preprocess:
    """Return the preprocessing of weights, with the largest centre crop of the input's shape."""
    return replace(row.preprocess, resize="crop", crop=1.0)


def check_weights(plan: Plan) -> None:
    """Refuse a file of weights that cannot be read, or does not fit, before a run is begun with it.

    Raises:
        WeightsError: as for `pretrained_network`.
    """
    if plan.transfer is not None and isinstance(plan.transfer.weights, Path):
        with shapes_only():
            pretrained_network(plan, plan.transfer)


def pretrained_network(plan: Plan, transfer: TransferPlan) -> Network:
    """Return the network of a plan with its initial weights; its last layer is random.

    Raises:
        WeightsError: the weights cannot be had.
    """
    card = plan.card
    network = create_model(
        card.model,
        weights=transfer.weights,
        num_classes=len(card.classes),
        in_channels=card.preprocess.channels,
        input_size=(card.preprocess.height, card.preprocess.width),
        options=card.options,
    )
    assert isinstance(network, Network), "resolve refuses all others"
    return network.eval()
