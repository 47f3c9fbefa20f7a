"""How fast models are on this machine: each engine and precision in a process of its own, one after the other.

What is measured lies between resized images uint8 and scores; decoding and resizing are the same for every engine.
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
from hubel.core.resources import usable_cores
from hubel.export.bench import row as bench_row
from hubel.export.bench.machine import processor
from hubel.export.bench.models import TORCH, Candidate, Plan, plan
from hubel.export.bench.report import Bench, Machine, Row
from hubel.export.bench.row import ANSWERED, Job, Speed
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.inference.onnx_file import is_exported

__all__ = ["Settings", "bench"]

_PATIENCE = 120, 10  # seconds, and times the seconds of a row, after which a process is taken to hang


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        seconds: for each row, after its start.
        engines: the only ones to use; all that are installed if empty.
        batch: images at once; None to try several numbers.
        threads: to compute with; None for as many as hubel takes by itself.
        int8: whether models that are not exported are to be run in 8 bits, too.
        data: images to calibrate these with; None for noise.

    Raises:
        OptionError: a number that cannot work.
    """

    seconds: float = 5.0
    engines: tuple[str, ...] = ()
    batch: int | None = None
    threads: int | None = None
    int8: bool = False
    data: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise OptionError(f"--seconds is the time for a row, more than 0 and at most 3600, not {self.seconds:g}")
        if self.batch is not None and self.batch < 1:
            raise OptionError(f"--batch is at least 1 image, not {self.batch}")
        if self.threads is not None and not 1 <= self.threads <= usable_cores():
            raise OptionError(f"--threads is 1 to {usable_cores()} on this machine, not {self.threads}")
        if self.data is not None and not self.int8:
            raise OptionError("--data has images to calibrate 8 bits with: give --int8, too")


def bench(models: Sequence[str], settings: Settings | None = None) -> Bench:
    """Measure models, as `plan` takes them, on every engine that suits; a row that fails says why.

    Raises:
        OptionError: there is no model, or a setting does not suit any.
        HubelError: a model cannot be read.
    """
    settings = settings or Settings()
    models = list(dict.fromkeys(models))
    if not models:
        raise OptionError("name the models: hubel bench resnet18 model.onnx")
    if settings.int8 and all(map(is_exported, models)):
        raise OptionError(
            "--int8 is for models that are not exported; a .onnx file is run in the precision that it has"
        )
    with tempfile.TemporaryDirectory(prefix="hubel-bench-", ignore_cleanup_errors=True) as folder:
        plans = [
            plan(model, Path(folder, str(i)), engines=settings.engines, int8=settings.int8, data=settings.data)
            for i, model in enumerate(models)
        ]
        rows = tuple(_measured(plans, settings))
    threads = settings.threads or usable_cores()
    machine = Machine(processor(), usable_cores(), threads, _versions())
    return Bench(rows, machine, tuple(note for found in plans for note in found.notes))


def _measured(plans: Sequence[Plan], settings: Settings) -> Iterable[Row]:
    with bar("measuring", sum(len(found.candidates) for found in plans)) as progress:
        for found in plans:
            for candidate in found.candidates:
                progress.step(0, f"{found.model} {candidate.engine} {candidate.precision}")
                yield _row(Row(found.model, candidate.engine, candidate.precision), candidate, settings)
                progress.step()


def _row(row: Row, candidate: Candidate, settings: Settings) -> Row:
    try:
        file = candidate.file()
        startup_s, speed = _in_child(
            Job(str(file), candidate.engine, settings.seconds, settings.batch, settings.threads)
        )
    except HubelError as error:
        return replace(row, error=_one_line(str(error)))
    except Exception as error:  # converters fail in ways of their own, and the other rows are still worth having
        return replace(row, error=_one_line(f"{type(error).__name__}: {error!s:.300}"))
    return replace(row, startup_s=startup_s, speed=speed)


def _in_child(job: Job) -> tuple[float, Speed]:
    """Seconds until the first answer of a new process, and what it measured.

    Raises:
        OptionError: it says why it cannot, or it ends otherwise.
    """
    words = [sys.executable, "-P", "-m", bench_row.__name__, json.dumps(asdict(job))]
    limit = _PATIENCE[0] + _PATIENCE[1] * job.seconds
    with tempfile.TemporaryFile() as complaints:
        started = time.perf_counter()
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, text=True, encoding="utf-8"
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
        late = time.perf_counter() - started > limit
        complaints.seek(0)
        last = complaints.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
    try:
        found = json.loads(rest if first.strip() == ANSWERED else first)
    except ValueError:
        found = {"error": f"no result within {limit:g} s" if late else _ending(code, last)}
    if "error" in found:
        raise OptionError(found["error"])
    return startup_s, Speed(**found["speed"])


def _ending(code: int, last: Sequence[str]) -> str:
    """How a process has ended that has not said why."""
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
