"""Judge images that all trained a network: each by a network that was tuned on the other half of them.

Few images train all of them, and none is held out. What a network says of images that it was tuned on tells nothing of
how sure it may be of others, nor of how new these are to it. So it is tuned twice more, each time on one half, and says
what it makes of the other half (two-fold cross-fitting, Chernozhukov et al. 2018, arXiv:1608.00060, Definition 3.1).
Half the images train a worse network than all of them: scores that are calibrated so, the thresholds of prediction
sets and that of novelty are a little too cautious.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hubel.core.stopping import Stop
from hubel.data.samples import Labelled, Samples
from hubel.evaluation.folds import assign_folds
from hubel.nn.freezing import ALL
from hubel.nn.network import Network
from hubel.tasks.task import LabelledOutputs
from hubel.training.fitted_head import set_head
from hubel.training.initial_weights import pretrained_network
from hubel.training.loop import EpochSelection, Loop
from hubel.training.novelty import Unseen, unseen_by
from hubel.training.plan import Plan, TransferPlan
from hubel.training.trainer import Trainer
from hubel.training.transfer import TuningPlan, feature_extractor, stored_maps, tuned_part

__all__ = ["cross_fit"]

_HALVES = 2


def cross_fit(
    plan: Plan, transfer: TransferPlan, tuning: TuningPlan, stop: Stop
) -> tuple[Unseen, LabelledOutputs] | None:
    """Tune a network on each half of the training images, as the whole was, and show it the other half.

    The maps of the frozen part are stored already.

    Args:
        plan: of the run.
        transfer: its part on transfer learning.
        tuning: what was decided for the whole; more than the head trains.
        stop: ends it early.

    Returns:
        Features and logits of the images, and the logits with the targets; None if somebody asked to stop, or where no
        class has two images.
    """
    images, targets = plan.train.images, plan.train.targets
    if targets.ndim == 1 and plan.task.stratify and np.bincount(targets).max() < _HALVES:
        return None
    half = assign_folds(
        plan.dataset.digests(images.rows), targets, _HALVES, seed=plan.loop.seed, stratify=plan.task.stratify
    )
    parts, order = [], []
    for number in range(1, _HALVES + 1):
        seen, others = np.flatnonzero(half != number), np.flatnonzero(half == number)
        network = _tuned_on(plan, transfer, tuning, seen, stop)
        if network is None:
            return None
        parts.append(unseen_by(network, images.subset(others)))
        order.append(others)
    unseen = Unseen(np.concatenate([part.features for part in parts]), np.concatenate([part.logits for part in parts]))
    return unseen, LabelledOutputs(outputs=unseen.logits, targets=targets[np.concatenate(order)])


def _silent(_: str) -> None:
    """Do nothing: what is to be said of the frozen part has been said."""


def _tuned_on(
    plan: Plan, transfer: TransferPlan, tuning: TuningPlan, positions: NDArray[np.int64], stop: Stop
) -> Network | None:
    """Return the network, tuned on some of the images; None if somebody asked to stop."""
    targets = plan.train.targets[positions]
    part = replace(plan, train=Labelled(plan.train.images.subset(positions), targets), val=None)
    network = pretrained_network(plan, transfer).to(plan.device)
    whole = feature_extractor(network, plan, transfer, ALL, _silent)
    features = whole.maps(part.train.images)
    values = features.take(np.arange(len(features))).astype(np.float32)
    set_head(network, plan.task.fit_head(values, targets, plan.card, plan.loss, plan.loop.seed))
    train: Labelled[Samples] = part.train
    if tuning.views:
        lower = feature_extractor(network, plan, transfer, tuning.boundary, _silent)
        train, _, _ = stored_maps(part, lower, tuning.views)
    tuned = tuned_part(network, tuning)
    objective = plan.task.objective(plan.loss, plan.card, targets, plan.device)
    weights: dict[str, Tensor] = {}
    trainer = Trainer(tuned, objective, plan.optimizer, plan.precision)
    loop = Loop(trainer, train, plan.loop, EpochSelection(), keep=weights.update)
    if not loop.run(stop):
        return None
    tuned.load_state_dict(weights)
    return network
