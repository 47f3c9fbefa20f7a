"""Tune a recipe: try settings on the images at hand within a time limit, and train the best one.

The test images are measured once, on the final model. Trials learn on some of the other images, and are compared on
images that are set aside (the first fold); whether the best one replaces the default recipe is decided on others, see
`hubel.training.search.decision`.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

from hubel.core.errors import CheckpointError, HubelError, OptionError, UnknownNameError
from hubel.core.files import user_path
from hubel.core.notes import marked, warnings_last
from hubel.core.outputs import hold_folder, make_folder, output_folder
from hubel.core.progress import counted, duration, silence
from hubel.core.ranges import check_range
from hubel.core.version import __version__
from hubel.data.sources.builtin import XO
from hubel.tasks.task import Metric
from hubel.training.plan import Plan
from hubel.training.processes.settings import check_one_process
from hubel.training.recipe import Recipe, refuse_settings
from hubel.training.recipe_file import modern
from hubel.training.resolve import plan_training, resolve
from hubel.training.run_folder import RunFolder
from hubel.training.search.clock import Clock
from hubel.training.search.compare import Confirmation
from hubel.training.search.decision import Decider, Decision
from hubel.training.search.record import SearchFolder, newest_unfinished_search, settings_text
from hubel.training.search.space import Space, make_space
from hubel.training.search.study import TrialRow, check_optuna
from hubel.training.search.trials import Trials
from hubel.training.train import RunResult, data_location, train_planned

__all__ = ["MINUTES", "TuneResult", "resume_tuning", "tune"]

MINUTES = 20.0  # where nobody says how long

_SIGINT = 2
_LEAST_MINUTES, _MOST = 0.01, 1_000_000  # minutes; minutes and trials
_SAVE = 5.0  # seconds between two records of the time that is spent


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """The result of a search.

    Attributes:
        folder: of the search, and of the final run.
        config: the recipe of the model, as `hubel train --config` takes it.
        recipe: the same.
        metric: name of what the trials were compared by.
        trials: all that were made, in order; 0 is the default recipe.
        settings: of each trial, by its number: what differs from the default recipe.
        best: number of the trial whose recipe was taken.
        comparison: of the best trial with the default recipe, on images that no trial was compared on; None where
            there was nothing to confirm, or no time.
        reason: one sentence: why this recipe was taken.
        run: the final training; without an evaluation when the search was stopped.
        stopped_by: number of the signal that stopped the search; 0 when it came to its end.
        seconds: from start to report.
    """

    folder: Path
    config: Path
    recipe: Recipe
    metric: str
    trials: Sequence[TrialRow]
    settings: Mapping[int, Mapping[str, Any]]
    best: int
    comparison: Confirmation | None
    reason: str
    run: RunResult
    stopped_by: int = 0
    seconds: float = 0.0
    notes: Sequence[str] = field(default_factory=tuple)


def tune(
    data: Any,
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    minutes: float = MINUTES,
    metric: str | None = None,
    models: Sequence[str] = (),
    trials: int | None = None,
    out: str | Path | None = None,
    xo: XO | None = None,
    quiet: bool = False,
    started: float | None = None,
    **unknown: Never,
) -> TuneResult:
    """Search settings for images within a time limit, and train a model with the best ones.

    The default recipe is the first trial. Another one is taken only if it is better beyond noise on images that the
    search has not compared trials on; the test images are measured once, at the end.

    Args:
        data: as for `hubel.train`.
        recipe: settings that stay as they are; the others are searched.
        minutes: time for everything: indexing, features, trials, final training, evaluation and report.
        metric: what settings are chosen by: accuracy, macro_f1, macro_recall or loss for classes; r2 or loss for
            numbers. The task's first one if None.
        models: networks to try, by name, or files of weights; those at hand if there are none: pretrained ones that
            need no download, and small ones from scratch for small images.
        trials: their number at most; as many as there is time for if None.
        out: folder of the search; a new one below `runs/` if None.
        xo: settings of the images when `data` is "xo".
        quiet: print nothing.
        started: when the time began, in seconds of `time.monotonic`; now if None.
        unknown: nothing; as for `hubel.train`.

    Raises:
        HubelError: the data or a setting cannot be used.
        MissingPackageError: Optuna is not installed: pip install "hubel[tune]".
    """
    refuse_settings("tune", unknown)
    begun = time.monotonic() if started is None else started
    base = Recipe.of(recipe)
    check_one_process(base)
    check_range("minutes", minutes, _LEAST_MINUTES, _MOST)
    if trials is not None:
        check_range("trials", trials, 1, _MOST, whole=True)
    if base.optimization.max_minutes is not None:
        raise OptionError("the time of a search is minutes; leave out max_minutes")
    check_optuna()  # before the images are indexed
    with silence() if quiet else nullcontext():
        target = output_folder(out, verb="tune", inputs=(data,))
        if target is not None:
            SearchFolder(target).check_new()  # before the images are indexed
        plan = plan_training(data, base, xo=xo)
        name, _ = _metric(plan, metric)
        space = make_space(plan, models)
        folder = SearchFolder(make_folder(target, verb="tune", name=f"{plan.dataset.source.name}-tune"))
        with RunFolder(folder.path).lock():
            folder.check_new()  # another process may have been first
            state = {
                "hubel": __version__,
                "data": data_location(data, plan),
                "xo": dataclasses.asdict(xo) if xo else None,
                "recipe": base.to_json(),
                "minutes": minutes,
                "metric": name,
                "trials": trials,
                "models": [str(model) for model in models],
                "fingerprint": plan.card.provenance["fingerprint"],
                "spent": 0.0,
                "sample": None,
                "decision": None,
            }
            clock = Clock(begun, 60 * minutes)
            return _Search(data, plan, space, folder, clock, state, xo).run()


def resume_tuning(
    folder: str | Path | None = None, *, minutes: float | None = None, quiet: bool = False, started: float | None = None
) -> TuneResult:
    """Go on with an unfinished search: the one in `folder`, or the newest one below `runs/`.

    Args:
        folder: of the search.
        minutes: time from now on; what is left of the search's own if None.
        quiet: print nothing.
        started: see `tune`.

    Raises:
        CheckpointError: there is no such search, it is finished, or its data has changed.
    """
    begun = time.monotonic() if started is None else started
    if minutes is not None:
        check_range("minutes", minutes, _LEAST_MINUTES, _MOST)
    records = SearchFolder(newest_unfinished_search() if folder is None else user_path(folder))
    records.read()  # before a lock is put where no search is
    with silence() if quiet else nullcontext(), RunFolder(records.path).lock():
        hold_folder(records.path)
        state = records.read()
        if records.finished:
            raise CheckpointError(f"{records.path} is finished; there is nothing to resume")
        if state["data"] is None:
            raise CheckpointError(f"{records.path} was made from arrays, which are gone; only files can be resumed")
        try:
            base = Recipe.from_json(modern(state["recipe"]))
            xo = XO.from_numbers(state["xo"]) if state["xo"] else None
            seconds = 60 * float(state["minutes"]) - float(state["spent"]) if minutes is None else 60 * minutes
        except (HubelError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{records.path / 'tune.json'}: {error}") from None
        plan = plan_training(state["data"], base, xo=xo)
        if plan.card.provenance["fingerprint"] != state["fingerprint"]:
            raise CheckpointError(f"{state['data']} has changed since {records.path} began; start a new search")
        space = make_space(plan, state["models"])
        return _Search(state["data"], plan, space, records, Clock(begun, seconds), state, xo).run()


def _metric(plan: Plan, name: str | None) -> tuple[str, Metric]:
    known = plan.task.metrics
    if plan.task.annotations:
        raise OptionError(
            f"hubel tune searches settings of classifiers and regressions, not of the task {plan.task.name}"
        )
    if not known:
        raise OptionError(f"the task {plan.task.name} has no metric that settings could be chosen by")
    name = name or next(iter(known))
    if name not in known:
        raise UnknownNameError("metric", name, known)
    return name, known[name]


class _Search:
    """A search under way."""

    def __init__(
        self,
        data: Any,
        plan: Plan,
        space: Space,
        folder: SearchFolder,
        clock: Clock,
        state: dict[str, Any],
        xo: XO | None,
    ) -> None:
        self.data, self.plan, self.space, self.folder, self.clock, self.state = data, plan, space, folder, clock, state
        self.xo = xo
        self.metric_name, self.metric = _metric(plan, state["metric"])
        self.run_folder = RunFolder(folder.path)
        self._earlier = float(state["spent"])
        self._saved = -math.inf
        self.trials = Trials(
            plan=plan,
            space=space,
            folder=folder,
            clock=clock,
            metric=self.metric,
            most=state["trials"],
            save=self._save,
            made=self._made,
        )
        self.study, self.folds, self.forecast = self.trials.study, self.trials.folds, self.trials.forecast
        self.study.sample = state["sample"] or 0

    def run(self) -> TuneResult:
        """Search, confirm, train, measure."""
        self._announce()
        self._save(force=True)
        try:
            if self.state.get("decision") is None:
                self.trials.make()
                self.state["decision"] = self._decide().to_json()
                self._save(force=True)
        except KeyboardInterrupt:
            return self._stopped()
        return self._finish(self._decided())

    def _decided(self) -> Decision:
        """Return the decision in the records.

        Raises:
            CheckpointError: they have been edited, or the trial that it takes is gone.
        """
        try:
            decision = Decision.from_json(self.state["decision"])
        except (LookupError, TypeError, ValueError):
            decision = None
        if decision is None or decision.trial not in {0, *(row.number for row in self.study.made)}:
            raise CheckpointError(f"{self.folder.path}: its records do not have the trial that was decided on")
        return decision

    def _decide(self) -> Decision:
        decider = Decider(
            study=self.study,
            default=self.space.default.params(),
            folds=self.folds,
            forecast=self.forecast,
            clock=self.clock,
            measure=self.trials.measure,
            tell=self.run_folder.tell,
            save=self._save,
            metric=self._metric_text,
            seed=self.plan.loop.seed,
        )
        decision = decider.decide()
        shutil.rmtree(self.folder.trials, ignore_errors=True)
        return decision

    # End ------------------------------------------------------------------------------------------------------

    def _finish(self, decision: Decision) -> TuneResult:
        number, reason = decision.trial, decision.reason
        self.run_folder.tell(reason)
        plan = self._plan_of(number)
        config = self.folder.write_best(plan.pinned, f"hubel tune: {reason}")
        self._write_leaderboard()
        params = self._params_of(number)
        left = self.clock.left - self.forecast.after_training(params)
        if any(row.state == "complete" for row in self.study.rows):
            # The limit changes nothing unless the machine has become slower since; then time is no reason to spoil the
            # model: what the trials of this recipe took, it gets.
            left = max(left, self.forecast.training(params))
        limited = dataclasses.replace(
            plan,
            notes=(*plan.notes, reason),
            loop=dataclasses.replace(plan.loop, max_minutes=max(1.0, left) / 60),
        )
        run = train_planned(self.data, limited, self.xo, self.run_folder)
        self._save(force=True)
        return self._result(decision, plan, config, run)

    def _params_of(self, number: int) -> Mapping[str, Any]:
        return next((row.params for row in self.study.made if row.number == number), self.space.default.params())

    def _plan_of(self, number: int) -> Plan:
        if number == 0:
            return self.plan
        return resolve(self.space.recipe(self._params_of(number)), self.plan.dataset, self.plan.task)

    def _stopped(self) -> TuneResult:
        """Return the best so far."""
        complete = self.study.complete
        number = complete[0].number if complete and complete[0].params != self.space.default.params() else 0
        reason = f"stopped after {counted(len(complete), 'trial')}; trial {number} leads, which is not confirmed"
        if number == 0:
            reason = f"stopped after {counted(len(complete), 'trial')}; the default recipe leads"
        plan = self._plan_of(number)
        config = self.folder.write_best(plan.pinned, f"hubel tune: {reason}")
        self._write_leaderboard()
        self._save(force=True)
        run = RunResult(folder=self.folder.path, model=self.run_folder.model, stopped_by=_SIGINT)
        return self._result(Decision(trial=number, reason=reason), plan, config, run)

    def _result(self, decision: Decision, plan: Plan, config: Path, run: RunResult) -> TuneResult:
        return TuneResult(
            folder=self.folder.path,
            config=config,
            recipe=plan.pinned,
            metric=self.metric_name,
            trials=self.study.made,
            settings=self._settings(),
            best=decision.trial,
            comparison=decision.comparison,
            reason=decision.reason,
            run=run,
            stopped_by=run.stopped_by,
            seconds=self.clock.spent,
            notes=tuple(self.space.notes),
        )

    # Records --------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        splits = self.plan.splits
        for note in warnings_last([*self.plan.notes, *self.space.notes]):
            self.run_folder.tell(marked(note))
        self.run_folder.tell(
            f"{self.plan.dataset.name}: {len(self.folds.rows):,} images to search with; {len(splits.test):,} to test, "
            "which the search does not see"
        )
        self.run_folder.tell(f"networks: {', '.join(self.space.starts)}")
        self.run_folder.tell(
            f"{duration(self.clock.left)} for everything; chosen by {self._metric_text}; folder {self.folder.path}"
        )

    @property
    def _metric_text(self) -> str:
        return self.metric_name.replace("_", " ")

    def _settings(self) -> dict[int, dict[str, Any]]:
        return {row.number: self.space.settings(row.params) for row in self.study.made}

    def _write_leaderboard(self) -> None:
        self.folder.write_leaderboard(self.study.made, self._settings())

    def _made(self, row: TrialRow) -> None:
        score = row.note if row.score is None else f"{self._metric_text} {row.score:.4f}"
        settings = settings_text(self.space.settings(row.params))
        self.run_folder.tell(f"trial {row.number}: {score}, {duration(row.seconds)}; {settings}")
        self._write_leaderboard()
        self._save(force=True)

    def _save(self, *, force: bool = False) -> None:
        """Record how much of the time is spent."""
        if force or time.monotonic() - self._saved > _SAVE:
            self.state["spent"] = round(self._earlier + self.clock.spent, 1)
            self.state["sample"] = self.trials.sample or None
            self.folder.write(self.state)
            self._saved = time.monotonic()
