"""The exact step, its ranks played by threads of one process."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.group import working_as
from hubel.data.samples import Batch
from hubel.data.shares import step_sizes
from hubel.training.plan import OptimizerSettings, Plan
from hubel.training.processes.ranks import Ranks
from hubel.training.processes.sharded import ShardedTrainer
from hubel.training.processes.tree import total
from hubel.training.trainer import Trainer

SGD = OptimizerSettings(name="sgd", lr=0.1, ema=0.5, clip=1.0)


class Threads(Ranks):
    """Ranks of one process that lay what they have on one table."""

    def __init__(self, rank: int, world: int, table: list[Any], barrier: threading.Barrier) -> None:
        super().__init__(rank=rank, world=world)
        self.table, self.barrier = table, barrier

    def lay(self, value: Any) -> list[Any]:
        self.table[self.rank] = value
        self.barrier.wait(20)
        found = list(self.table)
        self.barrier.wait(20)
        return found

    def numbers(self, own: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.stack(self.lay(own))

    def sum_of_all(self, sums: Any, shards: int) -> torch.Tensor:
        everything = {node: one.clone() for part in self.lay(dict(sums)) for node, one in part.items()}
        whole = total(everything, shards, torch.Tensor.add_)
        self.barrier.wait(20)
        return whole


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )


def train(plan: Plan, world: int, shards: int, steps: int = 2, batch_size: int = 29) -> list[dict[str, torch.Tensor]]:
    """Return the weights and averages of each rank after some steps."""
    table: list[Any] = [None] * world
    barrier, fresh = threading.Barrier(world), network()  # here: threads share torch's random numbers

    def work(rank: int) -> dict[str, torch.Tensor]:
        torch.set_num_threads(1)
        ranks = Threads(rank, world, table, barrier)
        with working_as(ranks):
            objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
            trainer = ShardedTrainer(
                copy.deepcopy(fresh), objective, SGD, torch.float32, fresh=True, ranks=ranks, shards=shards
            )
            images = plan.train.images
            batches = images.epoch(0, 0, batch_size, plan.loop.policy, share=trainer.share)
            sizes = step_sizes(len(images), -(-len(images) // batch_size))[:steps]
            for number, take in enumerate(trainer.steps(plan.train, batches, sizes)):
                met = trainer.meet(0, take(0.05, 0, 0, number))
            assert met.result is not None
            assert met.result.samples == sizes[-1]
            assert trainer.average is not None
            return {**trainer.network.state_dict(), **trainer.average.state_dict(prefix="average.")}

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(work, range(world)))


def test_any_number_of_ranks_gives_the_same_bits(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(cache="off", loading_threads=0)
    alone = train(plan, 1, 5)[0]
    for world in (2, 3):
        for weights in train(plan, world, 5):
            assert all(torch.equal(weights[name], value) for name, value in alone.items())


def test_batches_smaller_than_the_shards(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(cache="off", loading_threads=0)
    alone, pair = train(plan, 1, 8, batch_size=3)[0], train(plan, 4, 8, batch_size=3)[3]
    assert all(torch.equal(pair[name], value) for name, value in alone.items())
    assert all(value.isfinite().all() for value in alone.values())


def test_without_batch_norms_the_gradient_is_that_of_the_whole_batch(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(cache="off", loading_threads=0)
    objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
    torch.manual_seed(4)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(81, 2))
    settings = replace(SGD, ema=0.0)
    whole = Trainer(flat, objective, settings, torch.float32)
    batch = next(plan.train.images.epoch(0, 0, 29, plan.loop.policy))
    whole.begin(0.1)
    whole.gradient(plan.train, batch, len(batch.positions), (0,))
    assert flat[1].weight.grad is not None
    expected = flat[1].weight.grad.clone()
    ranks = Ranks()
    sharded = ShardedTrainer(flat, objective, settings, torch.float32, ranks=ranks, shards=4)
    parts = [batch.part(rows) for rows in np.array_split(np.arange(len(batch.positions)), 4)]
    sharded.sharded_step(plan.train, dict(enumerate(parts)), len(batch.positions), 0.0, 0)
    factor = flat[1].weight.grad.norm() / expected.norm()  # it is clipped
    torch.testing.assert_close(flat[1].weight.grad, expected * factor, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("parts", [1, 2])
def test_running_statistics_are_means_over_the_shards(plan_of: Callable[..., Plan], parts: int) -> None:
    plan = plan_of(cache="off", loading_threads=0)
    objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
    norm = nn.BatchNorm2d(1, momentum=0.3)
    still = nn.BatchNorm2d(1).eval()
    still.train = lambda mode=True: still  # type: ignore[method-assign, assignment]
    net = nn.Sequential(norm, still, nn.Flatten(), nn.Linear(81, 2))
    trainer = ShardedTrainer(net, objective, replace(SGD, ema=0.0), torch.float32, ranks=Ranks(), shards=3)
    trainer.parts = parts
    rows = np.arange(16)
    pixels = plan.train.images.pixels(rows)
    shards = [rows[:6], rows[6:11], rows[11:]]
    trainer.sharded_step(
        plan.train, {number: Batch(part, pixels[part]) for number, part in enumerate(shards)}, len(rows), 0.0, 0
    )
    mean = variance = 0.0
    for shard in shards:
        for part in np.array_split(shard, parts):
            x = plan.train.images.network_input(pixels[part]).double().numpy()
            mean += len(part) / len(rows) * x.mean()
            variance += len(part) / len(rows) * x.var(ddof=1)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    np.testing.assert_allclose(norm.running_mean.numpy(), [0.3 * mean], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), [0.7 + 0.3 * variance], rtol=1e-5)
    assert norm.num_batches_tracked == 1
    assert norm.momentum == 0.3
    assert still.running_var == 1
    assert still.num_batches_tracked == 0
