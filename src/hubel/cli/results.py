"""Print the results of training and of the drawing verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.cli.printing import print_line, print_notes
from hubel.cli.tables import print_table
from hubel.core.progress import duration, say
from hubel.core.shell import shell_command

if TYPE_CHECKING:
    from hubel.explain.output import OutputFolder
    from hubel.training.train import RunResult

__all__ = ["print_figures", "print_training_result"]

_FEW_PHASES = 2  # of a run that only trains; the table shows their time already


def print_training_result(result: RunResult) -> int:
    """Print the final table of a run; return the exit code of the command."""
    if result.evaluation is None:
        command = shell_command("hubel", "train", "--resume", "--out", result.folder)
        say(f"stopped; all progress is saved. Continue with: {command}")
        return 128 + result.stopped_by
    rows = result.evaluation.rows(result.split)
    rows.append(("training time", duration(60 * result.minutes)))
    if result.images_per_second:
        rows.append(("training speed", f"{result.images_per_second:,.0f} images/s"))
    print_table(["", str(result.folder)], rows)
    if len(result.seconds) > _FEW_PHASES:
        print_table(["phase", "time"], [(name, f"{spent:.1f} s") for name, spent in result.seconds.items()])
    print_notes(result.notes)
    print_line(f"model   {result.model}")
    print_line(f"report  {result.report}")
    if result.evaluation.accuracy is not None:
        print_line(f"use it  {shell_command('hubel', 'predict', result.folder, 'IMAGE...')}")
    for line in result.advice:
        print_line(f"next    {line}")
    return 0


def print_figures(outcome: OutputFolder) -> int:
    """Print the table of figures, the unreadable images and the folder; return the exit code."""
    print_table(outcome.columns, outcome.rows)
    for problem in outcome.problems:
        say(f"unreadable: {problem.name}: {problem.reason}")
    print_line(f"figures  {outcome.folder}")
    return 3 if outcome.problems else 0
