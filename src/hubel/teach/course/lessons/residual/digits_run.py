"""Networks that learn the digits by hubel's own recipe, plan, trainer and schedule, one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hubel.core.random import scalar
from hubel.data.samples import steps_per_epoch
from hubel.training.execute import build_trainer
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.training.trainer import StepResult

__all__ = ["KINDS", "MODEL", "TrainingStep", "layout_options", "plan_run", "seeded", "training_steps"]

#: Shortcuts by kind of network: a network of He et al. 2015, Section 4.2, with and without them.
KINDS: Mapping[str, str] = {"plain": "none", "residual": "A"}
#: The network whose depth and shortcuts are set.
MODEL = "resnet20"
_BATCH_SIZE = 128
_STAGES = 3


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """One update of a network.

    Attributes:
        epoch: its epoch, from 0.
        last: the last one of its epoch.
        network: the network; its gradients are those of this step, its weights those after it.
        result: loss and correct answers before the update.
    """

    epoch: int
    last: bool
    network: nn.Module
    result: StepResult


def layout_options(kind: str, depth: int) -> dict[str, Any]:
    """Return the options of a network of `depth` = 6n + 2 layers with weights."""
    return {"depths": [(depth - 2) // (2 * _STAGES)] * _STAGES, "shortcut": KINDS[kind]}


def plan_run(kind: str, depth: int, epochs: int) -> Plan:
    """Plan the training of a network of `depth` = 6n + 2 layers on the digits, 8x8 pixels.

    The recipe is the paper's (Section 4.2: SGD with momentum 0.9, weight decay 1e-4, batches of 128), without
    augmentation, and with one cycle of the learning rate, up to 0.05: with the paper's 0.1 on so few images, the
    residual network of 56 layers forgot what it had learned where the rate is highest.
    """
    recipe = Recipe(
        model=MODEL,
        options=layout_options(kind, depth),
        epochs=epochs,
        batch_size=_BATCH_SIZE,
        lr=0.05,
        weight_decay=1e-4,
        augment="none",
        device="cpu",
        precision="float32",
        threads=1,
        loading_threads=0,
        cache="ram",
    )
    return plan_training("digits", recipe)


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a network with weights by a seed; the random numbers of the caller go on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scalar(seed))
        return build()


def training_steps(plan: Plan) -> Iterator[TrainingStep]:
    """Train the network of a plan, and yield after each update."""
    trainer, train, loop = build_trainer(plan, seeded(plan.card.create, plan.loop.seed)), plan.train, plan.loop
    per_epoch = steps_per_epoch(len(train.images), loop.batch_size)
    for epoch in range(loop.epochs):
        batches = train.images.epoch(loop.seed, epoch, loop.batch_size, loop.policy)
        for step, batch in enumerate(batches):
            done = (epoch * per_epoch + step + 0.5) / (loop.epochs * per_epoch)
            lr = plan.optimizer.lr * loop.schedule.factor(done)
            result = trainer.step(train, batch, lr, loop.seed, epoch, step)
            yield TrainingStep(epoch=epoch, last=step == per_epoch - 1, network=trainer.network, result=result)
