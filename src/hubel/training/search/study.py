"""The study of a search: Optuna suggests parameters and prunes trials; its journal is a file of JSON lines."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubel.core.errors import CheckpointError
from hubel.core.packages import missing_package
from hubel.data.reading import one_line
from hubel.training.search.space import DEPTH, HEAD, START, Space

__all__ = ["SKIPPED", "Study", "TrialRow", "check_optuna"]

SKIPPED = "skipped"
_ROW = "row"  # the attribute of a trial in the journal that holds its `TrialRow`
_NAME = "hubel tune"
_KEPT = 60  # percent of trials that go on where they are compared
_COMPARED_FROM, _COMPARED_WITH = 3, 3  # tenths of a trial; trials that are finished
_RANDOM = 6  # trials before the sampler learns from them
_BALANCE = "balance"
# Single changes of the best trial so far, in this order: setting, place of the value.
_CHANGES = (
    ("epochs", 1), ("lr", 1), ("augment", 1), ("label_smoothing", 1), ("views", 1), ("balance", 1), ("freeze", 2),
    ("ema", 1), ("weight_decay", 1), ("augment", 2), ("lr", 2), ("batch_size", 1), ("augment", 3), ("weight_decay", 2),
    ("epochs", 2),
)  # fmt: skip
_BEST_FEATURES = 2  # starts whose upper stages are tuned, by the scores of their heads
_LEADERS = 4  # trials that are made again on more images, beside the default recipe
_DAMAGE = (LookupError, TypeError, ValueError, AssertionError, AttributeError, RecursionError)  # what Optuna raises
_SAMPLED = 3  # every third trial after the first ones is the sampler's


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial that has come to an end.

    Attributes:
        number: from 0 on, which is the default recipe.
        params: parameters.
        state: "complete", "pruned", "failed" or "skipped".
        score: on the images of the first fold that were set aside; higher is better. None if it was not measured.
        seconds: that it took.
        note: why it has no score.
        sample: images that taught.
        measuring: seconds of the measurement, which are among those of the trial.
    """

    number: int
    params: Mapping[str, Any]
    state: str
    score: float | None
    seconds: float
    note: str
    sample: int
    measuring: float = 0.0


class Study:
    """Trials of a space, kept in a journal.

    Args:
        journal: the file; a study that is in it goes on.
        space: of the settings.
        seed: of the sampler.

    Attributes:
        sample: number of images that trials train on from now on; 0 as long as that is open.

    Raises:
        CheckpointError: the journal is damaged, or of another search.
        MissingPackageError: Optuna is not installed.
    """

    def __init__(self, journal: Path, space: Space, seed: int) -> None:
        check_optuna()
        _cut_torn_line(journal)
        try:
            self._open(journal, space, seed)
        except _DAMAGE as error:
            raise CheckpointError(f"{journal} is damaged ({one_line(error)}); start a new search") from None

    def _open(self, journal: Path, space: Space, seed: int) -> None:
        with _quiet():
            import optuna
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            # The folder has a lock of its own; one that a killed process has left behind would be waited for.
            journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
            backend = JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal)))
            self._optuna = optuna
            self._study = optuna.create_study(
                study_name=_NAME,
                storage=JournalStorage(backend),
                direction="maximize",
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=_RANDOM),
                pruner=optuna.pruners.PercentilePruner(
                    _KEPT, n_startup_trials=_COMPARED_WITH, n_warmup_steps=_COMPARED_FROM
                ),
            )
        self._space = space
        self._trial: Any = None
        self.sample = 0
        state = optuna.trial.TrialState
        for stale in self._study.get_trials(states=[state.RUNNING]):  # of a process that was killed
            self._study.tell(stale.number, state=state.FAIL)
            self._study.enqueue_trial(stale.params or {START: space.default.name})
        for row in self.rows:
            if (name := row.params[START]) not in space.starts:
                raise LookupError(f"it has a trial of {name}, which is none of the networks at hand")
            if min(row.number, row.seconds, row.sample, row.measuring) < 0 or not isinstance(
                row.score, int | float | None
            ):
                raise ValueError(f"its trial {row.number} has other numbers than trials have")

    @property
    def rows(self) -> list[TrialRow]:
        """All trials that have come to an end, in order."""
        trials = self._study.get_trials(deepcopy=False)
        return [TrialRow(**trial.user_attrs[_ROW]) for trial in trials if _ROW in trial.user_attrs]

    @property
    def made(self) -> list[TrialRow]:
        """Trials that were begun, in order."""
        return [row for row in self.rows if row.state != SKIPPED]

    @property
    def complete(self) -> list[TrialRow]:
        """The measured trials on the most images that the default recipe was measured on, the best first."""
        return self._ranked(self.sample)

    def leaders(self, sample: int) -> list[dict[str, Any]]:
        """Return parameters of the trials that are made again on so many images: the default recipe and the best."""
        default = self._space.default.params()
        others = [dict(row.params) for row in self._ranked(sample - 1) if row.params != default]
        return [default, *others[:_LEADERS]]

    def _ranked(self, most: int) -> list[TrialRow]:
        scored = [row for row in self.rows if row.score is not None and row.sample <= most]
        default = self._space.default.params()
        sample = max((row.sample for row in scored if row.params == default), default=0)
        return sorted((row for row in scored if row.sample == sample), key=lambda row: -(row.score or 0.0))

    def ask(self) -> dict[str, Any]:
        """Return the parameters of the next trial, which `tell` ends."""
        waiting = self._study.get_trials(deepcopy=False, states=[self._optuna.trial.TrialState.WAITING])
        planned = None if waiting else self._planned()
        with _quiet():
            if planned is not None:
                self._study.enqueue_trial(planned)
            self._trial = self._study.ask()
            return self._suggest(self._trial)

    def prune(self, score: float, done: float) -> bool:
        """Return whether the trial under way is to be given up.

        Args:
            score: on the validation images of its training; higher is better.
            done: share of its epochs.
        """
        tenth = int(10 * done)
        if tenth >= 10:
            return False
        with _quiet():
            self._trial.report(score, tenth)
            return bool(self._trial.should_prune())

    def tell(
        self,
        params: Mapping[str, Any],
        state: str,
        *,
        score: float | None = None,
        seconds: float = 0.0,
        note: str = "",
        measuring: float = 0.0,
    ) -> TrialRow:
        """End the trial under way."""
        states = self._optuna.trial.TrialState
        ends = {"complete": states.COMPLETE, "pruned": states.PRUNED}
        row = TrialRow(
            number=len(self.made),
            params=dict(params),
            state=state,
            score=score,
            seconds=round(seconds, 3),
            note=note,
            sample=self.sample,
            measuring=round(measuring, 3),
        )
        with _quiet():
            self._trial.set_user_attr(_ROW, dataclasses.asdict(row))
            self._study.tell(self._trial, score if state == "complete" else None, state=ends.get(state, states.FAIL))
        return row

    def _suggest(self, trial: Any) -> dict[str, Any]:
        start = self._space.starts[trial.suggest_categorical(START, tuple(self._space.starts))]
        params: dict[str, Any] = {START: start.name}

        def choose(name: str) -> None:
            key = start.key(name)
            params[key] = trial.suggest_categorical(key, tuple(range(len(start.values[name]))))

        if DEPTH in start.values:
            choose(DEPTH)
        only_head = DEPTH in start.values and start.value(params, DEPTH) == HEAD
        for name in start.values:
            if name != DEPTH and (not only_head or name == _BALANCE):
                choose(name)
        return params

    def _planned(self) -> dict[str, Any] | None:
        """Return the parameters of the next trial as long as they are not the sampler's; None then.

        The default recipe comes first; then the heads on cached features, which are cheap and show what the features
        of a network are worth; then the networks, those with the best features first; then single changes of the best
        trial so far. Where trials learn from more images than before, the leaders of those come first.
        """
        tried = [dict(row.params) for row in self.rows if row.sample == self.sample]
        if not tried:
            return self._space.default.params()
        for params in self.leaders(self.sample) if self._ranked(self.sample - 1) else self._firsts():
            if self._trimmed(params) not in tried:
                return params
        if len(tried) % _SAMPLED == 0 or not self.complete:
            return None
        best = self.complete[0]
        start = self._space.starts[best.params[START]]
        base = dict(best.params)
        if DEPTH in start.values and start.value(base, DEPTH) == HEAD:
            base = start.params()
        for name, place in _CHANGES:
            if len(start.values.get(name, ())) > place and base.get(start.key(name), 0) != place:
                changed = {**base, start.key(name): place}
                if self._trimmed(changed) not in tried:
                    return changed
        return None

    def _firsts(self) -> Iterator[dict[str, Any]]:
        scores = {}
        for start in self._space.starts.values():
            if (heads := start.heads()) is not None:
                yield heads
                trimmed = self._trimmed(heads)
                scores[start.name] = max(
                    (row.score or 0.0 for row in self.complete if row.params == trimmed), default=-1
                )
        best = sorted(scores, key=lambda name: -scores[name])[:_BEST_FEATURES]
        for start in self._space.starts.values():
            if start.name in best or start.name not in scores:  # from scratch there are no features to judge by
                yield start.params()

    def _trimmed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters without those that do not count where only the head is trained."""
        start = self._space.starts[params[START]]
        if DEPTH not in start.values or start.value(params, DEPTH) != HEAD:
            return dict(params)
        keys = {START, *(start.key(name) for name in (DEPTH, _BALANCE) if name in start.values)}
        return {name: value for name, value in params.items() if name in keys}


def _cut_torn_line(journal: Path) -> None:
    """Cut off the last line of a journal if it has no end, as a process leaves it that was killed, or a full disk."""
    if not journal.exists():
        return
    if not journal.is_file():
        raise CheckpointError(f"{journal} is no file; start a new search")
    with journal.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def check_optuna() -> None:
    """Import Optuna, or say how to install it.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_package(error) from None


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
