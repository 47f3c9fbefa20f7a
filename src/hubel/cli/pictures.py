"""What was drawn, for the person who asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.cli.show import table
from hubel.core.progress import say

if TYPE_CHECKING:
    from hubel.explain.output import OutputFolder

__all__ = ["said"]


def said(outcome: OutputFolder) -> int:
    """Print the table, what could not be read, and where everything is; the exit code of the command."""
    table(outcome.columns, outcome.rows)
    for problem in outcome.problems:
        say(f"unreadable: {problem.name}: {problem.reason}")
    print(f"pictures  {outcome.folder}")
    return 3 if outcome.problems else 0
