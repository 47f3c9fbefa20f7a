"""Start a training on several processes of this machine, by torch's elastic launcher, and again when one of them ends.

The processes get the request as JSON in the folder of a job, where they leave the place of the run and their mistakes:
nothing is pickled, and a script needs no `if __name__ == "__main__"`. Rank 0 prints and writes the run; this process
waits, starts the group again from the last checkpoint when a rank has gone, and measures the model.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hubel.core import errors
from hubel.core.errors import HubelError, OptionError
from hubel.core.files import write_json
from hubel.core.group import current_group
from hubel.core.outputs import RUNS
from hubel.core.progress import say
from hubel.core.status_line import resting
from hubel.data.sources.builtin import XO
from hubel.training.processes.join import JOB, RESULT_FILE, is_started, run_of_job
from hubel.training.processes.on_ray import SIGNALLED, Ended, check_ray, start_on_ray
from hubel.training.processes.ranks import Ranks
from hubel.training.processes.settings import check_processes
from hubel.training.processes.watch import MISTAKE
from hubel.training.recipe import MachineSettings, Recipe

if TYPE_CHECKING:
    from hubel.training.execute import OnEpoch
    from hubel.training.train import RunResult

__all__ = ["ERROR_FILE", "JOB_FILE", "is_launched", "launch_training"]

JOB_FILE, ERROR_FILE = "job.json", "error.json"  # in the folder of a job
_TRIES = 10  # starts without a new checkpoint; then something else is wrong
_GRACE = 300  # seconds that processes have for their last step and its checkpoint, once they are asked to stop


def is_launched(machine: MachineSettings) -> bool:
    """Return whether other processes are to be started for a training, rather than train in this one."""
    if is_started() or isinstance(current_group(), Ranks):
        return False
    if machine.launcher == "ray":
        if not machine.processes.isdecimal():
            raise OptionError(f"--launcher ray needs the number of processes: --processes 4, not {machine.processes}")
        return True
    return machine.processes != "none" and _number(machine) > 1


def _number(machine: MachineSettings) -> int:
    """Return the number of processes; "auto" is one for each GPU."""
    return max(1, torch.cuda.device_count()) if machine.processes == "auto" else int(machine.processes)


def launch_training(
    data: Any,
    recipe: Recipe | None,
    *,
    module: nn.Module | None = None,
    out: Path | None = None,
    xo: XO | None = None,
    on_epoch: OnEpoch | None = None,
) -> RunResult:
    """Train on several processes; return the result of the run.

    Args:
        data: see `hubel.training.train.train`; a path or a name.
        recipe: the request; None to go on with the run in `out`.
        module: see `train`; None.
        out: the folder of the run.
        xo: settings of the built-in dataset "xo".
        on_epoch: see `train`; None.

    Raises:
        OptionError: what cannot be handed to another process is asked for.
        HubelError: a mistake that a process has found; or processes end again and again.
    """
    if module is not None or on_epoch is not None or not isinstance(data, str | Path | None):
        raise OptionError(
            "processes are given data by its path or name, a network by its name, and no on_epoch; for arrays and "
            "networks of your own, start the script that calls hubel.train by torchrun"
        )
    from hubel.training.train import measured_run  # which imports this file

    machine = _machine(recipe, out)
    check_processes(machine, _number(machine))
    ray = machine.launcher == "ray"
    if ray:
        check_ray()
    place = (out.resolve().parent if out else RUNS) if ray else None  # of several machines, all see the place of runs
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    job = Path(tempfile.mkdtemp(prefix=".hubel-job-", dir=place)).resolve()
    try:
        request = {
            "data": None if data is None else str(data),
            "recipe": None if recipe is None else recipe.to_json(),
            "out": None if out is None else str(out.resolve()),
            "xo": None if xo is None else dataclasses.asdict(xo),
        }
        write_json(job / JOB_FILE, request)
        with resting(), _own_signals():
            stopped_by = _run(
                job, partial(start_on_ray, job, machine) if ray else partial(_start, job, _number(machine))
            )
        if (error := _mistake(job)) is not None:
            raise error
        folder = run_of_job(job)
        if folder is None and stopped_by:
            raise KeyboardInterrupt
        if folder is None:
            raise HubelError("no process has begun the run; what they printed above says why")
        told = job / RESULT_FILE
        found = json.loads(told.read_text(encoding="utf-8")) if told.exists() and not stopped_by else None
        return measured_run(folder, found, stopped_by)
    finally:
        shutil.rmtree(job, ignore_errors=True)


def _machine(recipe: Recipe | None, out: Path | None) -> MachineSettings:
    if recipe is not None:
        return recipe.machine
    assert out is not None, "a run is resumed from its folder"
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    return Recipe.from_json(config["recipe"]).machine


def _run(job: Path, start: Callable[[], Ended]) -> int:
    """Run the processes until they have done their work; return the number of the signal that has stopped them, or 0.

    Args:
        job: its folder.
        start: starts them and waits for their end.

    Raises:
        HubelError: they end again and again without a new checkpoint.
    """
    tries, newest = 0, ""
    while True:
        rank, code = start()
        if code == 0 or code == MISTAKE or (job / ERROR_FILE).exists():
            return 0
        if code > SIGNALLED:
            return code - SIGNALLED
        if (now := _newest_checkpoint(job)) != newest:
            tries, newest = 0, now
        tries += 1
        who = "a process" if rank < 0 else f"rank {rank}"
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if tries >= _TRIES:
            raise HubelError(f"{who} has ended {how}; after {tries} starts without a new checkpoint, that is all")
        say(f"{who} has ended {how}; training goes on {'from the last checkpoint' if now else 'from its start'}")


def _start(job: Path, number: int) -> Ended:
    """Start the processes of this machine, and wait for their end; return the rank that has failed first, and how."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):  # each has its own level; what is to be said, hubel says
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=uuid.uuid4().hex,
        max_restarts=0,
        monitor_interval=0.1,
        shutdown_timeout=_GRACE,
        signals_to_handle=",".join(name for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)),
    )
    before = os.environ.get(JOB)
    os.environ[JOB] = str(job)
    try:
        elastic_launch(config, sys.executable)("-m", "hubel.training.processes.worker")
        return Ended(0, 0)
    except SignalException as ended:
        return Ended(0, SIGNALLED + int(ended.sigval))
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        return Ended(rank, failure.exitcode)
    finally:
        os.environ.pop(JOB) if before is None else os.environ.update({JOB: before})


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put the caller's signal handlers back, which the launcher replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _newest_checkpoint(job: Path) -> str:
    """Return the name of the newest checkpoint of a job's run; "" where there is none."""
    folder = run_of_job(job)
    pointer = None if folder is None else folder / "last" / "pointer"
    return pointer.read_text(encoding="utf-8").strip() if pointer is not None and pointer.is_file() else ""


def _mistake(job: Path) -> HubelError | None:
    """Return the mistake that a process has found, if one has."""
    told = job / ERROR_FILE
    if not told.exists():
        return None
    found: Mapping[str, str] = json.loads(told.read_text(encoding="utf-8"))
    kind = getattr(errors, found["kind"], HubelError)
    # Some are made of more than their message.
    made: HubelError = kind.__new__(kind)
    Exception.__init__(made, found["message"])
    return made
