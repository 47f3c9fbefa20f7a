"""Tell a run that has learnt from one that has not: its training loss is no lower than that of one constant answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hubel.core.random import permutation
from hubel.data.loading import Batch, Images, Labelled, blank_input
from hubel.tasks.task import Objective, weighted_outputs
from hubel.training.execute import TrainedModel
from hubel.training.plan import Plan

__all__ = ["constant_loss", "did_not_learn"]

_SUSPICIOUS = 0.9  # share of the first epoch's training loss above which a last epoch is looked at
_NOTHING = 0.98  # share of the constant's loss above which the network has learnt nothing
_SAMPLES = 512  # images from which the best constant is found


def did_not_learn(plan: Plan, trained: TrainedModel, network: nn.Module) -> str:
    """Return a sentence, with what to try, if the last epoch's training loss is that of a constant; otherwise "".

    A network whose activations have died, or whose learning rate is far too large or too small, gives the same outputs
    for every image. The best of its epochs may look better than that on a few validation images.
    """
    if not trained.history:
        return ""
    first, last = trained.history[0]["train_loss"], trained.history[-1]["train_loss"]
    if len(trained.history) > 1 and last < _SUSPICIOUS * first:
        return ""
    network = network.cpu().eval()
    with torch.no_grad():
        outputs = weighted_outputs(network, blank_input(plan.preprocess))
    weight = sum(share for share, _ in outputs)
    objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
    limit = weight * constant_loss(objective, plan.train, outputs[0][1].shape[1:], plan.loop.seed)
    if last < _NOTHING * limit:
        return ""
    lr = plan.optimizer.lr
    return (
        f"The network did not learn: its training loss, {last:.3f}, is that of one answer for all images ({limit:.3f}). "
        f"Try --lr {lr / 10:g}, more epochs, or a network with batch norm."
    )


def constant_loss(objective: Objective, data: Labelled[Images], shape: torch.Size, seed: int) -> float:
    """Return the lowest mean loss that one constant output of a shape reaches, on up to 512 of the images.

    For cross-entropy this is the entropy of the class frequencies, for squared errors the variance of the targets. It
    is found by L-BFGS: every loss here is convex in the outputs.
    """
    rows = permutation(len(data.images), seed)[:_SAMPLES]
    targets = objective.targets(data, Batch(rows, data.images.pixels(rows)))
    constant = torch.zeros(1, *shape, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([constant], max_iter=50, line_search_fn="strong_wolfe")

    def mean_loss() -> Tensor:
        optimizer.zero_grad()
        loss = objective.losses(constant.expand(len(rows), *shape), targets).double().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(mean_loss)  # type: ignore[no-untyped-call]
    return float(mean_loss())
