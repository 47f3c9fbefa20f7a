"""Join the group of processes that a launcher has started: torchrun, or `hubel train --processes`.

A launcher gives each process its rank, the number of all, and the address of the group's store, in environment
variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT); torchrun, Kubeflow and Ray set the same ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from hubel.core.errors import DataError, HubelError, OptionError
from hubel.core.files import write_atomic, write_json
from hubel.core.group import Group, current_group, working_as
from hubel.core.progress import silence
from hubel.core.version import __version__
from hubel.training.plan import Plan
from hubel.training.processes.ranks import LostRankError, Ranks
from hubel.training.processes.watch import LOST, MISTAKE, RankWatch
from hubel.training.recipe import MachineSettings

__all__ = [
    "JOB",
    "RESULT_FILE",
    "begun_run",
    "check_same_data",
    "is_started",
    "joining_ranks",
    "note_run",
    "note_trained",
    "run_of_job",
]

_WAITING = timedelta(days=30)  # for a rank that works: the watch tells those that do not
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_MISTAKE = "mistake"  # a key of the store
_RUN = "run"  # the key of the folder of a run, from one start of the group to the next
JOB = "HUBEL_JOB"  # the folder of a job that hubel itself has launched
RESULT_FILE = "result.json"  # in that folder
_STORE: list[Store] = []  # of the launcher, which outlives a start


def is_started() -> bool:
    """Return whether a launcher has started this process as one of a group."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def joining_ranks(machine: MachineSettings) -> Iterator[Group]:
    """Let this process work within the block as a rank of its group; alone, where there is none.

    A mistake within the block is told by one rank, and ends all of them.

    Args:
        machine: the time limit, and whether sums are exact.

    Raises:
        OptionError: the group cannot be joining_ranks.
    """
    if isinstance(current_group(), Ranks) or not (is_started() or machine.processes != "none"):
        yield current_group()
        return
    if not is_started():
        with working_as(Ranks(exact=not machine.fast_reduce)) as alone:
            yield alone
        return
    rank, world, timeout = _place(), _number("WORLD_SIZE"), machine.timeout
    if not 0 <= rank < world:
        raise OptionError(f"RANK is a number from 0 to WORLD_SIZE - 1 = {world - 1}, not {rank}")
    store = _store(rank, timeout)
    if _STORE[0].check([_MISTAKE]):  # a launcher that starts a group again knows no mistakes
        _leave(MISTAKE)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    watch = RankWatch(PrefixStore(f"hubel/{attempt}/watch", _connect(False, timeout)), rank, world, timeout)
    try:
        with _processes(PrefixStore(f"hubel/{attempt}/group", store), rank, world, machine) as ranks:
            _check_versions(ranks)
            with working_as(ranks), silence() if rank else contextlib.nullcontext():
                yield ranks
            ranks.gather(b"")  # whoever is done before the others watches over them
        watch.end()
    except LostRankError as error:
        if watch.heard():
            _leave(MISTAKE)
        _leave(LOST, f"hubel: rank {rank}: {error}" if rank == 0 and JOB not in os.environ else "")
    except HubelError:
        _STORE[0].set(_MISTAKE, "")
        if not watch.tells():
            _leave(MISTAKE)
        raise
    finally:
        _STORE.clear()


def note_run(folder: Path) -> None:
    """Note the folder of the run, so that a group that is started again goes on with it."""
    if _STORE:
        _STORE[0].set(_RUN, str(folder.resolve()))
    if job := os.environ.get(JOB):
        write_atomic(Path(job) / _RUN, str(folder.resolve()))


def note_trained(found: Mapping[str, Any]) -> bool:
    """Leave to the process that has launched this one what it needs to measure the model; return whether there is one.

    Args:
        found: plain JSON values.
    """
    if job := os.environ.get(JOB):
        write_json(Path(job) / RESULT_FILE, found)
    return job is not None


def begun_run() -> Path | None:
    """Return the folder of the run that this group was at before it was started again; None at its first start."""
    if _STORE and _STORE[0].check([_RUN]):
        return Path(_STORE[0].get(_RUN).decode())
    return run_of_job(Path(job)) if (job := os.environ.get(JOB)) else None


def run_of_job(job: Path) -> Path | None:
    """Return the folder of the run that a launched job has begun."""
    noted = job / _RUN
    return Path(noted.read_text(encoding="utf-8")) if noted.exists() else None


def check_same_data(plan: Plan) -> None:
    """Refuse ranks that have read other images, or other labels.

    Raises:
        DataError: names the first rank that has.
    """
    group = current_group()
    mine = [plan.card.provenance["fingerprint"], len(plan.dataset.index), socket.gethostname()]
    found = [json.loads(one) for one in group.gather(json.dumps(mine).encode())]
    for rank, (fingerprint, number, host) in enumerate(found):
        if fingerprint != found[0][0]:
            raise DataError(
                f"{plan.dataset.name}: the {number:,} images of rank {rank} (on {host}) are not the {found[0][1]:,} of "
                f"rank 0 (on {found[0][2]}): all ranks need the same files"
            )


def _place() -> int:
    missing = [name for name in _NEEDED if not os.environ.get(name)]
    if missing:
        raise OptionError(
            f"this process is one of a group (RANK, WORLD_SIZE), but {' and '.join(missing)} is not set: start it by "
            "torchrun, or set the address and the port of rank 0"
        )
    return _number("RANK")


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal():
        raise OptionError(f"{name} is a whole number, not {text!r}")
    return int(text)


def _store(rank: int, timeout: float) -> TCPStore:
    """Return a connection to the store of the group; rank 0 holds it where the launcher does not.

    Raises:
        OptionError: nobody answers.
    """
    held = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and rank == 0
    try:
        store = _connect(held, timeout)
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = "is it taken?" if held else f"nobody has answered for {timeout:.0f} s"
        raise OptionError(f"{place} (MASTER_ADDR, MASTER_PORT): {reason} ({_last(error)})") from None
    _STORE[:] = [PrefixStore("hubel", store)]
    return store


def _connect(held: bool, timeout: float) -> TCPStore:
    """Return a connection to the store; the store itself where it is `held` here."""
    host, port = os.environ["MASTER_ADDR"], _number("MASTER_PORT")
    return TCPStore(host, port, is_master=held, timeout=timedelta(seconds=timeout), wait_for_workers=False)


@contextmanager
def _processes(store: Store, rank: int, world: int, machine: MachineSettings) -> Iterator[Ranks]:
    """Connect the processes within the block.

    Raises:
        OptionError: not all of them come.
    """
    local_rank, local_world = (int(os.environ.get(name, "-1")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    cuda = torch.cuda.is_available() and machine.device in (None, "cuda")
    if cuda:
        torch.cuda.set_device(max(0, local_rank) % torch.cuda.device_count())
    limit = timedelta(seconds=machine.timeout)
    store.set_timeout(limit)
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo", store=store, rank=rank, world_size=world, timeout=_WAITING
        )
        stepping = dist.new_group(timeout=limit)
    except RuntimeError as error:
        raise OptionError(
            f"not all of the {world} ranks have come within {machine.timeout:.0f} s (--timeout): {_last(error)}"
        ) from None
    yield Ranks(
        rank=rank,
        world=world,
        local_rank=max(0, local_rank),
        local_world=local_world if local_world > 0 else world,
        waiting=dist.group.WORLD,
        stepping=stepping,
        exact=not machine.fast_reduce,
    )
    dist.destroy_process_group()  # not after an error: whoever waits for this rank is told by the end of its process


def _check_versions(ranks: Ranks) -> None:
    """Refuse ranks with other software: their weights would differ, or their messages.

    Raises:
        OptionError: names the first rank that has another version.
    """
    mine = {"host": socket.gethostname(), "hubel": __version__, "torch": torch.__version__}
    found = [json.loads(one) for one in ranks.gather(json.dumps(mine).encode())]
    for rank, theirs in enumerate(found):
        for name in ("hubel", "torch"):
            if theirs[name] != found[0][name]:
                raise OptionError(
                    f"rank {rank} (on {theirs['host']}) has {name} {theirs[name]}, rank 0 (on {found[0]['host']}) has "
                    f"{found[0][name]}: install the same on all machines"
                )


def _leave(code: int, message: str = "") -> None:
    """End this process at once: what others do with the connections of a lost group may wait for ever."""
    if message:
        print(message, file=sys.stderr)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _last(error: Exception) -> str:
    """Return the first line of an error of torch, without the stack of C++."""
    return str(error).splitlines()[0][:200]
