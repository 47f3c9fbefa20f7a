"""Give a trained classifier its rule for images of none of its classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.progress import counted
from hubel.data.loading import Images
from hubel.features.novelty import fit_novelty
from hubel.inference.forward import outputs
from hubel.nn.freezing import last_linear, with_features
from hubel.nn.network import Network
from hubel.tasks.task import Task
from hubel.weights.card import ModelCard
from hubel.weights.novelty_rule import NoveltyRule

__all__ = ["Unseen", "add_novelty", "unseen_by"]


@dataclass(frozen=True, eq=False)
class Unseen:
    """Features and logits of images that a network has not learned from.

    Attributes:
        features: inputs of the last layer, `(n, d)`.
        logits: `(n, classes)`.
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]


def unseen_by(network: nn.Module, images: Images) -> Unseen:
    """Compute what a network says of images that are held out; no features where it has no last linear layer."""
    layer = last_linear(network) if isinstance(network, Network) else None
    if layer is None or not isinstance(network, Network):
        logits = outputs(network, images)
        return Unseen(np.empty((len(logits), 0), np.float32), logits)
    both = outputs(with_features(network), images)
    return Unseen(both[:, : layer.in_features], both[:, layer.in_features :])


def add_novelty(
    network: nn.Module, card: ModelCard, task: Task, unseen: Unseen | None, *, reject: float, seed: int
) -> tuple[ModelCard, str]:
    """Give a network its score of novelty; return the card with the rule, and one sentence for the user.

    The card is unchanged where there can be no rule, and the sentence says why. It is "" where nobody asks for a rule.

    Args:
        network: to which the score is added.
        card: of the network.
        task: of the network.
        unseen: what the network says of images that it has not learned from; None where there are none.
        reject: share of the images of the classes that may be taken for images of none; 0 for no rule.
        seed: of the choice of images.
    """
    if not reject or not task.knows_novelty:
        return card, ""
    if not isinstance(network, Network) or last_linear(network) is None:
        reason = "is a class of your own" if card.own else "ends in no linear layer"
        return card, f"{card.model} {reason}, so that it never answers unknown"
    held_out = 0 if unseen is None else len(unseen.features)
    fitted = None if unseen is None else fit_novelty(unseen.features, unseen.logits, reject=reject, seed=seed)
    if fitted is None:
        images = counted(held_out, "held-out image") if held_out else "no image is held out"
        missing = f"{images} {'is' if held_out == 1 else 'are'} too few" if held_out else images
        return card, f"{missing} to choose a threshold with, so that the model never answers unknown"
    network.novelty = fitted.module().to(next(network.parameters()).device)
    rule = NoveltyRule(
        reject=float(reject), threshold=fitted.threshold, rank=fitted.directions.shape[1], images=fitted.images
    )
    which = counted(fitted.images, "held-out image")
    said = f'answers "unknown" where the novelty of an image is above that of {1 - reject:.1%} of {which}'
    return replace(card, novelty=rule), said
