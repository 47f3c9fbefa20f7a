"""Tell a run that has learnt from one that has not: its training loss is no lower than that of one constant answer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hubel.core.language import sentence
from hubel.core.random import permutation
from hubel.data.samples import Batch, blank_input
from hubel.tasks.task import Objective, weighted_outputs
from hubel.training.eager import eager
from hubel.training.execute import TrainedModel, training_context
from hubel.training.plan import Plan

__all__ = ["constant_loss", "did_not_learn"]

_NOTHING = 0.98  # share of the constant's loss above which the network has learnt nothing
_TINY_LR = 0.001  # at which too small a rate is likelier than too large a one
_SAMPLES = 512  # images from which the best constant is found


def did_not_learn(plan: Plan, trained: TrainedModel, network: nn.Module) -> str:
    """Return a sentence, with what to try, if the last epoch's training loss is that of a constant; otherwise "".

    A network whose activations have died, or whose learning rate is far too large or too small, gives the same outputs
    for every image. The best of its epochs may look better than that on a few validation images.
    """
    # No constant is an answer for all images of a task with annotations, or without targets.
    # With a teacher, most of the loss is the distance from what it says.
    if not trained.history or plan.task.annotations or not plan.task.compared or plan.distillation is not None:
        return ""
    last = trained.history[-1]["train_loss"]
    network = network.cpu().eval()
    with training_context(plan):
        objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
        targets = _samples(plan, objective)
        with torch.no_grad():
            outputs = weighted_outputs(network, blank_input(plan.preprocess), targets[:1])
        weight, shape = sum(share for share, _ in outputs), outputs[0][1].shape[1:]
        limit = weight * constant_loss(objective, targets, shape)
    if last < _NOTHING * limit:
        return ""
    lr = plan.optimizer.lr
    other = lr / 10 if lr > _TINY_LR else lr * 10
    if any(isinstance(module, _BatchNorm) for module in network.modules()):
        return sentence("run.not_learnt", loss=last, limit=limit, lr=other)
    return sentence("run.not_learnt.plain", loss=last, limit=limit, lr=other)


def _samples(plan: Plan, objective: Objective) -> Tensor:
    """Return the targets of up to 512 training images."""
    data = plan.train
    rows = permutation(len(data.images), plan.loop.seed)[:_SAMPLES]
    pixels = np.empty(0) if plan.task.labelled else data.images.pixels(rows)  # labels need no image to be decoded
    return objective.targets(data, Batch(rows, pixels))


def constant_loss(objective: Objective, targets: Tensor, shape: torch.Size) -> float:
    """Return the lowest mean loss that one constant output of a shape reaches on targets `(n, ...)`.

    For cross-entropy this is the entropy of the class frequencies, for squared errors the variance of the targets. It
    is found by L-BFGS: every loss here is convex in the outputs.
    """
    constant = torch.zeros(1, *shape, dtype=torch.float64, requires_grad=True)
    optimizer = eager(torch.optim.LBFGS)([constant], max_iter=50, line_search_fn="strong_wolfe")

    def mean_loss() -> Tensor:
        optimizer.zero_grad()
        loss = objective.losses(constant.expand(len(targets), *shape), targets).double().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(mean_loss)  # type: ignore[no-untyped-call]
    return float(mean_loss().detach())
