"""`hubel runs`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel runs",
    "hubel runs experiments",
)


def runs(folder: Path = Path("runs"), /) -> int:
    """Compare the runs in a folder, the best of each dataset first.

    Runs that were measured on the same images are compared with the best of them image by image: the difference in
    points has a 95% interval, and says so where it may be chance.

    Args:
        folder: folder that contains the folders of the runs.
    """
    from hubel.cli.tables import print_table
    from hubel.core.errors import DataError
    from hubel.metrics.tables import percent, percent_range
    from hubel.training.run_comparison import differences_to_best
    from hubel.training.run_folder import differing_settings, summarise_runs

    found = summarise_runs(folder)
    if not found:
        raise DataError(f"{folder}: no run in this folder; make one with hubel train")
    squared = ["squared error"] if any(run.mse is not None for run in found) else []
    differences = differences_to_best(found)
    compared = ["to the best"] if any(differences) else []
    numbers = [
        (
            "-" if run.score is None else f"{percent(run.score, 2)}%",
            "-" if run.interval is None else percent_range(run.interval),
            *(["" if difference is None else difference.in_points()] if compared else []),
            "-" if run.macro_f1 is None else f"{run.macro_f1:.4f}",
            *(["-" if run.mse is None else f"{run.mse:.4f}"] if squared else []),
            "-" if run.images is None else f"{run.images:,}",
            run.split or "-",
        )
        for run, difference in zip(found, differences, strict=True)
    ]
    differing = differing_settings(found)
    different = ["settings that differ"] if any(differing) else []
    rows = [
        (run.data, run.model, *values, str(run.path), *([settings] if different else []))
        for run, values, settings in zip(found, numbers, differing, strict=True)
    ]
    columns = ["data", "model", "accuracy", "95% interval", *compared, "macro F1", *squared, "images", "measured on"]
    print_table([*columns, "folder", *different], rows)
    for run in found:
        if run.damaged:
            print_line(f"warning  {run.path / 'metrics.json'} is damaged")
    if not all(run.finished for run in found):
        print("-  not finished; continue with: hubel train --resume --out FOLDER")
    return 0
