"""One training step: forward, backward and the optimizer's update are written once, here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hubel.core.random import scalar
from hubel.data.samples import Batch, Labelled, Samples
from hubel.data.shares import Share
from hubel.inference.device import device_of
from hubel.nn.layers import channels_last
from hubel.tasks.task import Objective, weighted_outputs, weighted_targets
from hubel.training.optimizer import make_optimizer
from hubel.training.plan import OptimizerSettings

__all__ = ["Meeting", "StepResult", "Trainer"]


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """One training step.

    Attributes:
        loss_sum: of the samples' losses before the update.
        correct: how many samples were predicted correctly, augmented as they were; see `Objective.correct`.
        samples: their number.
    """

    loss_sum: float
    correct: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """All that the processes of a training know together at one moment.

    Attributes:
        now: the time of rank 0, in seconds of `time.monotonic`.
        asked: the number of a signal that one of them was asked to stop by; 0 for none.
        result: of the step of all together; None between steps.
    """

    now: float
    asked: int
    result: StepResult | None


class Trainer:
    """A network with its optimizer and its objective.

    Args:
        network: trained in place, on the device where it is.
        objective: loss and score.
        settings: of the optimizer.
        precision: of convolutions.
        fresh: the network starts from random weights: its batch norms know no statistics yet.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        settings: OptimizerSettings,
        precision: torch.dtype,
        *,
        fresh: bool = False,
    ) -> None:
        self.device = device_of(network)
        self.network = channels_last(network)
        self.objective, self.settings, self.precision = objective, settings, precision
        self.optimizer = make_optimizer(self.network, settings)
        self.average = (
            AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema), use_buffers=True)  # type: ignore[no-untyped-call]
            if settings.ema > 0
            else None
        )
        norms = [module for module in self.network.modules() if isinstance(module, _BatchNorm)]
        self._fresh_norms = [(norm, norm.momentum) for norm in norms if fresh and norm.momentum]
        self.parts = 1  # into which a batch is divided; grows when memory runs out

    @property
    def share(self) -> Share | None:
        """The shards of each batch that this process trains on; None for whole batches."""
        return None

    def steps(
        self, data: Labelled[Samples], batches: Iterator[Batch], sizes: Sequence[int]
    ) -> Iterator[Callable[..., StepResult]]:
        """Yield each step that is to be taken: call it with the learning rate and the key; see `step`.

        Args:
            data: that the batches are of.
            batches: of an epoch, or this process's shards of them.
            sizes: images of each batch, in all.
        """
        for batch in batches:
            yield partial(self.step, data, batch)

    def step(self, data: Labelled[Samples], batch: Batch, lr: float, *key: int) -> StepResult:
        """Update the weights once; when memory runs out, by the same gradient in smaller parts.

        Args:
            data: that the batch is of.
            batch: some of its samples.
            lr: the learning rate of the head; other stages have their share of it.
            key: numbers of this step, such as seed, epoch and step: dropout is a function of them.
        """
        self.begin(lr)
        result = self.gradient(data, batch, len(batch.positions), key)
        self.update()
        return result

    def begin(self, lr: float) -> None:
        """Prepare a step."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        self.network.train()
        self._settle_norms()

    def gradient(self, data: Labelled[Samples], batch: Batch, n: int, key: tuple[int, ...]) -> StepResult:
        """Compute the gradient of the sum of a batch's losses, divided by n, into the weights' `grad`.

        When memory runs out, the batch is divided into twice as many parts, now and from now on.
        """
        while True:
            try:
                return self.attempt(data, batch, n, key)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error) or 2 * self.parts > len(batch.positions):
                    raise
                self.parts *= 2

    def attempt(self, data: Labelled[Samples], batch: Batch, n: int, key: tuple[int, ...]) -> StepResult:
        """Compute the gradient of a batch in `parts` parts."""
        _seed(scalar(*key), self.device)
        self.optimizer.zero_grad()
        loss_sum, correct = 0.0, 0.0
        for rows in np.array_split(np.arange(len(batch.positions)), self.parts):
            found = self.accumulate(data, batch.part(rows), n)
            loss_sum, correct = loss_sum + found.loss_sum, correct + found.correct
        return StepResult(loss_sum=loss_sum, correct=correct, samples=len(batch.positions))

    def accumulate(self, data: Labelled[Samples], part: Batch, n: int) -> StepResult:
        """Add the gradient of the sum of some samples' losses, divided by n."""
        x = data.images.network_input(part.pixels, self.device)
        targets = [(share, t.to(self.device)) for share, t in weighted_targets(self.objective, data, part)]
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            outputs = weighted_outputs(self.network, x, targets[0][1])
        losses = [weight * share * self.objective.losses(o, t) for weight, o in outputs for share, t in targets]
        loss = torch.stack(losses).sum()
        (loss / n).backward()  # type: ignore[no-untyped-call]
        samples = len(part.positions)
        scored = 1 if self.objective.sampled else samples
        scores = self.objective.correct(outputs[0][1][:scored].detach(), targets[0][1][:scored])
        return StepResult(loss_sum=loss.item(), correct=float(scores.sum()) * (samples // scored), samples=samples)

    def update(self) -> None:
        """Change the weights by their gradients, and the moving average by the weights."""
        if math.isfinite(self.settings.clip):
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        for norm, momentum in self._fresh_norms:
            norm.momentum = momentum
        self.optimizer.step()
        if self.average is not None and not self.settings.lookahead:
            self.average.update_parameters(self.network)

    def meet(self, asked: int, result: StepResult | None = None) -> Meeting:
        """Return what all processes know after a step: here what this one knows.

        Args:
            asked: the number of a signal that asks to stop; 0 for none.
            result: of the step, of this process; None where they meet between steps.
        """
        return Meeting(now=time.monotonic(), asked=asked, result=result)

    def _settle_norms(self) -> None:
        """Let the running statistics of the first steps be means of these, as if nothing had been known before.

        They start at mean 0 and variance 1. After 21 steps, an epoch of a small set, 11 % of that are left, which the
        layers of a deep network multiply: ResNet-18 classified 11 % of the digits after such an epoch.
        """
        for norm, momentum in self._fresh_norms:
            seen = 0 if norm.num_batches_tracked is None else int(norm.num_batches_tracked)
            norm.momentum = max(momentum, 1 / (seen + 1))

    def unfreeze(self, done: float) -> None:
        """Let the stages train whose turn has come, at a share of all steps; the others need no gradients yet."""
        for group in self.optimizer.param_groups:
            if group["starts"]:
                for parameter in group["params"]:
                    parameter.requires_grad_(done >= group["starts"])

    @torch.no_grad()
    def look_ahead(self, steps: int, done: float) -> None:
        """Let the weights go back to their moving average, if it is time to (Zhang et al. 2019, arXiv:1907.08610).

        Both become d average + (1 - d) weights. Jordan 2024, arXiv:2404.00498, lets d grow with the third power of the
        share of the run, to the decay of so many steps.

        Args:
            steps: taken so far.
            done: share of all steps that is taken.
        """
        every = self.settings.lookahead
        if self.average is None or not every or steps % every:
            return
        decay = self.settings.ema**every * done**3
        mean, now = self.average.module.state_dict(), self.network.state_dict()
        for name, value in now.items():
            if value.is_floating_point():
                value.copy_(mean[name].lerp_(value, 1 - decay))

    def averaged(self) -> nn.Module:
        """Return the network to evaluate: the moving average where there is one."""
        if self.average is None:
            return self.network
        for mean, now in zip(self.average.module.buffers(), self.network.buffers(), strict=True):
            if not mean.is_floating_point():  # a mean of whole numbers, which torch rounds down, means nothing
                mean.copy_(now)
        return self.average.module

    def weight_sum(self) -> float:
        """Return the sum of all weights: not finite where any is not."""
        return sum(float(p.detach().sum()) for p in self.network.parameters())


def _seed(number: int, device: torch.device) -> None:
    """Seed the random numbers of a device. `torch.manual_seed` seeds those of all kinds: half a millisecond a step."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out. CUDA has an error of its own; MPS and the CPU's allocator only have messages."""
    messages = ("DefaultCPUAllocator", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in messages)
