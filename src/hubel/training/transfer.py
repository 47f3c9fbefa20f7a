"""Transfer learning: a head on the features of a pretrained network first, then its last stages, as far as that helps.

The frozen part runs once over each view of each image (`hubel.features.extractor`). The head is fitted to its features
before anything is tuned (Kumar et al. 2022, arXiv:2202.10054: fine-tuning from a random head distorts good features),
so there is a usable model within seconds. What is tuned after that replaces it only if it is better on the validation
images.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.data.loading import Labelled, Samples, blank_input
from hubel.features.extractor import FeatureExtractor, Features
from hubel.features.logits import head_logits
from hubel.features.probe import fit_probe, neighbours_accuracy
from hubel.features.views import views_policy
from hubel.nn.freezing import ALL, NONE, Tuned, between, boundaries, last_linear, last_stages
from hubel.nn.network import Network
from hubel.tasks.objective import Classification
from hubel.training.freeze_policy import Decision, Evidence, decide, views_for
from hubel.training.loop import NOTHING
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.weights.create import create_model, load_pretrained
from hubel.weights.imagenet import imagenet_classes, imagenet_synsets

__all__ = ["Tuning", "prepare"]

_BATCH = 256  # maps that are averaged at once
_FEW = 20_000  # images up to which batch norms keep the statistics of the millions that they were trained on


@dataclass
class Tuning:
    """A network with a fitted head, and what is to be tuned.

    Attributes:
        network: with the best head for its features.
        tuned: the part that learns; None where the head is all.
        train: what it learns from: maps, or images.
        val: what chooses the epoch, likewise.
        recipe: with the number of epochs decided.
        score: validation score and negative loss of the head alone.
        notes: what was found and decided, in sentences.
        seconds: spent, by phase.
        logits: of the head alone for the validation images.
    """

    network: Network
    tuned: Tuned | None
    train: Labelled[Samples]
    val: Labelled[Samples]
    recipe: Recipe
    score: tuple[float, float]
    notes: list[str]
    seconds: dict[str, float]
    logits: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class _Features:
    """Features `(n, d)` of the images that teach and of those that choose, and means of the maps below `(n, c)`."""

    train: NDArray[np.float32]
    val: NDArray[np.float32]
    below: NDArray[np.float32] | None = None


def prepare(plan: Plan, device: torch.device, keep: Callable[[nn.Module], None], tell: Callable[[str], None]) -> Tuning:
    """Everything before the first step of tuning.

    Args:
        plan: with weights to start from.
        device: where to compute.
        keep: called with the network as soon as it has a fitted head.
        tell: takes what a person should know.

    Raises:
        WeightsError: the weights cannot be had.
    """
    recipe, seconds, notes = plan.recipe, dict[str, float](), list[str]()

    def note(text: str) -> None:
        notes.append(text)
        tell(text)

    def frozen(boundary: str) -> FeatureExtractor:
        n = len(plan.train.images)
        expected = n * (1 if ALL in (boundary, recipe.freeze) else recipe.views or views_for(n))
        return FeatureExtractor(
            network,
            plan.card,
            boundary,
            engine=recipe.engine,
            threads=recipe.threads,
            expected=expected,
            views=views_policy(recipe.augment, plan.card.preprocess),
            tell=tell,
        )

    with _clock(seconds, "loading weights"):
        network = _pretrained(plan).to(device)
        known = boundaries(network)
        lower = last_stages(network, blank_input(plan.card.preprocess, device))
        lower = recipe.freeze if recipe.freeze not in ("auto", ALL, NONE) else lower
        part = frozen(lower)
    score, probe, below, logits = NOTHING, 0.0, None, None
    if ALL in known:
        with _clock(seconds, "frozen part"):
            features = _look(plan, network, part, frozen(ALL))
        with _clock(seconds, "linear head"):
            probe, below = _fit_head(plan, network, features, note)
            logits = head_logits(network, features.val)
            score = _score(logits, plan)
        keep(network)
        held_out = "" if plan.keeps_last else f": its head alone is right for {score[0]:.1%} of the validation images"
        tell(f"a first model is saved{held_out}")
    evidence = Evidence(len(plan.train.images), len(plan.card.classes), probe, below, lower, tuple(known))
    decision = decide(evidence, recipe.freeze)
    note(decision.reason)
    recipe = dataclasses.replace(recipe, epochs=recipe.epochs or max(1, decision.epochs))
    train: Labelled[Samples]
    val: Labelled[Samples]
    train, val, tuned = plan.train, plan.val, None
    if decision.freeze != ALL:
        with _clock(seconds, "frozen part"):
            train, val = _to_learn_from(plan, part, decision)
        few, from_maps = len(plan.train.images) <= _FEW, train is not plan.train
        tuned = Tuned(network, decision.freeze, from_maps=from_maps, hold_norms=few, hold_depthwise=few and from_maps)
    return Tuning(network, tuned, train, val, recipe, score, notes, seconds, logits)


def _pretrained(plan: Plan) -> Network:
    card = plan.card
    network = create_model(
        card.model,
        weights=plan.weights,
        num_classes=len(card.classes),
        in_channels=card.preprocess.channels,
        input_size=(card.preprocess.height, card.preprocess.width),
        options=card.options,
    )
    if not isinstance(network, Network):
        raise OptionError(f"{card.model} has no stages of which some could be frozen; add --weights none")
    return network.eval()


def _look(plan: Plan, network: Network, part: FeatureExtractor, whole: FeatureExtractor) -> _Features:
    """What the frozen part makes of the images as they are; through the maps that tuning needs later, if any."""
    images = [plan.train.images, plan.val.images]
    if plan.recipe.freeze in (ALL, NONE) or not part.room_for(images, 1):
        train, val = (whole.maps(some) for some in images)
        return _Features(_floats(train), _floats(val))
    maps = [part.maps(some) for some in images]
    layers = between(network, part.boundary, ALL)
    train, val = (whole.maps_above(some, layers) for some in maps)
    batches = (batch.pixels.astype(np.float32) for batch in maps[0].in_sequence(_BATCH))
    below = [pixels.mean((1, 2)) if pixels.ndim == 4 else pixels for pixels in batches]
    return _Features(_floats(train), _floats(val), np.concatenate(below))


def _floats(found: Features) -> NDArray[np.float32]:
    return found.take(np.arange(len(found))).astype(np.float32)


def _fit_head(
    plan: Plan, network: Network, features: _Features, note: Callable[[str], None]
) -> tuple[float, float | None]:
    """Give the network its head; how right a linear head is on its features, and on the maps below the last stages."""
    targets, classes, seed = plan.train.targets, len(plan.card.classes), plan.recipe.seed
    probe = fit_probe(features.train, targets, classes, seed=seed)
    below = fit_probe(features.below, targets, classes, seed=seed).accuracy if features.below is not None else None
    nearest = neighbours_accuracy(features.train, targets, classes)
    note(
        f"on frozen features, cross-validated: linear head {probe.accuracy:.1%} right, nearest neighbours {nearest:.1%}"
    )
    weight, bias, accuracy = probe.weight, probe.bias, probe.accuracy
    if own := _own_head(plan):
        right = float(((features.train @ own[0].T + own[1]).argmax(1) == targets).mean())
        note(f"all classes are ImageNet's: the network as it is is right for {right:.1%} of the training images")
        if right >= accuracy:
            (weight, bias), accuracy = own, right
    layer = last_linear(network)
    assert layer is not None
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return accuracy, below


def _own_head(plan: Plan) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The rows of the pretrained head, where the classes are among those that the network was trained on."""
    if plan.train.targets.ndim == 2 or not isinstance(plan.weights, str):
        return None
    place = {name.casefold(): i for names in (imagenet_classes(), imagenet_synsets()) for i, name in enumerate(names)}
    names = [name.casefold().replace("_", " ") for name in plan.card.classes]
    rows = [place[name] for name in names if name in place]
    if len(rows) < len(names):
        return None
    network, _ = load_pretrained(plan.card.model, plan.weights)
    layer = last_linear(network) if isinstance(network, Network) else None
    if layer is None:
        return None
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return weight[rows], bias[rows]


def _score(logits: NDArray[np.float32], plan: Plan) -> tuple[float, float]:
    """Of the head alone on the validation images: the share that is right, and the negative loss."""
    objective = Classification.of(plan.recipe, plan.train.targets, torch.device("cpu"))
    said, targets = torch.from_numpy(logits), torch.from_numpy(plan.val.targets)
    loss = objective.plain_losses(said, targets).double().mean()
    return float(objective.right(said, targets).double().mean()), -float(loss)


def _to_learn_from(
    plan: Plan, part: FeatureExtractor, decision: Decision
) -> tuple[Labelled[Samples], Labelled[Samples]]:
    """Maps of the boundary, as many views as the cache has room for; the images themselves where that is none."""
    if decision.freeze == NONE:
        return plan.train, plan.val
    images = [plan.train.images, plan.val.images]
    wanted = plan.recipe.views or (1 if plan.recipe.augment == "none" else decision.views)
    views = next((number for number in range(wanted, 0, -1) if part.room_for(images, number)), 0)
    if not views:
        return plan.train, plan.val
    train, val = part.maps(plan.train.images, views), part.maps(plan.val.images)
    return Labelled(train, plan.train.targets), Labelled(val, plan.val.targets)


@contextmanager
def _clock(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        seconds[phase] = seconds.get(phase, 0.0) + time.monotonic() - started
