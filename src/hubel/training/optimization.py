"""Decide how a network learns, where the recipe leaves it open: loss, optimizer, batch size and epochs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.core.language import plural, sentence
from hubel.data.augment import Policy
from hubel.data.samples import steps_per_epoch
from hubel.metrics.imbalance import inequality
from hubel.models.neighbours import NeighboursLayout
from hubel.models.variant import Variant
from hubel.nn.generative import GenerativeNetwork
from hubel.nn.layers import has_quadratic_output, has_wide_layers, is_deep, needs_small_steps
from hubel.tasks.losses import LossSettings
from hubel.tasks.task import FromScratch, Task
from hubel.training.freeze_policy import tuning_epochs
from hubel.training.plan import LoopSettings, OptimizerSettings
from hubel.training.recipe import OptimizationSettings, Recipe, parse_milestones, parse_size
from hubel.training.schedule import Schedule

__all__ = ["balanced_loss", "choose_balance", "choose_loop", "choose_loss", "choose_optimizer"]

# Fine-tuning takes smaller steps than training from scratch, smooths labels and averages weights.
_TUNING_LR = {"adam": 5e-4, "adamw": 5e-4, "sgd": 0.002, "adadelta": 0.1}
_RATES_OF = {"heavy_ball": "sgd", "lamb": "adamw"}  # whose default rates these have, too
_TUNING_OPTIMIZER, _TUNING_EMA, _TUNING_SMOOTHING = "adamw", 0.9, 0.1
_USUAL_BATCH = 128  # for which the rates are
_SMALL_STEPS_LR = 0.01  # of SGD, from scratch
_LARGEST_TUNING_BATCH, _SMALLEST_BATCH = 32, 8
_EPOCHS, _EPOCHS_AT_MOST, _STEPS_IN_ALL = 15, 60, 1500
_STEPS_AT_LEAST = 16  # an epoch of fewer steps learns little
# Times as many images as the rarest class has; adjusted from there on, macro recall gained 1 to 28 points.
_UNEQUAL = 2.0
# Likewise; squares on noise (18) lost 5 points of IoU, figures on canvases (38) 2, and CamVid (110) gained 15.
_UNEQUAL_PIXELS = 60.0


def choose_loss(wanted: OptimizationSettings, task: Task, *, tuned: bool) -> LossSettings:
    """Return the loss.

    Raises:
        OptionError: the task has no such loss.
    """
    name = wanted.loss or task.losses[0]
    if name not in task.losses:
        raise OptionError(f"the task {task.name} has the loss {' or '.join(task.losses)}, not {name}")
    smoothing = wanted.label_smoothing
    if smoothing is None:
        smoothing = _TUNING_SMOOTHING if tuned and name == "cross_entropy" else 0.0
    return LossSettings(name=name, label_smoothing=smoothing)


def choose_balance(
    wanted: str | None,
    loss: LossSettings,
    task: Task,
    variant: Variant,
    classes: tuple[str, ...],
    counts: NDArray[np.int64],
) -> tuple[str, list[str]]:
    """Return how unequal classes are treated, and a note where that is decided from their counts.

    Args:
        wanted: by the recipe; None to decide.
        loss: of training.
        task: of which some have no classes, or several an image.
        variant: of the network; one that stores the images has no loss to adjust.
        classes: their names.
        counts: training images of each.

    Raises:
        OptionError: the method cannot be used with this task or loss.
    """
    softmax = task.exclusive and loss.name == "cross_entropy"
    usual = task.balance if softmax or task.balance != "logit_adjustment" else "none"
    if wanted is not None:
        if wanted == "logit_adjustment" and not softmax:
            raise OptionError("balance logit_adjustment needs one class an image, and the loss cross_entropy")
        if wanted == "sampling" and not task.exclusive:
            raise OptionError("balance sampling needs one class an image; inverse and effective do not")
        return wanted, []
    learns = not isinstance(variant.layout, NeighboursLayout)
    least_unequal = _UNEQUAL_PIXELS if usual == "inverse_sqrt" else _UNEQUAL
    if usual == "none" or not learns or inequality(counts) < least_unequal:
        return "none", []
    most, least = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    if usual == "inverse_sqrt":
        shares = counts / counts.sum()
        return usual, [
            sentence(
                "note.unequal.pixels",
                least=classes[least],
                low=float(shares[least]),
                most=classes[most],
                high=float(shares[most]),
            )
        ]
    return usual, [
        sentence(
            "note.unequal",
            fewest=plural("note.training_images", int(counts[least])),
            least=classes[least],
            many=int(counts[most]),
            most=classes[most],
        )
    ]


def balanced_loss(loss: LossSettings, recipe: Recipe, balance: str, counts: NDArray[np.int64]) -> LossSettings:
    """Return the loss with the treatment of unequal classes.

    Smoothed labels would make a rare class more frequent than it is, and the adjustment assumes that it is not.
    """
    if balance == "logit_adjustment" and recipe.optimization.label_smoothing is None:
        loss = replace(loss, label_smoothing=0.0)
    return replace(loss, balance=balance, counts=tuple(counts.tolist()))


def choose_optimizer(
    recipe: Recipe,
    task: Task,
    network: nn.Module,
    *,
    tuned: bool,
    backbone: bool,
    from_scratch: FromScratch | None = None,
    batch_size: int,
    temperature: float = 1.0,
) -> OptimizerSettings:
    """Return the optimizer, its rates, and what is done with its gradients and weights.

    The rate of deep networks falls with the batch (Goyal et al. 2017, arXiv:1706.02677, Section 2.1): with 0.1,
    ResNet-18 diverged in batches of 16 and of 64 digits, and MobileNet v2 ended at three times the loss of a constant.
    Shallow networks take larger steps in smaller batches than that rule allows: in batches of 8, convnets with two
    hidden layers of 128 and 256 units got 14 and 13 % of 400 digits right after an epoch by it, and 43 and 41 % at the
    constant rate (means of 3 seeds). With two of 4,096 units it falls with the root of the batch: of 3 seeds of VGG-11
    with batch norm on xo, one stayed at the loss of a constant with 0.01, and all learnt so. With squares as logits,
    too: on 100 digits in batches of 8, the loss of LeNet-5 fell to 1.1 and then rose to 34, 39 and 46 (3 seeds) with
    0.01; it ends at 0.3, 0.1 and 0.1 with 0.0025.

    A sure teacher's softened cross-entropy has up to T times the gradient of the labels' (T^2 of the loss, 1/T of the
    softmax; Hinton et al. 2015, arXiv:1503.02531, Section 2), so the rate is divided by the temperature T: a convnet
    taught for 2 epochs got 63 % of the digits right at 0.1 and 99 % at 0.025; for 6 epochs, 98.6 and 99.2 %.
    """
    wanted, transfer = recipe.optimization, recipe.transfer
    name = wanted.optimizer or (_TUNING_OPTIMIZER if tuned else task.optimizer)
    backbone_lr = task.backbone_lr if backbone else 1.0
    share = min(1.0, batch_size / _USUAL_BATCH)
    kind = _RATES_OF.get(name, name)
    usual = _TUNING_LR[kind] if tuned else task.lr[kind] / backbone_lr
    if not tuned and kind == "sgd" and needs_small_steps(network):
        falls = has_wide_layers(network) or has_quadratic_output(network)
        usual = _SMALL_STEPS_LR * (math.sqrt(share) if falls else 1.0)
    elif not tuned and kind == "sgd" and is_deep(network):
        usual *= share
    if not tuned and kind == "sgd":
        usual /= temperature
    if from_scratch is not None and name == task.optimizer:
        usual *= from_scratch.lr
    ema = wanted.ema
    if ema is None:
        ema = _TUNING_EMA if tuned else task.ema
    if wanted.lookahead and not ema:
        raise OptionError(
            "lookahead goes back to the moving average of the weights; give its decay, such as --ema 0.95"
        )
    return OptimizerSettings(
        name=name,
        lr=wanted.lr or usual,
        momentum=wanted.momentum,
        betas=network.betas if isinstance(network, GenerativeNetwork) else OptimizerSettings.betas,
        weight_decay=task.weight_decay if wanted.weight_decay is None else wanted.weight_decay,
        decayed=wanted.decayed,
        layer_decay=transfer.layer_decay,
        backbone_lr=backbone_lr,
        gradual_unfreeze=transfer.gradual_unfreeze,
        clip=wanted.clip or math.inf,
        norm_bias_lr=wanted.norm_bias_lr,
        ema=ema,
        lookahead=wanted.lookahead,
    )


def choose_loop(
    recipe: Recipe,
    task: Task,
    policy: Policy,
    images: int,
    *,
    tuned: bool,
    backbone: bool,
    from_scratch: FromScratch | None,
) -> LoopSettings:
    """Return batch size, epochs, and when training ends, for so many images that train."""
    wanted = recipe.optimization
    batch_size = wanted.batch_size or _batch_size(images, _LARGEST_TUNING_BATCH if tuned else task.largest_batch)
    steps = steps_per_epoch(images, batch_size)
    longer = task.longer * (from_scratch.longer if from_scratch else 1)
    usual = tuning_epochs(images) if tuned else longer * _scratch_epochs(steps)
    if backbone:
        usual = min(usual, task.most_epochs)
    epochs = wanted.epochs or usual
    if wanted.max_steps is not None:
        needed = -(-wanted.max_steps // steps)
        epochs = min(wanted.epochs or needed, needed)
    return LoopSettings(
        epochs=epochs,
        batch_size=batch_size,
        policy=policy,
        steps=wanted.max_steps or math.inf,
        schedule=Schedule(
            name=wanted.schedule,
            warmup=wanted.warmup,
            milestones=parse_milestones(wanted.milestones),
            first=wanted.first_lr,
            last=wanted.last_lr,
        ),
        patience=wanted.patience or math.inf,
        max_minutes=wanted.max_minutes or math.inf,
        checkpoint_minutes=recipe.machine.checkpoint_minutes,
        seed=recipe.seed,
        train_sizes=tuple(map(parse_size, recipe.data.train_size.split(","))) if recipe.data.train_size else (),
    )


def _batch_size(n: int, most: int) -> int:
    """Return the largest power of two, from 8 to `most`, that leaves enough steps in an epoch."""
    size = most
    while size > _SMALLEST_BATCH and n / size < _STEPS_AT_LEAST:
        size //= 2
    return size


def _scratch_epochs(steps: int) -> int:
    """Return 15; of a small set as many as make enough steps, up to 60."""
    return min(_EPOCHS_AT_MOST, max(_EPOCHS, -(-_STEPS_IN_ALL // steps)))
