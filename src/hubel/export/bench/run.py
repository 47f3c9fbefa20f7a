"""Benchmark models on this machine: each engine and precision in a process of its own, one after the other.

Times run from resized images uint8 to scores; decoding and resizing are the same for every engine.
"""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata, util
from pathlib import Path

from hubel.core.errors import HubelError, OptionError
from hubel.core.progress import bar
from hubel.core.ranges import check_range
from hubel.core.resources import usable_cores
from hubel.data.sources.kind import Rooted
from hubel.export.bench import row as bench_row
from hubel.export.bench.machine import processor_name
from hubel.export.bench.models import TORCH, BenchmarkPlan, Candidate, plan_benchmark
from hubel.export.bench.report import Benchmark, BenchmarkRow, Machine
from hubel.export.bench.row import FIRST_RESULT, BenchmarkJob, Speed
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.inference.onnx_file import is_exported

__all__ = ["BenchmarkSettings", "benchmark"]

_TIMEOUT = 120, 10  # seconds, plus so many times the seconds of a row, after which a process counts as hung


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """The settings of a benchmark.

    Attributes:
        seconds: time to measure each row for after its start, in seconds.
        engines: engines to use; all that are installed if empty.
        batch: number of images in a batch; None tries several.
        threads: number of threads; None for hubel's default.
        int8: True to run models that are not exported in int8, too.
        data: images to calibrate int8 with, see `open_dataset`; None for noise.

    Raises:
        OptionError: a number is out of range, or `data` is given without `int8`.
    """

    seconds: float = 5.0
    engines: tuple[str, ...] = ()
    batch: int | None = None
    threads: int | None = None
    int8: bool = False
    data: str | Rooted | None = None

    def __post_init__(self) -> None:
        check_range("--seconds", self.seconds, 0.001, 3600)
        if self.batch is not None:
            check_range("--batch", self.batch, 1, 4096, whole=True, unit="images")
        if self.threads is not None:
            check_range("--threads", self.threads, 1, usable_cores(), whole=True, unit="on this machine")
        if self.data is not None and not self.int8:
            raise OptionError("--data has images to calibrate int8 with: give --int8, too")


def benchmark(models: Sequence[str], settings: BenchmarkSettings | None = None) -> Benchmark:
    """Measure models on every suitable engine; a row that fails states its reason.

    Args:
        models: models as `plan_benchmark` takes them.
        settings: settings of the measurement; defaults if None.

    Raises:
        OptionError: there is no model, or a setting does not suit any.
        HubelError: a model cannot be read.
    """
    settings = settings or BenchmarkSettings()
    models = list(dict.fromkeys(models))
    if not models:
        raise OptionError("name the models: hubel bench resnet18 model.onnx")
    if settings.int8 and all(map(is_exported, models)):
        raise OptionError(
            "--int8 is for models that are not exported; a .onnx file is run in the precision that it has"
        )
    with tempfile.TemporaryDirectory(prefix="hubel-bench-", ignore_cleanup_errors=True) as folder:
        plans = [
            plan_benchmark(
                model, Path(folder, str(i)), engines=settings.engines, int8=settings.int8, data=settings.data
            )
            for i, model in enumerate(models)
        ]
        rows = tuple(_measure_rows(plans, settings))
    threads = settings.threads or usable_cores()
    machine = Machine(cpu=processor_name(), cores=usable_cores(), threads=threads, versions=_versions())
    return Benchmark(rows=rows, machine=machine, remarks=tuple(note for plan in plans for note in plan.notes))


def _measure_rows(plans: Sequence[BenchmarkPlan], settings: BenchmarkSettings) -> Iterable[BenchmarkRow]:
    with bar("measuring", sum(len(plan.candidates) for plan in plans)) as progress:
        for plan in plans:
            for candidate in plan.candidates:
                progress.step(0, f"{plan.model} {candidate.engine} {candidate.precision}")
                row = BenchmarkRow(model=plan.model, engine=candidate.engine, precision=candidate.precision)
                yield _measure_row(row, candidate, settings)
                progress.step()


def _measure_row(row: BenchmarkRow, candidate: Candidate, settings: BenchmarkSettings) -> BenchmarkRow:
    try:
        file = candidate.file()
        startup_s, speed = _measure_in_process(
            BenchmarkJob(
                path=str(file),
                engine=candidate.engine,
                seconds=settings.seconds,
                batch=settings.batch,
                threads=settings.threads,
            )
        )
    except HubelError as error:
        return replace(row, error=_one_line(str(error)))
    except Exception as error:  # converters have exceptions of their own, and the other rows still count
        return replace(row, error=_one_line(f"{type(error).__name__}: {error!s:.300}"))
    return replace(row, startup_s=startup_s, speed=speed)


def _measure_in_process(job: BenchmarkJob) -> tuple[float, Speed]:
    """Measure a job in a new process; return the seconds until its first result, and the speed.

    Raises:
        OptionError: the process reports an error, hangs, or ends without a result.
    """
    command = [sys.executable, "-P", "-m", bench_row.__name__, json.dumps(asdict(job))]
    limit = _TIMEOUT[0] + _TIMEOUT[1] * job.seconds
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        assert child.stdout is not None
        timer = threading.Timer(limit, child.kill)
        timer.start()
        try:
            first = child.stdout.readline()
            startup_s = time.perf_counter() - started
            rest = child.stdout.read()
            code = child.wait()
        finally:  # Ctrl-C also
            timer.cancel()
            child.kill()
            child.wait()
            child.stdout.close()
        timed_out = time.perf_counter() - started > limit
        errors.seek(0)
        last = errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
    try:
        result = json.loads(rest if first.strip() == FIRST_RESULT else first)
    except ValueError:
        result = {"error": f"no result within {limit:g} s" if timed_out else _ending(code, last)}
    if "error" in result:
        raise OptionError(result["error"])
    return startup_s, Speed(**result["speed"])


def _ending(code: int, last: Sequence[str]) -> str:
    """Describe the end of a process that reported no reason."""
    if code >= 0:
        return f"its process ended with code {code}{''.join(f': {line:.300}' for line in last)}"
    name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
    return f"its process was ended by {name}{', as the system does when memory runs out' * (name == 'SIGKILL')}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _versions() -> dict[str, str]:
    torch = {TORCH: metadata.version(TORCH)} if util.find_spec(TORCH) else {}
    return {
        "hubel": metadata.version("hubel"),
        "python": platform.python_version(),
        **torch,
        **installed_onnx_engines(),
    }
