"""The state of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Progress"]


@dataclass
class Progress:
    """Where a run stands: with the tensors, all that it takes to go on.

    Attributes:
        epoch: epochs that are finished.
        step: steps that are finished in the epoch under way.
        epochs: epochs in all; fewer than the recipe's when time is short.
        divisor: parts into which a batch is divided because memory ran out.
        loss_sum: sum of the training losses of the epoch under way.
        right: how many images of the epoch under way the network named rightly while it learnt, changed as they were.
        seen: images of the epoch under way.
        seconds: time spent on the epoch under way.
        minutes: time spent on the whole run.
        best: validation score and negative loss of the best epoch.
        best_epoch: its number, from 1; 0 before there is one.
        history: a row of numbers for each finished epoch.
    """

    epochs: int
    epoch: int = 0
    step: int = 0
    divisor: int = 1
    loss_sum: float = 0.0
    right: int = 0
    seen: int = 0
    seconds: float = 0.0
    minutes: float = 0.0
    best: tuple[float, float] | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
