"""Decide whether the best trial replaces the default recipe.

The best of many trials is better on the images that it was chosen by than elsewhere, by luck. So it is confirmed on
other folds, whose images no trial was compared on, and taken only if it is better there beyond noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from hubel.core.progress import counted
from hubel.training.search.clock import Clock
from hubel.training.search.compare import Confirmation, compare
from hubel.training.search.folds import Folds
from hubel.training.search.forecast import Forecast
from hubel.training.search.study import Study, TrialRow
from hubel.training.search.trial import GiveUp, Measured, OnEpochOf, pooled_score

__all__ = ["Decider", "Decision", "Measure"]

_FEWER = 1.5  # so many times fewer images compare nearly as well


class Measure(Protocol):
    """Makes a trial of the settings `params` on a fold, and measures it."""

    def __call__(self, params: Mapping[str, Any], fold: int, sample: int, name: str, on_epoch: OnEpochOf) -> Measured:
        """Return the measured trial."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The recipe that is taken, and why.

    Attributes:
        trial: number of the trial whose recipe is taken.
        reason: one sentence: why.
        comparison: of the best trial with the default recipe; None where there was nothing to confirm, or no time.
    """

    trial: int
    reason: str
    comparison: Confirmation | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the values of `to_json`."""
        comparison = Confirmation(**values["comparison"]) if values["comparison"] else None
        return cls(trial=int(values["trial"]), reason=str(values["reason"]), comparison=comparison)


@dataclass(frozen=True, kw_only=True)
class Decider:
    """The trials, the time, and the means to confirm the best of them.

    Attributes:
        study: the trials.
        default: settings of the default recipe.
        folds: of the images.
        forecast: how long trials take.
        clock: the time.
        measure: makes a trial.
        tell: takes a line for the user.
        save: called now and then, to record the time that is spent.
        metric: name of what trials are compared by, in words.
        seed: of the resampling.
    """

    study: Study
    default: Mapping[str, Any]
    folds: Folds
    forecast: Forecast
    clock: Clock
    measure: Measure
    tell: Callable[[str], object]
    save: Callable[[], object]
    metric: str
    seed: int

    def decide(self) -> Decision:
        """Confirm the best trial against the default recipe on other folds.

        Raises:
            KeyboardInterrupt: somebody asks to stop.
        """
        complete = self.study.complete
        default = next((row for row in complete if row.params == self.default), None)
        if default is None or default.score is None:
            return Decision(trial=0, reason="the default recipe takes all of the time: there was none to try others")
        better = [row for row in complete if row.score is not None and row.score > default.score]
        if not better:
            made = len(self.study.made)
            if made == 1:
                return Decision(trial=0, reason="there was no time for another trial than the default recipe")
            return Decision(trial=0, reason=f"the default recipe is the best of {counted(made, 'trial')}")
        for best in better:
            if sample := self._confirmation(best):
                return self._confirm(best, sample)
        return self._unconfirmed(better[0])

    def _unconfirmed(self, best: TrialRow) -> Decision:
        reason = f"trial {best.number} leads, but there was no time to confirm it on other images"
        if (telling := self.folds.telling(best.sample)) > best.sample:
            reason = (
                f"trial {best.number} leads with {best.sample:,} training images, but there was no time to confirm it "
                f"with {telling:,}, and what leads with few may not lead with all"
            )
        return Decision(trial=0, reason=reason)

    def _confirmation(self, best: TrialRow) -> int:
        """Return on how many images there is time to train in a fold that confirms; 0 for none.

        So many that the most images compare, in two folds at most: that twice as many compare tells more than that a
        few more teach. Where not many fewer compare, more teach.
        """
        least = self.folds.telling(best.sample)
        left = self.clock.left - max(self.forecast.final(best.params), self.forecast.final(self.default))
        compared = dict[int, int]()
        for sample in self.folds.samples():
            pair = sum(self.forecast.confirmation(params, sample) for params in (best.params, self.default))
            if sample >= least and pair <= left:
                folds = self.folds.confirming(sample)[: 2 if 2 * pair <= left else 1]
                compared[sample] = sum(map(len, folds))
        enough = max(compared.values(), default=0) / _FEWER
        return max((sample for sample, images in compared.items() if images >= enough), default=0)

    def _confirm(self, best: TrialRow, sample: int) -> Decision:
        pairs: list[tuple[Measured, Measured]] = []
        latest = time.monotonic() + self.clock.left - self.forecast.final(best.params)

        def on_epoch(row: Mapping[str, float], epochs: int) -> None:
            self.save()
            if time.monotonic() > latest:
                raise GiveUp("pruned", "no time")

        for fold in range(1, len(self.folds)):
            if pairs and time.monotonic() + sum(part.seconds for part in pairs[-1]) > latest:
                break
            try:
                both = [
                    self.measure(params, fold, sample, f"fold-{fold}-{name}", on_epoch)
                    for name, params in (("default", self.default), ("best", best.params))
                ]
            except GiveUp:
                break
            pairs.append((both[0], both[1]))
            ours, theirs = both[1].score(), both[0].score()
            self.tell(
                f"confirmation {fold}: trial {best.number} {ours:.4f}, the default recipe {theirs:.4f}, on "
                f"{counted(len(both[0]), 'other image')}, with {sample:,} to learn from"
            )
            if sum((new.score() - old.score()) * len(new) for old, new in pairs) <= 0:
                break
        if not pairs:
            return self._unconfirmed(best)
        first, second = (pooled_score([pair[side] for pair in pairs]) for side in (0, 1))
        found = compare(first, second, sum(len(old) for old, _ in pairs), self.seed)
        shown = (
            f"trial {best.number} is {found.difference:+.4f} in {self.metric} against the default recipe on "
            f"{counted(found.images, 'image')} that no trial was compared on (at least {found.lower:+.4f} with 95 % "
            "confidence)"
        )
        if found.better:
            return Decision(trial=best.number, reason=f"{shown}: it is taken", comparison=found)
        reason = f"{shown}: that may be noise, so the default recipe is kept"
        return Decision(trial=0, reason=reason, comparison=found)
