"""Print the results of training and of the drawing verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.cli.printing import print_line, print_notes
from hubel.cli.tables import print_table
from hubel.core.progress import duration, say
from hubel.core.shell import shell_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hubel.explain.output import OutputFolder
    from hubel.training.pairs import PairsResult
    from hubel.training.search.tune import TuneResult
    from hubel.training.train import RunResult

__all__ = ["print_figures", "print_numbers", "print_pairs_result", "print_training_result", "print_tuning_result"]

_MOST_TRIALS = 12  # in the table; leaderboard.csv has all
_FEW_PHASES = 2  # of a run that only trains; the table shows their time already


def print_training_result(result: RunResult) -> int:
    """Print the final table of a run; return the exit code of the command."""
    if result.rank:  # rank 0 prints
        return 128 + result.stopped_by if result.stopped_by else 0
    if result.evaluation is None:
        command = shell_command("hubel", "train", "--resume", "--out", result.folder)
        say(f"stopped; all progress is saved. Continue with: {command}")
        return 128 + result.stopped_by
    rows = result.evaluation.rows(result.split)
    rows.append(("training time", duration(60 * result.minutes)))
    if result.images_per_second:
        rows.append(("training speed", f"{result.images_per_second:,.0f} images/s"))
    print_numbers(result.folder, rows)
    if len(result.seconds) > _FEW_PHASES:
        print_table(["phase", "time"], [(name, f"{spent:.1f} s") for name, spent in result.seconds.items()])
    print_notes(result.notes)
    print_line(f"model   {result.model}")
    print_line(f"report  {result.report}")
    if result.evaluation.accuracy is not None:
        print_line(f"use it  {shell_command('hubel', 'predict', result.folder, 'IMAGE...')}")
    if result.folds is not None:
        print_line(f"folds   {result.folds.sentence()}: {result.folder / 'folds' / 'report.html'}")
    for line in result.advice:
        print_line(f"next    {line}")
    return 0


def print_pairs_result(result: PairsResult) -> int:
    """Print what a training on pairs found; return the exit code of the command."""
    found = (result.texts, result.images)
    rows = [
        *(
            (f"recall@{k}", *(f"{getattr(one, f'recall_at_{k}'):.1%}".replace("%", " %") for one in found))
            for k in (1, 5, 10)
        ),
        ("median rank", *(f"{one.median_rank:,.0f} of {one.candidates:,}" for one in found)),
    ]
    print_table([f"{result.held_out:,} other pairs", "captions find images", "images find captions"], rows)
    print_line(f"{result.pairs:,} pairs, trained for {duration(result.seconds)}")
    print_notes(result.notes)
    print_line(f"model   {result.model}")
    print_line(f"use it  {shell_command('hubel', 'search', 'FOLDER', 'WORDS', '--encoder', result.folder)}")
    return 0


def print_numbers(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    """Print the numbers of an evaluation: rows of name, value and, where there is one, 95 % interval."""
    print_table(["", str(folder), "95% interval"], [(*row, "", "")[:3] for row in rows])


def print_tuning_result(result: TuneResult) -> int:
    """Print the trials of a search, the best first, and the table of the final run; return the exit code."""
    from hubel.training.search.record import LEADERBOARD, settings_text

    trials = sorted(result.trials, key=lambda row: (row.score is None, -(row.score or 0.0)))
    rows = [
        (
            str(row.number),
            settings_text(result.settings[row.number]),
            "-" if row.score is None else f"{row.score:.4f}",
            f"{row.seconds:.1f} s",
        )
        for row in trials[:_MOST_TRIALS]
    ]
    print_table(["trial", "settings that differ", result.metric.replace("_", " "), "time"], rows)
    print_line(f"taken   trial {result.best}: {result.reason}")
    print_line(f"trials  {result.folder / LEADERBOARD}")
    if result.run.evaluation is None:
        print_line(f"model   {result.run.model}")
        print_line(f"recipe  {result.config}")
        say(f"stopped; continue with: {shell_command('hubel', 'tune', '--resume', '--out', result.folder)}")
        return 128 + result.stopped_by
    print_training_result(result.run)
    print_line(f"again   {shell_command('hubel', 'train', 'DATA', '--config', result.config)}")
    return 0


def print_figures(outcome: OutputFolder) -> int:
    """Print the table of figures, the unreadable images and the folder; return the exit code."""
    print_table(outcome.columns, outcome.rows)
    for problem in outcome.problems:
        say(f"unreadable: {problem.name}: {problem.reason}")
    print_line(f"figures  {outcome.folder}")
    return 3 if outcome.problems else 0
