"""`hubel runs`."""

from __future__ import annotations

from pathlib import Path


def runs(folder: Path = Path("runs")) -> int:
    """Compare the runs of this folder side by side, the best of each data set first.

    Args:
        folder: what holds the folders of the runs.
    """
    from hubel.cli.show import table
    from hubel.core.errors import DataError
    from hubel.training.folder import summaries

    found = summaries(folder)
    if not found:
        raise DataError(f"{folder}: no run in this folder; make one with hubel train")
    rows = [
        (run.data, run.model, f"{run.score:.2%}" if run.score is not None else "unfinished",
         f"{run.macro_f1:.4f}" if run.macro_f1 is not None else "", f"{run.images:,}" if run.images else "", str(run.path))
        for run in found
    ]  # fmt: skip
    table(["data", "model", "accuracy", "macro F1", "images", "folder"], rows)
    return 0
