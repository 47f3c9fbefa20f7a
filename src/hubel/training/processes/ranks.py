"""The ranks of a training: how they exchange what they know, and how they add gradients, with the same bits always.

Each rank gets one piece of every subtree's sum, adds the pieces in the order of the tree, and hands its piece of the
whole to all. That is as much traffic as a ring all-reduce has, whose order of additions depends on the number of ranks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from hubel.core.group import Group
from hubel.data.shares import Share, share_of
from hubel.training.processes.tree import Node, subtrees, total
from hubel.training.trainer import Meeting, StepResult

__all__ = ["LostRankError", "Ranks", "summed"]

_FACTS = 3  # of each rank, before the numbers of its shards: time, signal, parts


class LostRankError(Exception):
    """Another rank has gone, or has not come to a step within the time limit."""


@contextmanager
def _together() -> Iterator[None]:
    """Tell the end of another rank from other errors."""
    try:
        yield
    except RuntimeError as error:
        raise LostRankError(f"another rank has gone ({str(error).splitlines()[0][:160]})") from None


class Ranks(Group):
    """The processes of a training; one alone needs no process group.

    Args:
        rank: of this process.
        world: how many there are.
        local_rank: on this machine.
        local_world: how many are on this machine.
        waiting: the process group in which one may wait for another as long as that takes; None for one process.
        stepping: the process group of steps, in which nobody waits longer than the time limit.
        exact: sums are added in a fixed tree.
    """

    def __init__(
        self,
        *,
        rank: int = 0,
        world: int = 1,
        local_rank: int = 0,
        local_world: int = 1,
        waiting: dist.ProcessGroup | None = None,
        stepping: dist.ProcessGroup | None = None,
        exact: bool = True,
    ) -> None:
        self.rank, self.world, self.local_rank, self.local_world = rank, world, local_rank, local_world
        self.waiting, self.stepping, self.exact = waiting, stepping, exact
        self._got: Tensor | None = None  # received in the last step: to allocate it anew took as long as to receive it

    def gather(self, content: bytes) -> list[bytes]:
        """Return what each rank brings; see `Group.gather`."""
        if self.world == 1:
            return [content]
        sizes = self.numbers(np.array([float(len(content))]))[:, 0].astype(int)
        mine = torch.zeros(max(1, int(sizes.max())), dtype=torch.uint8)
        if content:
            mine[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        found = mine.new_empty(self.world * len(mine))
        with _together():
            dist.all_gather_into_tensor(found, mine, group=self.waiting)
        rows = found.view(self.world, -1).numpy()
        return [row[:size].tobytes() for row, size in zip(rows, sizes.tolist(), strict=True)]

    def numbers(self, own: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the numbers of each rank, float64 `(world, n)`, of which each brings as many."""
        if self.world == 1:
            return own[None]
        found = torch.empty(self.world * len(own), dtype=torch.float64)
        with _together():
            dist.all_gather_into_tensor(found, torch.from_numpy(own), group=self.waiting)
        return found.view(self.world, -1).numpy()

    def broadcast(self, tensors: list[Tensor]) -> None:
        """Overwrite tensors by those of rank 0."""
        if self.world > 1:
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                with _together():
                    dist.broadcast(whole, 0, group=self.waiting)
                tensor.detach().copy_(whole)

    def padded(self, size: int) -> int:
        """Return the size of a vector that divides into as many pieces as there are ranks."""
        return -(-size // self.world) * self.world

    def sum_of_all(self, sums: Mapping[Node, Tensor], shards: int) -> Tensor:
        """Return the sum of all shards of all ranks, added in the order of the tree.

        Args:
            sums: of the subtrees of this rank, `(n,)`, in their order; n is as `padded` says. They may be written into.
            shards: how many there are in all.
        """
        if self.world == 1:
            return total(sums, shards, _add)
        nodes = []
        for rank in range(self.world):
            share = share_of(rank, self.world, shards)
            nodes.append(subtrees(share.first, share.stop))
        own = list(sums.values())
        piece = len(own[0]) // self.world
        sent = own[0] if len(own) == 1 else torch.stack([one.view(self.world, piece) for one in own], 1).flatten()
        counts = [len(of_rank) for of_rank in nodes]
        if self._got is None or len(self._got) != sum(counts) * piece:
            self._got = sent.new_empty(sum(counts) * piece)
        got = self._got
        with _together():
            dist.all_to_all_single(
                got, sent, [count * piece for count in counts], [len(own) * piece] * self.world, group=self.stepping
            )
        pieces = iter(got.view(-1, piece).unbind())
        mine = total({node: next(pieces) for of_rank in nodes for node in of_rank}, shards, _add)
        whole = own[0]
        self._spread(mine, whole.view(self.world, piece))
        return whole

    def _spread(self, mine: Tensor, pieces: Tensor) -> None:
        """Send a piece to all other ranks, and receive theirs: 22 MiB in 20 ms, for which gloo's all-gather takes 55.

        Args:
            mine: of this rank, `(n,)`.
            pieces: of all ranks, `(world, n)`, which is written.
        """
        pieces[self.rank] = mine
        ways = []
        for other in range(self.world):
            if other != self.rank:
                ways.append(dist.P2POp(dist.isend, mine, other, self.stepping))
                ways.append(dist.P2POp(dist.irecv, pieces[other], other, self.stepping))
        with _together():
            for way in dist.batch_isend_irecv(ways):
                way.wait()

    def meet(self, asked: int, parts: int, own: Mapping[int, StepResult], share: Share) -> tuple[Meeting, int]:
        """Exchange the time, signals and the results of the shards of a step.

        Args:
            asked: the number of a signal that this process got; 0 for none.
            parts: into which this process divides its shards.
            own: the result of each of its shards; empty between steps.
            share: of this process.

        Returns:
            What all know, and the number of parts into which all divide their shards from now on.
        """
        most = -(-share.shards // self.world)
        mine = np.zeros(_FACTS + 3 * most)
        mine[:_FACTS] = time.monotonic(), asked, parts
        for number, one in own.items():
            at = _FACTS + 3 * (number - share.first)
            mine[at : at + 3] = one.loss_sum, one.correct, one.samples
        found = self.numbers(mine)
        results = {}
        for rank in range(self.world):
            theirs = share_of(rank, self.world, share.shards)
            for number in range(theirs.first, theirs.stop):
                at = _FACTS + 3 * (number - theirs.first)
                loss_sum, correct, samples = found[rank, at : at + 3].tolist()
                results[(0, number)] = StepResult(loss_sum=loss_sum, correct=correct, samples=int(samples))
        meeting = Meeting(now=float(found[0, 0]), asked=int(found[:, 1].max()), result=summed(results, share.shards))
        return meeting, int(found[:, 2].max())


def summed(results: Mapping[Node, StepResult], shards: int) -> StepResult:
    """Return the results of all shards together, added in the order of the tree."""
    return total(
        results,
        shards,
        lambda a, b: StepResult(
            loss_sum=a.loss_sum + b.loss_sum, correct=a.correct + b.correct, samples=a.samples + b.samples
        ),
    )


def _add(left: Tensor, right: Tensor) -> Tensor:
    return left.add_(right)
