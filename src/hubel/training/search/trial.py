"""One trial: the training run of a recipe on a fold, measured on the images that are set aside there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.data.samples import Labelled
from hubel.features.logits import cached_logits
from hubel.inference.forward import outputs
from hubel.nn.network import Network
from hubel.tasks.task import Metric, Task
from hubel.training.execute import execute, training_context
from hubel.training.recipe import Recipe
from hubel.training.resolve import resolve
from hubel.training.run_folder import RunFolder
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model

__all__ = ["GiveUp", "Measured", "OnEpochOf", "pooled_score", "run_trial"]

#: Called after each epoch with its row of `metrics.csv`, and the number of all epochs; raises what ends the trial.
OnEpochOf = Callable[[Mapping[str, float], int], object]


class GiveUp(Exception):  # noqa: N818  # no error: a trial that is not worth its time
    """End a trial before its last epoch.

    Args:
        state: of the trial, as the study keeps it.
        note: why, for the user.
    """

    def __init__(self, state: str, note: str) -> None:
        super().__init__(note)
        self.state, self.note = state, note


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A trained model on the images that were set aside.

    Attributes:
        outputs: of the network, `(n, outputs)`.
        card: of the model.
        held: the images.
        metric: chooses between models.
        task: of the model.
        seconds: of the whole trial.
        measuring: seconds of the measurement alone.
    """

    outputs: NDArray[np.float32]
    card: ModelCard
    held: Labelled[Images]
    metric: Metric
    task: Task
    seconds: float
    measuring: float

    def __len__(self) -> int:
        return len(self.outputs)

    def score(self, positions: NDArray[np.int64] | None = None) -> float:
        """Return the score, on some of the images if positions are given; higher is better."""
        if positions is None:
            positions = np.arange(len(self))
        images = self.held.images.subset(positions)
        evaluation = self.task.evaluate_outputs(
            self.outputs[positions], self.card, images, self.held.targets[positions]
        )
        return self.metric.score(evaluation)


def pooled_score(parts: Sequence[Measured]) -> Callable[[NDArray[np.int64]], float]:
    """Return a function of positions in the images of several folds, one after the other: the mean of their scores.

    A fold counts by the number of its images.
    """
    ends = np.cumsum([len(part) for part in parts])

    def score(positions: NDArray[np.int64]) -> float:
        total = 0.0
        for part, end in zip(parts, ends.tolist(), strict=True):
            own = positions[(positions >= end - len(part)) & (positions < end)] - (end - len(part))
            total += part.score(own) * len(own) if len(own) else 0.0
        return total / len(positions)

    return score


def run_trial(
    recipe: Recipe,
    dataset: Dataset,
    task: Task,
    metric: Metric,
    folder: Path,
    *,
    on_epoch: OnEpochOf,
    keep: Callable[[Path, float], object] = lambda model, score: None,
) -> Measured:
    """Train, and measure; a trial that was interrupted goes on from its checkpoint.

    Args:
        recipe: of the trial.
        dataset: of the fold: its test images are those that are set aside.
        task: of the recipe.
        metric: chooses between models.
        folder: of the trial, removed at its end.
        on_epoch: see `OnEpochOf`.
        keep: called with the model file, and its score, before the folder is removed.

    Raises:
        KeyboardInterrupt: somebody asks to stop.
        HubelError: the recipe does not work.
    """
    started = time.monotonic()
    plan = resolve(recipe, dataset, task)
    folder.mkdir(parents=True, exist_ok=True)
    trained = execute(plan, folder, on_epoch=lambda row: on_epoch(row, plan.loop.epochs))
    if trained.stopped_by:
        raise KeyboardInterrupt
    measuring = time.monotonic()
    with training_context(plan):
        network, card = load_model(trained.path)
        network = network.to(plan.device)
        if isinstance(network, Network):
            found = cached_logits(network, plan.measured.images, card=card, boundary=trained.frozen)
        else:
            found = outputs(network, plan.measured.images)
    now = time.monotonic()
    measured = Measured(
        outputs=found,
        card=card,
        held=plan.measured,
        metric=metric,
        task=task,
        seconds=now - started,
        measuring=now - measuring,
    )
    keep(RunFolder(folder).model, measured.score())
    shutil.rmtree(folder, ignore_errors=True)
    return measured
