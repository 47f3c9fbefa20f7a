"""`hubel bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import print_json, print_line

if TYPE_CHECKING:
    from hubel.export.bench.report import Benchmark, BenchmarkRow


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
    root: Root = None,
    json: bool = False,
) -> int:
    """Benchmark models on this machine with each engine: latency, throughput, start time, memory.

    Each row is measured in a process of its own, from resized images to scores, without decoding.

    Exit codes: 0 success, 1 a model could not be measured at all, 2 wrong usage.

    Args:
        models: exported files; or model files, folders of runs and networks by their names, which run in torch and are
            exported for the other engines. Nothing is downloaded: missing weights are replaced by random ones.
        seconds: duration of each measurement.
        engine: torch, onnxruntime or openvino; may be repeated. All that are installed if not given.
        batch: batch size for throughput; several sizes are tried if not given.
        threads: threads of the computation; one per core if not given.
        int8: measure models that are exported in int8, too.
        data: images for the calibration of int8; noise if not given, which is good for timing only.
        root: folder that the paths of a table start at.
        json: print the numbers as JSON instead of a table.
    """
    from hubel.export.bench.run import BenchmarkSettings, benchmark

    settings = BenchmarkSettings(
        seconds=seconds,
        engines=tuple(engine or ()),
        batch=batch,
        threads=threads,
        int8=int8,
        data=data and rooted(data, root),
    )
    found = benchmark(models, settings)
    if json:
        print_json(found.record())
        return 1 if found.failed else 0
    _show(found)
    for row in found.rows:
        if row.error:
            print_line(f"failed  {row.model} {row.configuration}: {row.error}")
    for sentence in found.best():
        print_line(f"best    {sentence}")
    for note in found.notes():
        print_line(f"note    {note}")
    print(_MEANING)
    return 1 if found.failed else 0


# The last column, the share of the processor that other programs used, is shown only if it matters.
_COLUMNS = (
    "model", "engine", "precision", "start s", "p50 ms", "p95 ms", "p99 ms", "images/s", "batch", "x", "memory MiB",
    "others",
)  # fmt: skip
_MEANING = (
    "\nFrom resized images to scores, without decoding. start: time until a new process has its first result; p50, "
    "p95, p99: latency of single images;\nimages/s: at the best batch size; x: speed relative to the model's "
    "first row; memory: peak of the process, libraries included."
)


_ALL = 120  # columns of a terminal that shows the whole table
_PARTS = ((4, 5, 6, 7, 8, 9), (3, 10, 11))  # indices in `_COLUMNS`: two tables that fit a terminal of 80 columns


def _show(found: Benchmark) -> None:
    """Print one table; or two per model if it would not fit the terminal, so that no number is broken in two."""
    from hubel.cli.tables import print_table

    rows = [_cells(row, ratio) for row, ratio in zip(found.rows, found.ratios, strict=True)]
    shown = len(_COLUMNS) - (not found.disturbed)
    if not _narrow():
        print_table(_COLUMNS[:shown], [row[:shown] for row in rows])
        return
    for model in dict.fromkeys(row.model for row in found.rows):
        for part, title in zip(_PARTS, (model, ""), strict=True):
            indices = [index for index in part if index < shown]
            lines = [(f"{row[1]} {row[2]}", *(row[index] for index in indices)) for row in rows if row[0] == model]
            print_table(("engine", *(_COLUMNS[index] for index in indices)), lines, title=title)


def _narrow() -> bool:
    import shutil
    import sys

    return sys.stdout.isatty() and shutil.get_terminal_size().columns < _ALL


def _cells(row: BenchmarkRow, ratio: float | None) -> tuple[str, ...]:
    """Return the cells of a row; a dash stands for a missing value."""
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
