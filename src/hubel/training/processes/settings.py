"""Decide what a recipe leaves open for several processes: shards, threads, devices."""

from __future__ import annotations

from typing import Any

import torch

from hubel.core.errors import OptionError
from hubel.core.group import current_group
from hubel.core.progress import counted
from hubel.core.resources import available_memory, usable_cores
from hubel.training.plan import Sharding
from hubel.training.processes.ranks import Ranks
from hubel.training.recipe import MachineSettings, Recipe

__all__ = [
    "check_processes",
    "choose_sharding",
    "device_of_rank",
    "engine_of_ranks",
    "pinned_sharding",
    "sharing_sentence",
    "threads_of_rank",
]

# Least images of a batch, and its shards. Of 16 images, not 32, a step of ResNet-20 takes 1.29 times as long on a
# processor, one of ResNet-18 1.2 times; below 4, the statistics of a batch norm are mostly noise.
_SHARDS = ((256, 8), (16, 4), (8, 2), (0, 1))
_PROCESS = 2**28  # bytes: torch alone


def choose_sharding(wanted: MachineSettings, batch_size: int) -> Sharding | None:
    """Return how the processes of this training share a batch; None for a training in one that is not asked for.

    The number of shards is decided by the batch alone: the number of processes must not change the result.

    Raises:
        OptionError: there are more processes than shards.
    """
    group = current_group()
    if not isinstance(group, Ranks):
        return None
    if not group.exact:
        return Sharding(shards=group.world, fast=True)
    shards = wanted.shards
    if shards is None:
        shards = next(number for least, number in _SHARDS if batch_size >= least)
    if group.world > shards:
        raise OptionError(
            f"{group.world} processes, but a batch of {batch_size} is divided into {counted(shards, 'shard')}, and "
            f"each process takes one at least: use {shards} processes at most, --shards {group.world}, or a larger "
            "--batch-size"
        )
    return Sharding(shards=shards)


def check_processes(machine: MachineSettings, number: int) -> None:
    """Refuse more processes than any batch has shards, or this machine memory for, before one of them is started.

    Raises:
        OptionError: there are more.
    """
    held = available_memory() // _PROCESS
    if number > held and machine.launcher != "ray":
        raise OptionError(
            f"{number} processes, each of which takes {_PROCESS / 2**20:.0f} MiB of memory before its first image: "
            f"this machine holds {held} at most; one for each core or GPU is fastest"
        )
    most = max(shards for _, shards in _SHARDS) if machine.shards is None else machine.shards
    if number > most and not machine.fast_reduce:
        raise OptionError(
            f"{number} processes, but a batch is divided into {counted(most, 'shard')} at most, and each process takes "
            f"one at least: use {most} processes at most, or --shards {number}"
        )


def check_one_process(recipe: Recipe) -> None:
    """Refuse processes where many trainings follow each other in one.

    Raises:
        OptionError: processes are asked for.
    """
    if recipe.machine.processes != "none":
        raise OptionError("a search trains in one process, one network after the other: leave out --processes")


def pinned_sharding(sharding: Sharding) -> dict[str, Any]:
    """Return the settings of a recipe that lead to this sharding."""
    processes = str(current_group().world)
    if sharding.fast:
        return {"processes": processes, "fast_reduce": True}
    return {"processes": processes, "shards": sharding.shards}


def sharing_sentence(sharding: Sharding, threads: int) -> str:
    """Return how processes share a batch, in one sentence."""
    group = current_group()
    who = f"{counted(group.world, 'process').removesuffix('s') + 'es' if group.world > 1 else '1 process'}"
    each = f"{counted(threads, 'thread')} each"
    if sharding.fast:
        return f"{who}, {each}; fast reduction: the last bits of the weights depend on the number of processes"
    return (
        f"{who}, {each}; exact reduction: a batch is {counted(sharding.shards, 'shard')}, and the weights have the "
        "same bits on any number of processes"
    )


def threads_of_rank() -> int:
    """Return the cores that each process of this machine has for itself."""
    return max(1, usable_cores() // current_group().local_world)


def device_of_rank(device: torch.device) -> torch.device:
    """Return the GPU of this process; any other device as it is."""
    group = current_group()
    if device.type != "cuda" or not isinstance(group, Ranks):
        return device
    return torch.device("cuda", group.local_rank % torch.cuda.device_count())


def engine_of_ranks(precision: torch.dtype) -> str:
    """Return the engine of a frozen part: one that every rank has, not the one that is fastest on one of them."""
    return "torch bfloat16" if precision == torch.bfloat16 else "torch"
