"""Samples to train on, their batches and targets, and how pixels become a network's input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import Annotation
from hubel.data.augment import Policy
from hubel.data.preprocess import Preprocess
from hubel.data.shares import Share

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Batch", "Labelled", "Samples", "blank_input", "network_input", "steps_per_epoch"]


@dataclass(frozen=True)
class Batch:
    """A batch of samples.

    Attributes:
        positions: positions of the samples among all images, int64 `(n,)`.
        pixels: uint8 `(n, h, w, c)`, resized and augmented, not yet normalised; or feature maps.
        others: positions of the images that mixup or CutMix mixed in, int64 `(n,)`; None without mixing.
        share: of each sample's own image and target in the mix, 0 to 1.
        annotations: of each image, in pixels of the network's input, augmented like the image; empty where none are
            wanted.
        answers: of a teacher for each image as the batch shows it, float32 `(n, k)`; None without a teacher.
    """

    positions: NDArray[np.int64]
    pixels: NDArray[Any]
    others: NDArray[np.int64] | None = None
    share: float = 1.0
    annotations: tuple[Annotation, ...] = ()
    answers: NDArray[np.float32] | None = None

    def part(self, rows: NDArray[np.int64]) -> Batch:
        """Return some rows of the batch as a batch."""
        others = None if self.others is None else self.others[rows]
        annotations = tuple(self.annotations[row] for row in rows.tolist()) if self.annotations else ()
        answers = None if self.answers is None else self.answers[rows]
        return Batch(self.positions[rows], self.pixels[rows], others, self.share, annotations, answers)


class Samples(Protocol):
    """Samples to train on: images, or their feature maps from the frozen part of a network."""

    @property
    def preprocess(self) -> Preprocess:
        """Return the size and normalisation of the network's input."""

    def __len__(self) -> int: ...

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
        """Yield the batches of a training epoch from step `start` on; each image once, unless the policy repeats it.

        With an `order`, `(n,)`, these positions take the place of the random order; a position may stand there again.
        With a `share`, those shards of each batch that are owned come, one by one, without the empty ones.
        """

    def in_sequence(self, batch_size: int, *, first: int = 0, every: int = 1) -> Iterator[Batch]:
        """Yield all images in order and without augmentation, for evaluation.

        Of these batches, those from number `first` on, each `every`-th one: the part of one of several processes.
        """

    def network_input(self, pixels: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
        """Return the pixels of a batch as the network's input, float32 `(n, c, h, w)`."""


def network_input(pixels: NDArray[np.uint8], preprocess: Preprocess, device: torch.device | str = "cpu") -> Tensor:
    """Convert uint8 `(n, h, w, c)` to the network's input, normalised float32 `(n, c, h, w)`.

    The values are those of `Preprocess.normalise`; the memory stays in channels-last order, which convolutions on
    processors with wide vectors prefer.
    """
    import torch  # what only evaluates exported files does without

    # A read-only array (of a memory map, or of a user) is copied: torch has no read-only tensors.
    tensor = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy()).to(device, non_blocking=True)
    # A row at a time: torch is four times as slow where it repeats so few numbers as there are channels.
    scale, shift = (
        torch.from_numpy(np.tile(values, pixels.shape[2])).to(device) for values in preprocess.scale_shift()
    )
    rows = tensor.flatten(2).to(torch.float32).mul_(scale).add_(shift)
    return rows.view(tensor.shape).permute(0, 3, 1, 2)


Kind = TypeVar("Kind", bound=Samples, covariant=True)


@dataclass(frozen=True)
class Labelled(Generic[Kind]):
    """Samples with their targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`."""

    images: Kind
    targets: NDArray[Any]


def blank_input(preprocess: Preprocess, device: torch.device | str = "cpu") -> Tensor:
    """Return an input of zeros, `(1, c, h, w)`, to find the shapes of a network with."""
    import torch  # what only evaluates exported files does without

    return torch.zeros(1, preprocess.channels, preprocess.height, preprocess.width, device=device)


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Return the number of batches of nearly equal size, none larger than `batch_size`, that hold n samples."""
    return -(-n // batch_size)
