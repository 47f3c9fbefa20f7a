"""Fit the head of a network to the features of its training images, before anything is tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.core.language import sentence
from hubel.data.loading import Images
from hubel.data.samples import Labelled
from hubel.features.extractor import FeatureExtractor, Features
from hubel.features.probe import LeftOut
from hubel.nn.freezing import ALL, between, last_linear
from hubel.nn.network import Network
from hubel.tasks.task import FittedHead, LabelledOutputs, validation_mean
from hubel.training.novelty import Unseen
from hubel.training.plan import Plan, TransferPlan
from hubel.weights.create import load_pretrained
from hubel.weights.imagenet import imagenet_classes, imagenet_synsets

__all__ = [
    "Score",
    "TrainingFeatures",
    "compute_features",
    "fit_head",
    "fitted",
    "learning_images",
    "left_out_by",
    "set_head",
    "unseen_by_head",
    "validation_score",
]

#: Validation score and negative loss.
Score = tuple[float, float]

_BATCH = 256  # maps that are averaged at once


@dataclass(frozen=True)
class TrainingFeatures:
    """Features `(n, d)` of training and validation images, if any, and means of the maps below `(n, c)`."""

    train: NDArray[np.float32]
    val: NDArray[np.float32] | None
    below: NDArray[np.float32] | None = None


def compute_features(
    plan: Plan, network: Network, lower: FeatureExtractor | None, whole: FeatureExtractor
) -> TrainingFeatures:
    """Compute the features of the unchanged images; through the maps that tuning needs later, if any."""
    images = learning_images(plan)
    if lower is None:
        train, *val = (_floats(whole.maps(split)) for split in images)
        return TrainingFeatures(train, val[0] if val else None)
    maps = [lower.maps(split) for split in images]
    layers = between(network, lower.boundary, ALL)
    train, *val = (_floats(whole.maps_above(split, layers)) for split in maps)
    batches = (batch.pixels.astype(np.float32) for batch in maps[0].in_sequence(_BATCH))
    below = [pixels.mean((1, 2)) if pixels.ndim == 4 else pixels for pixels in batches]
    return TrainingFeatures(train, val[0] if val else None, np.concatenate(below))


def learning_images(plan: Plan) -> list[Images]:
    """Return the images that train, and those that validate, if any."""
    return [part.images for part in (plan.train, plan.val) if part is not None]


def _floats(features: Features) -> NDArray[np.float32]:
    return features.take(np.arange(len(features))).astype(np.float32)


def fit_head(
    plan: Plan, transfer: TransferPlan, network: Network, features: TrainingFeatures, note: Callable[[str], None]
) -> FittedHead:
    """Give the network the head that fits its features best; return it."""
    targets = plan.train.targets
    head = fitted(plan, features.train)
    if head.score is None:
        note(sentence("note.no_folds"))
    else:
        nearest = plan.task.neighbours_score(features.train, targets, plan.card)
        beside = "" if nearest is None else sentence("note.beside", score=f"{nearest:.1%}")
        note(sentence("note.head", score=f"{head.score:.1%}", beside=beside))
    if own := _pretrained_head(plan, transfer):
        weight, bias = own
        accuracy = float(((features.train @ weight.T + bias).argmax(1) == targets).mean())
        note(sentence("note.imagenet", accuracy=f"{accuracy:.1%}"))
        if head.score is None or accuracy >= head.score:
            unseen = LeftOut(np.arange(len(targets)), features.train @ weight.T + bias)  # by a head of other images
            head = replace(head, weight=weight, bias=bias, score=accuracy, left_out=unseen)
    set_head(network, head)
    return head


def set_head(network: Network, head: FittedHead) -> None:
    """Give the last layer of a network the weights of a fitted head."""
    layer = last_linear(network)
    assert layer is not None, "boundaries() has found one"
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))


def unseen_by_head(head: FittedHead, features: TrainingFeatures, logits: NDArray[np.float32] | None) -> Unseen | None:
    """Return features and logits of the training images that cross-validation left out, and of validation images."""
    parts = [] if head.left_out is None else [Unseen(features.train[head.left_out.positions], head.left_out.logits)]
    if features.val is not None and logits is not None:
        parts.append(Unseen(features.val, logits))
    if not parts:
        return None
    return Unseen(*(np.concatenate(arrays) for arrays in zip(*map(astuple, parts), strict=True)))


def left_out_by(head: FittedHead, targets: NDArray[Any]) -> LabelledOutputs | None:
    """Return what heads of cross-validation say of the training images that each left out; None without any."""
    if head.left_out is None:
        return None
    return LabelledOutputs(outputs=head.left_out.logits, targets=targets[head.left_out.positions])


def fitted(plan: Plan, features: NDArray[np.float32]) -> FittedHead:
    """Return the head that fits features of the training images best."""
    return plan.task.fit_head(features, plan.train.targets, plan.card, plan.loss, plan.loop.seed)


def _pretrained_head(plan: Plan, transfer: TransferPlan) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the rows of the pretrained head, where the classes are among those that it was trained on."""
    if not plan.task.exclusive or isinstance(transfer.weights, Path):
        return None
    place = {name.casefold(): i for names in (imagenet_classes(), imagenet_synsets()) for i, name in enumerate(names)}
    names = [name.casefold().replace("_", " ") for name in plan.card.classes]
    rows = [place[name] for name in names if name in place]
    if len(rows) < len(names):
        return None
    network, _ = load_pretrained(plan.card.model, transfer.weights)
    layer = last_linear(network) if isinstance(network, Network) else None
    if layer is None:
        return None
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return weight[rows], bias[rows]


def validation_score(logits: NDArray[np.float32], plan: Plan, val: Labelled[Images]) -> Score:
    """Return score and negative loss of the head alone on the validation images."""
    objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
    predicted, targets = torch.from_numpy(logits), torch.from_numpy(val.targets)
    weights = objective.validation_weights(val.targets)
    loss = validation_mean(objective.validation_losses(predicted, targets), weights)
    return validation_mean(objective.correct(predicted, targets), weights), -loss
