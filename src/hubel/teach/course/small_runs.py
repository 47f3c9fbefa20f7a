"""Train small networks of the catalogue on pictures in memory, one epoch at a time, for curves that grow on a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.random import permutation
from hubel.data.augment import Policy
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch, Labelled, network_input, steps_per_epoch
from hubel.data.shares import Share, numbered_slots
from hubel.tasks.classify import ClassificationObjective
from hubel.tasks.losses import LossSettings
from hubel.training.plan import OptimizerSettings
from hubel.training.trainer import Trainer

__all__ = ["EpochRow", "Pictures", "Score", "labelled", "measure", "run_epochs"]

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Score:
    """A network on pictures.

    Attributes:
        loss: mean cross-entropy; None where it is not finite.
        accuracy: share of the pictures that are classified correctly.
    """

    loss: float | None
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """A network after so many epochs.

    Attributes:
        run: number of the network.
        epoch: epochs that it has trained for.
        train: on the pictures that it learns from.
        test: on others.
    """

    run: int
    epoch: int
    train: Score
    test: Score


class Pictures:
    """Pictures in memory, as hubel's training loads them; none is decoded or augmented.

    Args:
        pixels: uint8 `(n, h, w, 1)`.
        preprocess: normalisation of the network's input.
    """

    def __init__(self, pixels: NDArray[np.uint8], preprocess: Preprocess) -> None:
        self.pixels, self.preprocess = pixels, preprocess

    def __len__(self) -> int:
        return len(self.pixels)

    def epoch(
        self,
        seed: int,
        epoch: int,
        batch_size: int,
        policy: Policy,
        *,
        start: int = 0,
        order: NDArray[np.int64] | None = None,
        share: Share | None = None,
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch; see `hubel.data.samples.Samples.epoch`."""
        chosen = permutation(len(self), seed, epoch) if order is None else order
        steps = steps_per_epoch(len(chosen), batch_size)
        for _, slots in numbered_slots(len(chosen), steps, start=start, share=share):
            yield Batch(chosen[slots], self.pixels[chosen[slots]])

    def in_sequence(self, batch_size: int, *, first: int = 0, every: int = 1) -> Iterator[Batch]:
        """Yield all pictures in order; see `hubel.data.samples.Samples.in_sequence`."""
        for start in range(first * batch_size, len(self), every * batch_size):
            positions = np.arange(start, min(start + batch_size, len(self)))
            yield Batch(positions, self.pixels[positions])

    def network_input(self, pixels: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
        """Return pixels as the network's input; see `hubel.data.samples.network_input`."""
        return network_input(pixels, self.preprocess, device)


def labelled(pictures: NDArray[np.float64], labels: NDArray[np.int64], preprocess: Preprocess) -> Labelled[Pictures]:
    """Return pictures `(n, h, w)` with grey values from 0 to 1, and their classes."""
    return Labelled(Pictures(np.rint(pictures * 255).astype(np.uint8)[..., None], preprocess), labels)


@torch.no_grad()
def measure(network: nn.Module, data: Labelled[Pictures]) -> Score:
    """Measure a network, which is left in the mode for evaluation."""
    network.eval()
    logits = network(data.images.network_input(data.images.pixels))
    targets = torch.from_numpy(data.targets)
    loss = float(nn.functional.cross_entropy(logits, targets))
    right = float((logits.argmax(1) == targets).float().mean())
    return Score(loss=loss if math.isfinite(loss) else None, accuracy=right)


def run_epochs(
    networks: Sequence[tuple[nn.Module, OptimizerSettings, Labelled[Pictures], Labelled[Pictures]]],
    *,
    epochs: int,
    batch_size: int,
    seed: int = 0,
) -> Iterator[EpochRow]:
    """Train networks side by side, at a constant rate, and yield a row a network before and after each epoch.

    One whose loss is no longer finite is left where it is.

    Args:
        networks: each with its optimizer, the pictures to learn from, and others.
        epochs: passes over the pictures.
        batch_size: pictures a step.
        seed: of the order of the pictures, and of dropout.
    """
    trainers = [
        Trainer(
            network,
            ClassificationObjective.of(LossSettings(name="cross_entropy"), train.targets, _CPU, 10),
            settings,
            torch.float32,
        )
        for network, settings, train, _ in networks
    ]
    alive = set(range(len(trainers)))
    for epoch in range(epochs + 1):
        for run in sorted(alive):
            _, settings, train, test = networks[run]
            if epoch:
                batches = train.images.epoch(seed, epoch, batch_size, Policy())
                for step, batch in enumerate(batches):
                    trainers[run].step(train, batch, settings.lr, seed, epoch, step)
            row = EpochRow(
                run=run,
                epoch=epoch,
                train=measure(trainers[run].network, train),
                test=measure(trainers[run].network, test),
            )
            if row.train.loss is None:
                alive.discard(run)
            yield row
