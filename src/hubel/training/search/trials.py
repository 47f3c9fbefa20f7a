"""Make the trials of a search: settings that the study asks for, as many as there is time for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hubel.core.errors import HubelError
from hubel.core.progress import duration
from hubel.tasks.task import Metric
from hubel.training.plan import Plan
from hubel.training.run_folder import RunFolder
from hubel.training.search.clock import Clock
from hubel.training.search.cost import Costs
from hubel.training.search.folds import Folds
from hubel.training.search.forecast import SLOWER, Forecast
from hubel.training.search.record import SearchFolder
from hubel.training.search.space import START, Space
from hubel.training.search.study import SKIPPED, Study, TrialRow
from hubel.training.search.trial import GiveUp, Measured, run_trial

__all__ = ["Trials"]

_DEFAULT_SHARE, _DEFAULT_AT_MOST = 0.06, 0.2  # of the time: what a trial of the default recipe may take
_CONFIRMING, _FEW = 2, 6  # folds that there should be time for after the search; one after only a few trials,
_MANY = 1.5  # or where so many times as many images measure as are set aside: those that do not teach
_LOOKED = 0.25  # share of its time after which a trial is judged by its speed
_SLACK = 1.3  # a trial may take so many times as long as was predicted
_EXPLORING = 0.4  # share of the time after which trials learn from more images, if there is time for that
_JUDGED = 200  # validation images: with fewer, three points between two trials are noise, and none is given up for it
_NOTHING_NEW = 25  # suggestions in a row that were tried already, or take too long


class Save(Protocol):
    """Records how far the search is."""

    def __call__(self, *, force: bool = False) -> None:
        """Do so; without `force` only now and then."""


@dataclass(kw_only=True, eq=False)
class Trials:
    """The trials of a search that were made, and those that are still to be made.

    Attributes:
        plan: of the default recipe.
        space: of the settings.
        folder: of the search.
        clock: the time.
        metric: chooses between models.
        most: number of trials; as many as there is time for if None.
        save: called now and then.
        made: called with each trial that was made.
        folds: of the images.
        costs: what trials have taken.
        forecast: how long others take.
        study: the records, from which the next settings follow.
    """

    plan: Plan
    space: Space
    folder: SearchFolder
    clock: Clock
    metric: Metric
    most: int | None
    save: Save
    made: Callable[[TrialRow], object]
    folds: Folds = field(init=False)
    costs: Costs = field(init=False)
    forecast: Forecast = field(init=False)
    study: Study = field(init=False)

    def __post_init__(self) -> None:
        self.folds, self.costs = Folds.of(self.plan), Costs()
        self.forecast = Forecast(
            space=self.space, folds=self.folds, costs=self.costs, measured=len(self.plan.measured.images)
        )
        self.study = Study(self.folder.journal, self.space, self.plan.loop.seed)
        self.run_folder = RunFolder(self.folder.path)
        for row in self.study.rows:
            self.remember(row)

    @property
    def sample(self) -> int:
        """Number of images that trials train on; 0 as long as that is open."""
        return self.study.sample

    def make(self) -> None:
        """Try settings as long as that is worth it: many on few images, the best of them on more."""
        sample = self.sample or self._first_sample()
        while sample:
            self.study.sample = sample
            self.run_folder.tell(
                f"trials learn on {sample:,} images and are compared on {self.folds.measured(sample):,} others"
            )
            self.save(force=True)
            sample = self._larger_sample() if self._explore() else 0

    def _explore(self) -> bool:
        """Try settings on a number of images; return whether there is reason to go on with more of them."""
        vain = 0
        while vain < _NOTHING_NEW and not self._enough():
            if self._explored and self._larger_sample():
                return True
            params = self.study.ask()
            if reason := self._not_worth(params):
                self.study.tell(params, SKIPPED, note=reason)
                vain += 1
                continue
            vain = 0
            if not self._try(params):
                return False
        return not self._over()

    @property
    def _explored(self) -> bool:
        """Enough of the time has gone into trials, some of them on so many images."""
        known = any(row.sample == self.sample for row in self.study.complete)
        return known and self.clock.spent > _EXPLORING * self.clock.seconds

    def _enough(self) -> bool:
        """Return whether no trial of this size follows."""
        return bool(self.study.made) and (self._over() or not self._room(self.space.default.params()))

    def _over(self) -> bool:
        """Return whether the search is over, by number or because nothing is left to be won."""
        best = self.study.complete[0].score if self.study.complete else None
        perfect = best is not None and best == self.metric.best
        return perfect or len(self.study.made) == self.most

    def _first_sample(self) -> int:
        """Return how many images the trials train on, so that there is time for several."""
        params = self.space.default.params()
        most = _DEFAULT_SHARE * self.clock.seconds
        for size in self.folds.samples():
            if self.forecast.trial(params, size) <= most:
                break
        return size

    def _larger_sample(self) -> int:
        """Return the most images, more than now, on which there is time to try the best trials again; 0 for none."""
        for size in self.folds.samples():
            if size <= self.sample:
                break
            leaders = self.study.leaders(size)
            trials = sum(self.forecast.trial(params, size) for params in leaders)
            if trials + max(self._deciding(params, size) for params in leaders) <= self.clock.left:
                return size
        return 0

    def _not_worth(self, params: Mapping[str, Any]) -> str:
        if any(row.params == params and row.sample == self.sample for row in self.study.made):
            return "tried already"
        return "" if not self.study.rows or self._room(params) else "no time"

    def _room(self, params: Mapping[str, Any]) -> bool:
        """Return whether there is time for a trial, and for what follows if it is the best one."""
        needed = self.forecast.trial(params, self.sample) + self._deciding(params, self.sample)
        return needed <= self.clock.left

    def _deciding(self, params: Mapping[str, Any], sample: int) -> float:
        """Return the seconds of what follows the trials if this one is the best of them."""
        default, times, telling = self.space.default.params(), self.forecast, self.folds.telling(sample)
        pair = times.confirmation(params, telling) + times.confirmation(default, telling)
        return self._confirming(telling) * pair + max(times.final(params), times.final(default))

    def _confirming(self, telling: int) -> int:
        many = len(self.folds.confirming(telling)[0]) >= _MANY * len(self.folds.held[1])
        return 1 if many or len(self.study.complete) < _FEW else _CONFIRMING

    def _try(self, params: Mapping[str, Any]) -> bool:
        """Make a trial; return whether the search can go on."""
        number = len(self.study.made)
        first = number == 0
        judged = self.folds.validated(self.sample) >= _JUDGED
        began = time.monotonic()
        latest = self._latest(params, first=first)
        first_ended = 0.0

        def on_epoch(row: Mapping[str, float], epochs: int) -> None:
            self.save()
            nonlocal first_ended
            now, done = time.monotonic(), row["epoch"] / epochs
            # The first epoch takes longer than the others: images are decoded, memory is allocated.
            first_ended = first_ended or now
            needed = (now - began) + (epochs - row["epoch"]) * (now - first_ended) / max(1, row["epoch"] - 1)
            # What a short time shows is the load of the machine.
            if done < 1 and began + needed > latest and now - began > _LOOKED * (latest - began):
                raise GiveUp("pruned", f"would have taken {duration(needed)}")
            if self.study.prune(_epoch_score(row, self.metric), done) and judged:
                raise GiveUp("pruned", f"behind the others after {row['epoch']:.0f} of {epochs} epochs")

        def keep(model: Path, score: float) -> None:
            complete = self.study.complete
            if not complete or complete[0].sample < self.sample or score > (complete[0].score or 0.0):
                shutil.copyfile(model, self.run_folder.model)

        state, score, note, measuring = "complete", None, "", 0.0
        try:
            measured = self.measure(params, 0, self.sample, f"{number}", on_epoch, keep)
            score = measured.score()
            measuring = measured.measuring
        except GiveUp as error:
            state, note = error.state, error.note
            if first and self._smaller_sample(time.monotonic() - began):
                return self._try(params)
        except (HubelError, RuntimeError, MemoryError) as error:
            if first:
                raise
            state, note = "failed", " ".join(str(error).split())
        seconds = time.monotonic() - began
        row = self.study.tell(params, state, score=score, seconds=seconds, note=note, measuring=measuring)
        self.remember(row)
        shutil.rmtree(self.folder.trials, ignore_errors=True)
        self.made(row)
        return not first or state == "complete"

    def remember(self, row: TrialRow) -> None:
        """Learn from a trial how long others take."""
        if row.state == "complete":
            start, held = self.space.starts[row.params[START]], self.folds.measured(row.sample)
            self.costs.record(start, row.params, row.sample, held, row.seconds, row.measuring)

    def _latest(self, params: Mapping[str, Any], *, first: bool) -> float:
        """Return the time at which a trial has to be over, in seconds of the monotonic clock."""
        now = time.monotonic()
        if first:
            return now + _DEFAULT_AT_MOST * self.clock.seconds
        default = self.space.default.params()
        telling = self.folds.telling(self.sample)
        folds = self._confirming(telling)
        share = 1 + (folds * telling + SLOWER * len(self.folds.rows)) / max(1, self.sample)
        confirming = folds * self.forecast.confirmation(default, telling)
        left = self.clock.left - self.forecast.after_training(params) - confirming
        # It was said to fit in; that it takes a little longer is no reason to waste what was done.
        return now + max(0.0, left / share, _SLACK * self.forecast.trial(params, self.sample))

    def _smaller_sample(self, seconds: float) -> bool:
        """Choose fewer images for the trials, where those of now take too long; return whether there are any."""
        smaller = [size for size in self.folds.samples() if size < self.sample]
        if not smaller:
            return False
        self.study.sample = smaller[0]
        self.save(force=True)
        shutil.rmtree(self.folder.trials, ignore_errors=True)
        self.run_folder.tell(f"the default recipe takes too long: trials learn on {self.sample:,} images")
        return True

    def measure(
        self, params: Mapping[str, Any], fold: int, sample: int, name: str, on_epoch: Any, keep: Any = None
    ) -> Measured:
        """Make a trial of settings on a fold; see `run_trial`."""
        return run_trial(
            self.space.recipe(params),
            self.folds.data(fold, sample),
            self.plan.task,
            self.metric,
            self.folder.trials / name,
            on_epoch=on_epoch,
            **({"keep": keep} if keep else {}),
        )


def _epoch_score(row: Mapping[str, float], metric: Metric) -> float:
    """Return what an epoch is compared by: the share that is right on the validation images, or their loss."""
    shares = [value for name, value in row.items() if name.startswith("val_") and name != "val_loss"]
    if shares and not metric.lower:
        return shares[0]
    return -row["val_loss"] if "val_loss" in row else -row["train_loss"]
