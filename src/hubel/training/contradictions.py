"""Refuse settings that contradict the network, its weights, the task or each other."""

from __future__ import annotations

import copy

from torch import nn

from hubel.core.errors import OptionError
from hubel.core.progress import counted
from hubel.data.augment import Policy
from hubel.data.preprocess import Preprocess
from hubel.data.samples import blank_input, steps_per_epoch
from hubel.inference.device import device_of
from hubel.models.variant import Variant
from hubel.nn.freezing import ALL, NONE, boundaries
from hubel.nn.network import Network
from hubel.tasks.task import Task
from hubel.training.recipe import Recipe, parse_size
from hubel.weights.card import ModelCard

__all__ = ["check_folds", "check_policy", "check_smallest_batch", "check_train_sizes"]


def check_policy(policy: Policy, task: Task) -> None:
    """Refuse augmentation that mixes images where the task has no targets for it.

    Raises:
        OptionError: it is refused.
    """
    if task.annotations and (policy.mixup or policy.cutmix):
        raise OptionError(f"mixup and CutMix mix labels of whole images, which the task {task.name} has none of")
    if policy.mosaic and not task.mosaics:
        raise OptionError(
            f"a mosaic shows four images at once; the task {task.name} has one answer an image: no mosaic"
        )


def check_train_sizes(recipe: Recipe, variant: Variant, task: Task, *, tuned: bool, taught: bool) -> None:
    """Refuse other sizes of training images where the network, or what is stored of it, has one size.

    Raises:
        OptionError: they are refused.
    """
    for size in recipe.data.train_size.split(",") if recipe.data.train_size else ():
        if variant.fixed_size or task.annotations:
            raise OptionError("the network takes images of one size: no --train-size")
        if taught:
            raise OptionError("the outputs of a teacher are stored for images of one size: no --train-size")
        if tuned and recipe.transfer.freeze != NONE:
            raise OptionError("maps of a frozen part are stored at one size: --train-size needs --freeze none")
        if min(parse_size(size)) < variant.smallest:
            raise OptionError(f"the network needs images of at least {variant.smallest} pixels, not {size}")


def check_folds(folds: int, recipe: Recipe, card: ModelCard, network: nn.Module, *, tuned: bool) -> None:
    """Refuse folds that would take as long as so many trainings, or that no time is left for.

    Raises:
        OptionError: there is no pretrained network that ends in a linear layer, or there is a limit of time.
    """
    if not tuned:
        raise OptionError(
            f"--folds {folds} fits {folds} linear heads to the features of a pretrained network; {card.model} starts "
            f"from scratch, so that {folds} trainings would be needed: leave out --folds, or start from pretrained "
            "weights (--weights default)"
        )
    if not isinstance(network, Network) or ALL not in boundaries(network):
        raise OptionError(f"{card.model} does not end in a linear layer, so there are no heads to fit: no --folds")
    if recipe.optimization.max_minutes is not None:
        raise OptionError("--folds computes the features of all images, however long it takes: no --max-minutes")


def check_smallest_batch(network: nn.Module, preprocess: Preprocess, images: int, batch_size: int, shards: int) -> None:
    """Refuse steps of one image where a batch norm would see one value a channel, which has no variance.

    Args:
        network: left as it is.
        preprocess: of its input.
        images: that train.
        batch_size: images a step at most.
        shards: of a batch, each of which is normalised alone.

    Raises:
        OptionError: there are such steps.
    """
    if images // steps_per_epoch(images, batch_size) // shards > 1 or not any(map(_is_batch_norm, network.modules())):
        return
    try:
        copy.deepcopy(network).train()(blank_input(preprocess, device_of(network)))
    except ValueError:
        raise OptionError(
            f"{counted(images, 'image')} in batches of {batch_size}{f' and {shards} shards' if shards > 1 else ''} "
            "make a step of one image, whose smallest maps have one pixel: nothing that a batch norm could normalise; "
            f"choose another --batch-size, {'fewer --shards, ' if shards > 1 else ''}or a larger --size"
        ) from None


def _is_batch_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
