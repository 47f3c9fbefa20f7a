"""The exact step: the gradient of each shard alone, and one tree of sums, whatever the number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from hubel.data.samples import Batch, Labelled, Samples
from hubel.data.shares import Share, share_of
from hubel.tasks.task import Objective
from hubel.training.plan import OptimizerSettings
from hubel.training.processes.flat import FlatStep
from hubel.training.processes.ranks import Ranks
from hubel.training.processes.tree import subtrees, sum_of_subtree
from hubel.training.trainer import Meeting, StepResult, Trainer

__all__ = ["ShardedTrainer"]


class ShardedTrainer(Trainer):
    """A trainer whose weights have the same bits on any number of processes.

    A step is divided into shards. Each process computes the gradient of each of its shards alone, with batch norms that
    see nothing else, and adds up whole subtrees; the rest of the tree is added between the processes.

    Args:
        network: see `Trainer`.
        objective: likewise.
        settings: likewise.
        precision: likewise.
        fresh: likewise.
        ranks: the processes.
        shards: of a batch.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        settings: OptimizerSettings,
        precision: torch.dtype,
        *,
        fresh: bool = False,
        ranks: Ranks,
        shards: int,
    ) -> None:
        super().__init__(network, objective, settings, precision, fresh=fresh)
        self._ranks, self._share = ranks, share_of(ranks.rank, ranks.world, shards)
        self._flat: FlatStep | None = None
        self._free: list[Tensor] = []  # vectors to write into
        self._whole: Tensor | None = None  # which the gradients are views of until the next step
        self._seen: tuple[Tensor, Tensor] | None = None  # by the batch norms, of the shard under way
        self._own: dict[int, StepResult] = {}

    @property
    def share(self) -> Share:
        """The shards of each batch that this process owns."""
        return self._share

    def steps(
        self, data: Labelled[Samples], batches: Iterator[Batch], sizes: Sequence[int]
    ) -> Iterator[Callable[..., StepResult]]:
        """Yield each step; see `Trainer.steps`."""
        for n in sizes:
            numbers = self._share.owned(n)
            shards = dict(zip(numbers, islice(batches, len(numbers)), strict=True))
            yield partial(self.sharded_step, data, shards, n)

    def sharded_step(
        self, data: Labelled[Samples], shards: dict[int, Batch], n: int, lr: float, *key: int
    ) -> StepResult:
        """Update the weights once; return the result of this process's shards.

        Args:
            data: that the batch is of.
            shards: the shards of this process that hold any images, by their numbers.
            n: images of all shards of all processes.
            lr: the learning rate of the head; other stages have their share of it.
            key: numbers of this step, such as seed, epoch and step.
        """
        self.begin(lr)
        flat = self._layout()
        before = [buffer.clone() for buffer in flat.others]
        if self._whole is not None:
            self._free.append(self._whole)
        self._own = {}

        def leaf(number: int) -> Tensor:
            out = self._free.pop() if self._free else flat.empty(self._ranks.padded(flat.size))
            if number not in shards:  # there are fewer images than shards
                return out.zero_()
            for buffer, old in zip(flat.others, before, strict=True):
                buffer.copy_(old)
            self._own[number] = self.gradient(data, shards[number], n, (*key, number))
            flat.write(out, self._seen, first=number == 0)
            return out

        def add(left: Tensor, right: Tensor) -> Tensor:
            self._free.append(right)
            return left.add_(right)

        flat.norms.begin_step()
        nodes = subtrees(self._share.first, self._share.stop)
        sums = {node: sum_of_subtree(node, leaf, add) for node in nodes}
        self._whole = self._ranks.sum_of_all(sums, self._share.shards)
        self._free += [one for one in sums.values() if one is not self._whole]
        flat.read(self._whole)
        self.update()
        own = self._own.values()
        return StepResult(
            loss_sum=sum(one.loss_sum for one in own),
            correct=sum(one.correct for one in own),
            samples=sum(one.samples for one in own),
        )

    def attempt(self, data: Labelled[Samples], batch: Batch, n: int, key: tuple[int, ...]) -> StepResult:
        """Compute the gradient of a shard; see `Trainer.attempt`."""
        self._seen = None
        return super().attempt(data, batch, n, key)

    def accumulate(self, data: Labelled[Samples], part: Batch, n: int) -> StepResult:
        """Add the gradient of some samples, and what batch norms have seen of them."""
        norms = self._layout().norms
        norms.begin_part()
        result = super().accumulate(data, part, n)
        if norms.norms:
            sums, images = norms.recorded(len(part.positions))
            self._seen = (sums, images) if self._seen is None else (self._seen[0] + sums, self._seen[1] + images)
        return result

    def meet(self, asked: int, result: StepResult | None = None) -> Meeting:
        """Exchange the time, signals and the results of a step with the other processes."""
        own = {} if result is None else self._own
        meeting, self.parts = self._ranks.meet(asked, self.parts, own, self._share)
        return meeting

    def _layout(self) -> FlatStep:
        if self._flat is None:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            self._flat = FlatStep(parameters, self.network)
        return self._flat
