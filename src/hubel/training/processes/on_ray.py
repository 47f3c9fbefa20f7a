"""Start the processes of a training on the machines of a Ray cluster, by Ray Train, and wait for their end.

Ray Train places one worker for each rank, and tells it the rank and the address of a store, which the worker of rank 0
holds. Each worker runs its rank as a process of its own, as torch's launcher does: a rank that has lost the others ends
at once, whatever it waits for. The folder of the job, and that of the run, must be seen by all machines.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from hubel.core.errors import HubelError, OptionError
from hubel.core.progress import say
from hubel.training.processes.join import JOB
from hubel.training.processes.watch import LOST, MISTAKE
from hubel.training.recipe import MachineSettings

__all__ = ["PARENT", "SIGNALLED", "Ended", "check_ray", "start_on_ray"]

PARENT = "HUBEL_PARENT"  # the process that a rank must not outlive
SIGNALLED = 128  # added to the number of a signal: the exit code of a process that it has stopped in good order
_OUTPUT, _ENDED = "output.txt", "ended.txt"  # in the folder of a job: what ranks print; the first that has failed
_FOLLOWED = 0.5  # seconds between two looks at the output


class Ended(NamedTuple):
    """The end of a group of processes.

    Attributes:
        rank: that has failed first; -1 where nobody knows.
        code: its exit code; 0 where all have done their work.
    """

    rank: int
    code: int


def check_ray() -> None:
    """Import Ray Train.

    Raises:
        OptionError: it is not installed.
    """
    # Before Ray is imported: it would report its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray.train.torch  # noqa: F401
    except ImportError:
        raise OptionError('--launcher ray needs Ray Train: pip install "hubel[ray]"') from None


def start_on_ray(job: Path, machine: MachineSettings) -> Ended:
    """Start the processes on a Ray cluster, and wait for their end; return the rank that has failed first, and how.

    Args:
        job: its folder, which all machines see.
        machine: the number of processes, and their threads.

    Raises:
        HubelError: there is no cluster, and none can be started.
    """
    import ray
    from ray.exceptions import RayError
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    (job / _ENDED).unlink(missing_ok=True)
    number, threads, cuda = int(machine.processes), machine.threads or 1, torch.cuda.is_available()
    ours = not ray.is_initialized()
    if ours:  # the cluster of $RAY_ADDRESS, or the one that runs on this machine, or a new one of this machine alone
        try:
            ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:  # which has no class of its own
            raise HubelError(f"Ray does not start: {str(error).splitlines()[0]}") from None
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)
    try:
        if (there := int(ray.cluster_resources().get("CPU", 0))) < number * threads:
            say(f"the Ray cluster has {there} cores, of {number * threads} that are needed: waiting for more")
        trainer = TorchTrainer(
            _run_rank,
            train_loop_config={"job": str(job), "folder": str(Path.cwd())},
            torch_config=TorchConfig(backend="gloo"),  # for the store; ranks choose their own
            scaling_config=ScalingConfig(
                num_workers=number,
                use_gpu=cuda,
                resources_per_worker={"CPU": threads, **({"GPU": 1} if cuda else {})},
            ),
            run_config=RunConfig(name="ray", storage_path=str(job)),
        )
        with _following(job / _OUTPUT):
            trainer.fit()
    except KeyboardInterrupt:
        return Ended(0, SIGNALLED + signal.SIGINT)
    except (RayError, TrainingFailedError):  # of a rank that has left its code, or of a machine that is gone
        return _ended(job) or Ended(-1, LOST)
    finally:
        if ours:
            ray.shutdown()
    return _ended(job) or Ended(0, 0)


def _run_rank(config: Mapping[str, str]) -> None:
    """Run the rank of this worker of Ray's in a process of its own.

    Raises:
        RuntimeError: it has been lost: the others are to end.
    """
    job, rank = Path(config["job"]), os.environ["RANK"]
    environment = {
        **os.environ,
        JOB: str(job),
        PARENT: str(os.getpid()),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # as torchrun says it: the store is there
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # the stack of C++ of whoever loses the store
    }
    with (job / _OUTPUT).open("ab") as output:
        command = [sys.executable, "-m", "hubel.training.processes.worker"]
        code = subprocess.run(
            command, cwd=config["folder"], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ).returncode
    if not code:
        return
    with contextlib.suppress(FileExistsError), (job / _ENDED).open("x") as file:
        file.write(f"{rank} {code}")
    if code != MISTAKE and code <= SIGNALLED:
        raise RuntimeError(f"rank {rank} has ended with {code}")


def _ended(job: Path) -> Ended | None:
    """Return what the first rank has left that has failed."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        rank, code = map(int, (job / _ENDED).read_text().split())
        return Ended(rank, code)
    return None


@contextmanager
def _following(file: Path) -> Iterator[None]:
    """Print what is written into a file within the block."""
    file.touch()
    over = threading.Event()
    with file.open(encoding="utf-8", errors="replace") as written:
        written.seek(0, os.SEEK_END)

        def follow() -> None:
            while True:
                last = over.wait(_FOLLOWED)
                sys.stderr.write(written.read())
                sys.stderr.flush()
                if last:
                    return

        thread = threading.Thread(target=follow, name="hubel output", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
