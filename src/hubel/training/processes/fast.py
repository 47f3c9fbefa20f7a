"""The fast step: each process takes one part of the batch, and gradients are averaged while others are computed.

It is the step of torch's DistributedDataParallel: one forward pass a process, gradients in buckets that are sent as
soon as they are there, running statistics of batch norms by rank 0. The last bits of the weights, and the statistics
that batch norms see, depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn
from torch import distributed as dist

from hubel.data.samples import Batch, Labelled, Samples
from hubel.data.shares import Share, share_of
from hubel.tasks.task import Objective
from hubel.training.plan import OptimizerSettings
from hubel.training.processes.ranks import Ranks
from hubel.training.trainer import Meeting, StepResult, Trainer

__all__ = ["FastTrainer"]

_BUCKET_BYTES = 25 * 2**20  # as in DistributedDataParallel


class FastTrainer(Trainer):
    """A trainer with the plain all-reduce.

    Args:
        network: see `Trainer`.
        objective: likewise.
        settings: likewise.
        precision: likewise.
        fresh: likewise.
        ranks: the processes.
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
    ) -> None:
        super().__init__(network, objective, settings, precision, fresh=fresh)
        self._ranks, self._share = ranks, share_of(ranks.rank, ranks.world, ranks.world)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self._buckets = _buckets(parameters) if ranks.world > 1 else []
        for number, bucket in enumerate(self._buckets):
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(partial(self._ready, number))  # type: ignore[no-untyped-call]
        self._own: dict[int, StepResult] = {}
        self._last_part = False

    @property
    def share(self) -> Share:
        """The part of each batch that this process takes."""
        return self._share

    def steps(
        self, data: Labelled[Samples], batches: Iterator[Batch], sizes: Sequence[int]
    ) -> Iterator[Callable[..., StepResult]]:
        """Yield each step; see `Trainer.steps`."""
        for n in sizes:
            numbers = self._share.owned(n)
            part = next(islice(batches, len(numbers)), None) if numbers else None
            yield partial(self.shared_step, data, part, n)

    def shared_step(self, data: Labelled[Samples], batch: Batch | None, n: int, lr: float, *key: int) -> StepResult:
        """Update the weights once; return the result of this process's part of the batch.

        Args:
            data: that the batch is of.
            batch: the part of this process; None where it is empty.
            n: images of all parts.
            lr: the learning rate of the head; other stages have their share of it.
            key: numbers of this step, such as seed, epoch and step.
        """
        self.begin(lr)
        for bucket in self._buckets:
            bucket.begin()
        self._sent = 0
        result = StepResult(loss_sum=0.0, correct=0.0, samples=0)
        if batch is not None:
            result = self.gradient(data, batch, n, (*key, self._ranks.rank))
        else:
            self.optimizer.zero_grad()
        for number in range(self._sent, len(self._buckets)):
            self._send(number)
        for bucket in self._buckets:
            bucket.finish()
        self.update()
        self._own = {self._ranks.rank: result}
        return result

    def attempt(self, data: Labelled[Samples], batch: Batch, n: int, key: tuple[int, ...]) -> StepResult:
        """Compute the gradient of a part; only that of an undivided one is sent while it is computed."""
        self._last_part = self.parts == 1
        try:
            return super().attempt(data, batch, n, key)
        finally:
            self._last_part = False

    def _ready(self, number: int, parameter: Tensor) -> None:
        """Send the buckets that are complete, in their order, which is the same on all ranks."""
        if not self._last_part:
            return
        self._buckets[number].waiting -= 1
        while self._sent < len(self._buckets) and self._buckets[self._sent].waiting <= 0:
            self._send(self._sent)

    def _send(self, number: int) -> None:
        self._buckets[number].send(self._ranks.stepping)
        self._sent = number + 1

    def averaged(self) -> nn.Module:
        """Return the network to evaluate, with the running statistics of rank 0; see `Trainer.averaged`."""
        networks = [self.network, *([] if self.average is None else [self.average.module])]
        self._ranks.broadcast([buffer for network in networks for buffer in network.buffers()])
        return super().averaged()

    def meet(self, asked: int, result: StepResult | None = None) -> Meeting:
        """Exchange the time, signals and the results of a step with the other processes."""
        own = {} if result is None else self._own
        meeting, self.parts = self._ranks.meet(asked, self.parts, own, self._share)
        return meeting


class _Bucket:
    """Gradients that are sent together."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self._flat = parameters[0].new_zeros(sum(p.numel() for p in parameters), requires_grad=False)
        at, self._views = 0, []
        for p in parameters:
            self._views.append(self._flat[at : at + p.numel()].as_strided(p.shape, p.stride(), at))
            at += p.numel()
        self.waiting, self._work = 0, None

    def begin(self) -> None:
        """Wait for the gradients of all parameters that are trained."""
        self.waiting = sum(p.requires_grad for p in self.parameters)

    def send(self, group: dist.ProcessGroup | None) -> None:
        """Begin to add the gradients of all ranks."""
        for view, parameter in zip(self._views, self.parameters, strict=True):
            if parameter.grad is None:
                view.zero_()
        pairs = [(v, p.grad) for v, p in zip(self._views, self.parameters, strict=True) if p.grad is not None]
        if pairs:
            torch._foreach_copy_([view for view, _ in pairs], [gradient for _, gradient in pairs])
        self._work = dist.all_reduce(self._flat, group=group, async_op=True)

    def finish(self) -> None:
        """Wait for the sums, and let the gradients be these."""
        assert self._work is not None, "whoever waits has sent"
        self._work.wait()
        for view, parameter in zip(self._views, self.parameters, strict=True):
            if parameter.requires_grad:
                parameter.grad = view


def _buckets(parameters: list[nn.Parameter]) -> list[_Bucket]:
    """Return the parameters in buckets, those whose gradients come first before the others."""
    buckets: list[list[nn.Parameter]] = [[]]
    size = 0
    for parameter in reversed(parameters):
        if size and size + parameter.nbytes > _BUCKET_BYTES:
            buckets.append([])
            size = 0
        buckets[-1].append(parameter)
        size += parameter.nbytes
    return [_Bucket(bucket) for bucket in buckets]
