"""The state of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["NO_SCORE", "TrainingProgress"]

NO_SCORE = (-1.0, 0.0)  # score and negative loss below those of every network


@dataclass(kw_only=True)
class TrainingProgress:
    """Progress of a run: with the tensors, all that it takes to go on.

    Attributes:
        epochs: epochs in all; fewer than planned when time is short.
        epoch: epochs that are finished.
        step: steps that are finished in the epoch under way.
        parts: into which a batch is divided because memory ran out.
        loss_sum: sum of the training losses of the epoch under way.
        correct: how many images of the epoch under way were predicted correctly, augmented as they were; see
            `Objective.correct`.
        seen: images of the epoch under way.
        seconds: time spent on the epoch under way.
        minutes: time spent on the whole run.
        first_minutes: of these, until the first epoch was finished.
        best: validation score and negative loss of the best epoch.
        best_epoch: its number, from 1; 0 before there is one.
        history: a row of numbers for each finished epoch.
        recipe: that the run was begun with, in JSON's values; empty in a checkpoint of an earlier hubel.
    """

    epochs: int
    epoch: int = 0
    step: int = 0
    parts: int = 1
    loss_sum: float = 0.0
    correct: float = 0.0
    seen: int = 0
    seconds: float = 0.0
    minutes: float = 0.0
    first_minutes: float = 0.0
    best: tuple[float, float] | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Training speed of the epoch under way."""
        # A resumed epoch has time only for what this checkpoint has seen: both are saved together.
        return self.seen / self.seconds if self.seconds else 0.0
