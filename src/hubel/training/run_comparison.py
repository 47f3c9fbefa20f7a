"""Compare runs that were measured on the same images with the best of them, image by image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.metrics.intervals import PairedDifference, compare_paired
from hubel.training.run_folder import RunSummary

__all__ = ["differences_to_best"]


def differences_to_best(runs: Sequence[RunSummary]) -> list[PairedDifference | None]:
    """Return the difference of each run's accuracy to that of the best run on the same test images.

    None for the best run itself, and for runs without one to compare with: not finished, without an accuracy, alone
    with their test images, or made before `predictions.csv` was.

    Args:
        runs: as `summarise_runs` returns them, the best of each dataset first.
    """
    best: dict[str, RunSummary] = {}
    answers: dict[Path, NDArray[np.bool_] | None] = {}
    found: list[PairedDifference | None] = []
    for run in runs:
        first = best.setdefault(run.images_digest, run) if run.images_digest and run.score is not None else run
        if first is run:
            found.append(None)
            continue
        for one in (run, first):
            if one.path not in answers:
                answers[one.path] = _right(one.path / "predictions.csv")
        mine, bests = answers[run.path], answers[first.path]
        same = mine is not None and bests is not None and len(mine) == len(bests)
        found.append(compare_paired(mine, bests) if same and mine is not None and bests is not None else None)
    return found


def _right(path: Path) -> NDArray[np.bool_] | None:
    """Return which images were predicted correctly, `(n,)`; None where the table cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
            label, prediction = header.index("label"), header.index("prediction")
            return np.array([row[label] == row[prediction] for row in rows], bool)
    except (OSError, ValueError, LookupError, csv.Error):
        return None
