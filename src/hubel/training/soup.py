"""Weight soups: the mean of the weights of several runs from the same start, as one network that costs as much as one.

The greedy soup of Wortsman et al. 2022 (arXiv:2203.05482, Recipe 1): the runs are sorted by their accuracy on held-out
images, and each is added if the accuracy of the mean does not fall. Runs of one start lie in one basin of the loss,
where the mean of weights is a good network; means of networks trained from scratch are not.

The images are the validation images of the runs, none of which taught any of them; test images are not looked at.
Averaged weights have other activations than each run, so where the statistics of batch norms differ between runs, those
of the mean are measured anew on training images (Izmailov et al. 2018, arXiv:1803.05407, Section 3.2); where the runs
kept them, they are what they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubel.core.errors import CheckpointError, OptionError
from hubel.core.outputs import output_file
from hubel.core.progress import counted
from hubel.data.loading import Images
from hubel.data.taught import Taught
from hubel.inference.device import device_of
from hubel.inference.forward import outputs
from hubel.inference.stream import batch_size
from hubel.metrics.tables import percent
from hubel.nn.network import Network
from hubel.training.plan import Plan
from hubel.training.run_folder import RunFolder
from hubel.training.train import plan_of_run
from hubel.weights.card import ModelCard
from hubel.weights.model_file import is_model_file, load_model, save_model

__all__ = ["Ingredient", "Soup", "soup"]

_LEAST_IMAGES = 50  # validation images; the accuracy on fewer is mostly noise
_NORM_IMAGES = 512  # training images that the statistics of batch norms are measured on
_STATISTICS = ("running_mean", "running_var")

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A run that a soup was offered.

    Attributes:
        name: its folder.
        accuracy: on the validation images, 0 to 1.
        added: it is a part of the soup.
    """

    name: str
    accuracy: float
    added: bool


@dataclass(frozen=True, kw_only=True)
class Soup:
    """A weight soup.

    Attributes:
        path: model file.
        ingredients: the runs, the most accurate first.
        accuracy: of the soup on the validation images, 0 to 1.
        images: number of these images.
        norms: statistics of batch norms were measured anew.
    """

    path: Path
    ingredients: tuple[Ingredient, ...]
    accuracy: float
    images: int
    norms: bool

    @property
    def columns(self) -> list[str]:
        """Return the headings of `rows`."""
        return ["", f"accuracy ({self.images:,} validation images)", "in the soup"]

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each run, and one for the soup."""
        runs = [(one.name, f"{percent(one.accuracy, 2)}%", "yes" if one.added else "no") for one in self.ingredients]
        return [*runs, ("soup", f"{percent(self.accuracy, 2)}%", "")]

    def lines(self) -> list[str]:
        """Return the result as lines of text."""
        used = sum(one.added for one in self.ingredients)
        best = self.ingredients[0]
        gain = self.accuracy - best.accuracy
        if used == 1:
            said = f"no other run makes {best.name} better: the soup is that run alone"
        elif gain > 0:
            said = f"the mean of {used} runs is {100 * gain:.1f} points better than the best of them"
        else:
            said = f"the mean of {used} runs is as accurate as the best of them"
        return [
            f"result  {said}",
            *(["norms   the statistics of batch norms were measured anew on training images"] if self.norms else []),
            f"file    {self.path}",
        ]


def soup(runs: Sequence[str | Path], output: str | Path = "soup.safetensors") -> Soup:
    """Write the greedy soup of several runs as one model file.

    Args:
        runs: folders of two finished runs or more: the same network from the same pretrained weights, on the same data,
            with the same held-out images; other settings may differ.
        output: path of the model file.

    Raises:
        CheckpointError: a folder is no finished run, or its data has changed.
        OptionError: the runs cannot be averaged, or hold out too few images that taught none of them.
    """
    folders = [RunFolder(Path(run)) for run in runs]
    names = [str(run) for run in runs]
    if len({run.path.resolve() for run in folders}) < max(2, len(folders)):
        raise OptionError(f"a soup has at least two different runs, not {', '.join(names) or 'none'}")
    path = output_file(output, ours=is_model_file, inputs=[run.model for run in folders], flag="--output")
    if path.suffix.lower() != ".safetensors":
        raise OptionError(f"a soup is a model file: --output NAME.safetensors, not {path.name}; export it afterwards")
    configs = [run.config() for run in folders]
    for run in folders:
        if not run.finished:
            raise CheckpointError(f"{run.path} is not finished; only finished runs are averaged")
    loaded = [load_model(run.model) for run in folders]
    for one, _ in loaded:
        assert isinstance(one, Network), "a run from pretrained weights is one"
        one.novelty = None  # of the features of that run alone
    cards = [card for _, card in loaded]
    _check_alike(names, cards, configs)
    plan = plan_of_run(folders[0], configs[0])
    taught = reduce(or_, [Taught.read(card.provenance) for card in cards])
    _check_held_out(plan, taught)
    assert plan.val is not None, "checked above"
    network, images, targets = loaded[0][0], plan.val.images, plan.val.targets
    weights = [one.state_dict() for one, _ in loaded]

    def accuracy_of(mixed: Weights) -> float:
        network.load_state_dict(dict(mixed), assign=True)
        found = plan.task.evaluate_outputs(outputs(network, images), cards[0], images, targets).accuracy
        assert found is not None, "checked above"
        return found

    accuracies = [accuracy_of(one) for one in weights]
    order = sorted(range(len(weights)), key=lambda i: -accuracies[i])
    mixed: Weights = weights[order[0]]
    chosen, accuracy, norms = [order[0]], accuracies[order[0]], False
    for i in order[1:]:
        tried, anew = _mean(network, [weights[j] for j in (*chosen, i)], plan.train.images)
        if (found := accuracy_of(tried)) >= accuracy:
            chosen, mixed, accuracy, norms = [*chosen, i], tried, found, anew
    network.load_state_dict(dict(mixed), assign=True)
    card = _soup_card(names, cards, chosen, taught)
    card = plan.task.calibrate(outputs(network, images), targets, card) if plan.task.calibrates(card) else card
    save_model(path, network.state_dict(), card)
    return Soup(
        path=path,
        ingredients=tuple(Ingredient(name=names[i], accuracy=accuracies[i], added=i in chosen) for i in order),
        accuracy=accuracy,
        images=len(images),
        norms=norms,
    )


def _check_alike(names: Sequence[str], cards: Sequence[ModelCard], configs: Sequence[Mapping[str, Any]]) -> None:
    """Raise an OptionError where the runs are not of one network, one start and one set of data."""
    first, start = cards[0], _start(configs[0])
    if not first.classes or first.scores == "identity":
        raise OptionError(f"{names[0]} predicts no classes; a soup is chosen by accuracy")
    if start == "none":
        raise OptionError(
            f"{names[0]} starts from random weights, and the mean of such networks is worse than each of them; hubel "
            "ensemble without --soup averages their probabilities"
        )
    for name, card, config in zip(names[1:], cards[1:], configs[1:], strict=True):
        for what, found, expected in (
            ("the network", card.model, first.model),
            ("options of the network", dict(card.options), dict(first.options)),
            ("initial weights", _start(config), start),
            ("classes", card.classes, first.classes),
            ("preprocessing", card.preprocess, first.preprocess),
            ("data with the digest", config["fingerprint"], configs[0]["fingerprint"]),
        ):
            if found != expected:
                raise OptionError(f"{name} has {what} {found} and {names[0]} {expected}; a soup needs the same")


def _start(config: Mapping[str, Any]) -> str:
    """Return the initial weights that a run's settings name."""
    return str(config["recipe"]["transfer"]["weights"])


def _check_held_out(plan: Plan, taught: Taught) -> None:
    """Raise an OptionError where there are too few validation images that taught none of the runs."""
    held = 0 if plan.val is None else int((~taught.among(plan.val.images.digests)).sum())
    if held < _LEAST_IMAGES or held < len(plan.splits.val):
        raise OptionError(
            f"{counted(held, 'validation image')} of the first run taught none of the runs, and a soup is chosen on "
            f"{_LEAST_IMAGES} at least, all of them: train the runs with one --seed, so that they hold out the same "
            "images, and vary --augment, --lr or --epochs"
        )


def _mean(network: nn.Module, weights: Sequence[Weights], images: Images) -> tuple[Weights, bool]:
    """Return the mean of weights, and whether the statistics of batch norms were measured anew."""
    mixed = {
        name: torch.stack([one[name].double() for one in weights]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value.clone()
        for name, value in weights[0].items()
    }
    differing = any(
        not torch.equal(one[name], weights[0][name])
        for one in weights[1:]
        for name in weights[0]
        if name.endswith(_STATISTICS)
    )
    if not differing:
        return mixed, False
    network.load_state_dict(mixed, assign=True)
    _measure_norms(network, images)
    return {name: value.clone() for name, value in network.state_dict().items()}, True


def _measure_norms(network: nn.Module, images: Images) -> None:
    """Give each batch norm the mean statistics of batches of training images, without augmentation."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    some = images.subset(np.unique(np.linspace(0, len(images) - 1, min(_NORM_IMAGES, len(images))).astype(np.int64)))
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        for batch in some.in_sequence(batch_size(images.preprocess)):
            network(some.network_input(batch.pixels).to(device_of(network)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _soup_card(names: Sequence[str], cards: Sequence[ModelCard], chosen: Sequence[int], taught: Taught) -> ModelCard:
    origin = {name: value for name, value in cards[0].provenance.items() if name != "run"}
    members = [{"name": Path(names[i]).name, "network": cards[i].model} for i in chosen]
    return dataclasses.replace(
        cards[0].rescored(), provenance={**origin, "taught": taught.to_json(), "members": members, "soup": True}
    )
