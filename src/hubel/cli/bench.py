"""`hubel bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from hubel.export.bench.report import Bench, Row


EXAMPLES = (
    "hubel bench resnet18 efficientnet_lite0 --int8",
    "hubel bench model.onnx model.int8.onnx",
    "hubel bench runs/PHOTOS-efficientnet_lite0-1 --int8 --data PHOTOS --json",
)


def bench(
    *models: str,
    seconds: float = 5.0,
    engine: Annotated[list[str] | None, Parameter(name="--engine")] = None,
    batch: int | None = None,
    threads: int | None = None,
    int8: bool = False,
    data: str | None = None,
    json: bool = False,
) -> int:
    """Benchmark models on this machine with each engine: latency, throughput, start, memory.

    Each row is measured in a process of its own, from resized images to scores; decoding is not part of it. Exit code:
    0, or 1 if nothing of a model could be measured.

    Args:
        models: exported files; model files, folders of runs and networks by their names, which are run by torch, and
            exported for the other engines. Nothing is downloaded: weights that are not here are random.
        seconds: to measure for, for each row.
        engine: only this one, torch, onnxruntime or openvino; may be given again. All that are installed if not given.
        batch: images at once where there are many; several numbers are tried if not given.
        threads: to compute with; all cores if not given.
        int8: also in 8 bits, where models are exported for it.
        data: images to calibrate 8 bits with; noise if not given, and then such rows are good for timing only.
        json: print the numbers as JSON instead of a table.
    """
    import json as json_module

    from hubel.export.bench.run import Settings
    from hubel.export.bench.run import bench as run

    found = run(models, Settings(seconds, tuple(engine or ()), batch, threads, int8, data))
    if json:
        print(json_module.dumps(found.record(), indent=2, ensure_ascii=False))
        return 1 if found.failed else 0
    _show(found)
    for row in found.rows:
        if row.error:
            print(f"failed  {row.model} {row.way}: {row.error}")
    for sentence in found.best():
        print(f"best    {sentence}")
    for note in found.notes():
        print(f"note    {note}")
    print(_MEANING)
    return 1 if found.failed else 0


# The last one only where it matters: what other programs used of the processor meanwhile.
_COLUMNS = (
    "model", "engine", "precision", "start s", "p50 ms", "p95 ms", "p99 ms", "images/s", "batch", "x", "memory MiB",
    "others",
)  # fmt: skip
_MEANING = (
    "\nFrom resized images to scores, without decoding. start: until a new process has its first answer; p50, p95, "
    "p99: of single images;\nimages/s: at the best batch size; x: against the model's first row; memory: the most that "
    "the process held, libraries included."
)


_ALL = 120  # columns of a terminal that shows the whole table
_PARTS = ((4, 5, 6, 7, 8, 9), (3, 10, 11))  # of `_COLUMNS`, by their places: what fits a terminal of 80 columns


def _show(found: Bench) -> None:
    """One table; where it would not fit the terminal two for each model, so that no number is broken in two."""
    from hubel.cli.tables import print_table

    rows = [_cells(row, ratio) for row, ratio in zip(found.rows, found.ratios, strict=True)]
    shown = len(_COLUMNS) - (not found.disturbed)
    if not _narrow():
        print_table(_COLUMNS[:shown], [row[:shown] for row in rows])
        return
    for model in dict.fromkeys(row.model for row in found.rows):
        for part, title in zip(_PARTS, (model, ""), strict=True):
            places = [place for place in part if place < shown]
            lines = [(f"{row[1]} {row[2]}", *(row[place] for place in places)) for row in rows if row[0] == model]
            print_table(("engine", *(_COLUMNS[place] for place in places)), lines, title=title)


def _narrow() -> bool:
    import shutil
    import sys

    return sys.stdout.isatty() and shutil.get_terminal_size().columns < _ALL


def _cells(row: Row, ratio: float | None) -> tuple[str, ...]:
    """A line of the table; a dash stands for what is not known."""
    names = row.model, row.engine, row.precision
    if row.speed is None or row.startup_s is None or ratio is None:
        return *names, *"-" * (len(_COLUMNS) - len(names))
    speed = row.speed
    return (
        *names,
        f"{row.startup_s:.2f}",
        *(f"{value:,.2f}" for value in (speed.latency_p50_ms, speed.latency_p95_ms, speed.latency_p99_ms)),
        f"{speed.images_per_second:,.1f}",
        f"{speed.batch}",
        f"{ratio:.2f}",
        "-" if speed.peak_memory_mib is None else f"{speed.peak_memory_mib:,.0f}",
        "-" if speed.others_share is None else f"{speed.others_share:.0%}",
    )
