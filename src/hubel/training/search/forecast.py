"""Predict how long the parts of a search take on this machine, from what they have taken so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubel.training.search.cost import Costs
from hubel.training.search.folds import Folds
from hubel.training.search.space import START, Space

__all__ = ["SLOWER", "Forecast"]

_REPORT = 8.0  # seconds of figures, report and calibration
SLOWER = 1.15  # the machine may be slower than in the trials before


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds of what is still to be done; `params` are those of a trial.

    Attributes:
        space: of the settings.
        folds: of the images.
        costs: what trials have taken.
        measured: number of the images that measure the result.
    """

    space: Space
    folds: Folds
    costs: Costs
    measured: int

    def trial(self, params: Mapping[str, Any], sample: int) -> float:
        """Return the seconds of a trial that learns on so many images."""
        start, held = self.space.starts[params[START]], self.folds.measured(sample)
        return self.costs.training(start, params, sample) + self.costs.measuring(start, params, held, again=True)

    def confirmation(self, params: Mapping[str, Any], sample: int) -> float:
        """Return the seconds of a trial on another fold."""
        start, held = self.space.starts[params[START]], len(self.folds.confirming(sample)[0])
        training = self.costs.training(start, params, sample, other_fold=True)
        return training + self.costs.measuring(start, params, held)

    def training(self, params: Mapping[str, Any]) -> float:
        """Return the seconds of the final training."""
        return self.costs.training(self.space.starts[params[START]], params, len(self.folds.rows))

    def after_training(self, params: Mapping[str, Any]) -> float:
        """Return the seconds of the final measurement and its report."""
        return _REPORT + SLOWER * self.costs.measuring(self.space.starts[params[START]], params, self.measured)

    def final(self, params: Mapping[str, Any]) -> float:
        """Return the seconds of the final training with its measurement and report."""
        return SLOWER * self.training(params) + self.after_training(params)
