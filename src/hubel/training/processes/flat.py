"""Lay out all that a step of one shard yields as one flat vector: gradients, and statistics of batch norms.

One vector is one copy, one addition, one message. It holds, one after the other:

1. the gradient of each parameter, zero where there is none;
2. the other buffers of the network that have fractions, of shard 0 alone: their sum is what shard 0 has made of them;
3. the mean and the variance of each batch norm's batch, times the images of the shard;
4. for each batch norm, the images of the shard, if it has seen them;
5. for each parameter, 1 if it has a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["FlatStep", "NormStatistics"]


class NormStatistics:
    """The batch norms of a network, whose running statistics are those of all shards together.

    Within a shard, each batch norm normalises by the statistics of the shard and records them; the running ones are
    moved once a step, by the mean over all shards, weighted by their images, with the momentum of each layer. The mean
    of the shards' unbiased variances is an unbiased estimate, as that of one batch is.

    Args:
        network: in training mode; layers in evaluation mode, and those without statistics, are left alone.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [
            module
            for module in network.modules()
            if isinstance(module, _BatchNorm) and module.training and module.running_mean is not None
        ]
        self.counts = [norm.num_batches_tracked for norm in self.norms if norm.num_batches_tracked is not None]
        self.values = [
            value for norm in self.norms for value in (norm.running_mean, norm.running_var) if value is not None
        ]
        self.sizes = [len(value) for value in self.values]
        self.momenta: list[float] = []

    def begin_step(self) -> None:
        """Remember the running statistics, and let each forward pass record its own."""
        if not self.norms:
            return
        self._before, self._counted = torch.cat(self.values), torch.stack(self.counts)
        tracked = self._counted.tolist()
        self.momenta = [
            1 / (seen + 1) if norm.momentum is None else norm.momentum
            for norm, seen in zip(self.norms, tracked, strict=True)
        ]
        self._own = [norm.momentum for norm in self.norms]
        for norm in self.norms:
            norm.momentum = 1.0

    def begin_part(self) -> None:
        """Forget what the forward pass before has recorded."""
        if self.norms:
            torch._foreach_zero_([*self.values, *self.counts])

    def recorded(self, images: int) -> tuple[Tensor, Tensor]:
        """Return means and variances times the images, and the images of each layer that has seen them."""
        seen = torch.stack(self.counts).clamp(max=1).float() * images
        return torch.cat(self.values) * images, seen

    def end_step(self, sums: Tensor, images: Tensor) -> None:
        """Move the running statistics by those of all shards.

        Args:
            sums: means and variances times the images of each shard, added up.
            images: of each layer, added up; 0 where a layer has seen none.
        """
        if not self.norms:
            return
        for norm, momentum in zip(self.norms, self._own, strict=True):
            norm.momentum = momentum
        sizes = torch.tensor(self.sizes)
        spread = torch.repeat_interleave(images.repeat_interleave(2), sizes.to(images.device))
        rate = torch.tensor([momentum for momentum in self.momenta for _ in range(2)], device=images.device)
        rate = rate.repeat_interleave(sizes.to(images.device)) * (spread > 0)
        after = (1 - rate) * self._before + rate * (sums / spread.clamp(min=1))
        torch._foreach_copy_(self.values, torch.split(after, self.sizes))
        counted = self._counted + (images > 0)
        torch._foreach_copy_(self.counts, list(counted.unbind()))


class FlatStep:
    """The layout of the vector, for the parameters of an optimizer and a network.

    Args:
        parameters: that are trained, at one time or another.
        network: in training mode.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], network: nn.Module) -> None:
        self.parameters, self.norms = list(parameters), NormStatistics(network)
        own = {id(value) for value in (*self.norms.values, *self.norms.counts)}
        norms = [norm for norm in network.modules() if isinstance(norm, _BatchNorm)]
        held = {id(buffer) for norm in norms for buffer in norm.buffers()}
        self.others = [b for b in network.buffers() if b.is_floating_point() and id(b) not in own | held]
        self.gradients = sum(p.numel() for p in self.parameters)
        self._sections = [
            self.gradients,
            sum(buffer.numel() for buffer in self.others),
            sum(self.norms.sizes),
            len(self.norms.norms),
            len(self.parameters),
        ]
        self.size = sum(self._sections)
        self.device = self.parameters[0].device

    def empty(self, size: int) -> Tensor:
        """Return a vector of zeros."""
        return torch.zeros(size, device=self.device)

    def views(self, flat: Tensor) -> list[Tensor]:
        """Return the gradients in a vector, each with the shape and the order in memory of its parameter."""
        found, at = [], 0
        for parameter in self.parameters:
            found.append(flat[at : at + parameter.numel()].as_strided(parameter.shape, parameter.stride(), at))
            at += parameter.numel()
        return found

    def write(self, flat: Tensor, statistics: tuple[Tensor, Tensor] | None, *, first: bool) -> None:
        """Write what a shard has left in the parameters' `grad` and in the buffers.

        Args:
            flat: where to, all of it.
            statistics: of the batch norms; None where there are none.
            first: this is shard 0.
        """
        gradients = [parameter.grad for parameter in self.parameters]
        have = [number for number, gradient in enumerate(gradients) if gradient is not None]
        if len(have) < len(gradients):
            flat[: self.gradients].zero_()
        views = self.views(flat)
        torch._foreach_copy_([views[i] for i in have], [g for g in gradients if g is not None])
        _, others, means, images, flags = torch.split(flat[: self.size], self._sections)
        if len(others):
            others.copy_(torch.cat([buffer.flatten() for buffer in self.others])) if first else others.zero_()
        if statistics is not None and len(means):
            means.copy_(statistics[0])
            images.copy_(statistics[1])
        marks = torch.zeros(len(gradients))
        marks[have] = 1
        flags.copy_(marks)

    def read(self, flat: Tensor) -> None:
        """Put the sum of all shards into the `grad` of parameters, which are parts of the vector, and into buffers."""
        _, others, means, images, flags = torch.split(flat[: self.size], self._sections)
        for parameter, view, shards in zip(self.parameters, self.views(flat), flags.tolist(), strict=True):
            parameter.grad = view if shards else None
        at = 0
        for buffer in self.others:
            buffer.copy_(others[at : at + buffer.numel()].view(buffer.shape))
            at += buffer.numel()
        self.norms.end_step(means, images)
