"""Images of an index on their way to the network: decoded by threads, in an order that is a pure function.

Small sets are decoded once and stay in memory as bytes; large ones are decoded again in each epoch, by threads that
work a bounded number of batches ahead. So are those that are changed by more than whole pixels: such a change needs the
picture as it is. The number of threads changes nothing but the time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hubel.core.random import permutation
from hubel.core.resources import usable_cores
from hubel.core.window import in_order
from hubel.data.augment import Policy, augment, changed, draw, mix, principal_axes
from hubel.data.index import Index
from hubel.data.kept import Keep
from hubel.data.pictures import Pictures, least_size
from hubel.data.preprocess import Preprocess
from hubel.data.sources.listing import Source

__all__ = ["Batch", "Images", "Labelled", "Samples", "blank_input", "network_input", "steps_per_epoch", "suited"]

_AHEAD = 3  # batches that are being decoded while one is used
_COLOUR_SAMPLE = 4096
_AXES_SAMPLE = 256  # images, whose every pixel counts
_CHUNK = 64  # images that one task decodes for the memory, or for the colours
_TURN = 2**32  # epochs; what an image is drawn for when it stands in one again

Step = TypeVar("Step")


@dataclass(frozen=True)
class Batch:
    """Some samples.

    Attributes:
        positions: their places among the images, int64 `(n,)`.
        pixels: uint8 `(n, h, w, c)`, resized and augmented, not yet normalised; or maps.
        others: where images are mixed, int64 `(n,)`: the place among all images of the one that each is mixed with.
        share: of each image that is its own; the rest is the other one's.
    """

    positions: NDArray[np.int64]
    pixels: NDArray[Any]
    others: NDArray[np.int64] | None = None
    share: float = 1.0

    def part(self, some: NDArray[np.int64]) -> Batch:
        """The samples at some places of the batch."""
        others = None if self.others is None else self.others[some]
        return Batch(self.positions[some], self.pixels[some], others, self.share)


class Samples(Protocol):
    """What a network learns from: images, or what the frozen part of a network has made of them."""

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes the network's input."""

    def __len__(self) -> int: ...

    def epoch(self, seed: int, epoch: int, batch_size: int, policy: Policy, *, start: int = 0) -> Iterator[Batch]:
        """The training batches of an epoch from step `start` on; every image comes once, unless a policy repeats it."""

    def in_sequence(self, batch_size: int) -> Iterator[Batch]:
        """All images in order and unchanged, as evaluation sees them."""

    def network_input(self, pixels: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
        """A batch's pixels as the network sees them, `(n, c, h, w)`."""


def network_input(pixels: NDArray[np.uint8], preprocess: Preprocess, device: torch.device | str = "cpu") -> Tensor:
    """uint8 `(n, h, w, c)` as the normalised float32 `(n, c, h, w)` that a network sees.

    The values are those of `Preprocess.normalise`; the memory stays in channels-last order, which convolutions on
    processors with wide vectors prefer.
    """
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
    """Images, or maps of them, with their targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`."""

    images: Kind
    targets: NDArray[Any]


def blank_input(preprocess: Preprocess, device: torch.device | str = "cpu") -> Tensor:
    """An input `(1, c, h, w)` of zeros: what shapes are seen from."""
    return torch.zeros(1, preprocess.channels, preprocess.height, preprocess.width, device=device)


def suited(policy: Policy, images: Samples) -> Policy:
    """A policy with the principal colours of these images, where it changes those and does not name them itself."""
    if not policy.pca or policy.axes != Policy.axes or not isinstance(images, Images):
        return policy
    colour = images.preprocess.channels == 3 and len(images) > 0
    return replace(policy, axes=images.principal_axes()) if colour else policy


def steps_per_epoch(n: int, batch_size: int) -> int:
    """How many batches of nearly equal size, none larger than `batch_size`, hold n samples."""
    return -(-n // batch_size)


class Images:
    """Rows of an index at the network's size.

    Args:
        source: where the images are.
        index: what is known of them.
        rows: which of them, in this order; positions below count within these.
        preprocess: the size and the colours.
        threads: that decode; 0 decodes in the calling thread, None uses every core.
        keep: where decoded images are kept for whoever walks through them again; see `hubel.data.kept.plan`.
    """

    def __init__(
        self,
        source: Source,
        index: Index,
        rows: NDArray[np.int64],
        preprocess: Preprocess,
        *,
        threads: int | None = None,
        keep: Keep = "off",
    ) -> None:
        self.source, self.index, self.rows, self.preprocess = source, index, rows, preprocess
        self.threads = usable_cores() if threads is None else threads
        self.pictures = Pictures(source, index, rows, keep)
        self._resident: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def path(self, position: int) -> str:
        """How an image is named to the user."""
        return self.index.paths[int(self.rows[position])]

    def colours(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, in units of full scale, over at most 4,096 of the images."""
        some = np.sort(permutation(len(self), 0)[:_COLOUR_SAMPLE])
        counts = np.zeros((self.preprocess.channels, 256), np.int64)
        for batch in self._plain(some, _CHUNK):
            for channel, count in enumerate(counts):
                count += np.bincount(batch.pixels[..., channel].ravel(), minlength=256)
        level, share = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
        mean = share @ level
        std = np.sqrt((share * (level - mean[:, None]) ** 2).sum(1)).round(4)
        return tuple(mean.round(4).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())

    def principal_axes(self) -> tuple[tuple[float, float, float], ...]:
        """The principal colours of at most 256 of the images, as `Policy.axes` has them."""
        some = np.sort(permutation(len(self), 0)[:_AXES_SAMPLE])
        return principal_axes(np.concatenate([batch.pixels for batch in self._plain(some, _CHUNK)]))

    def normalised_by(self, preprocess: Preprocess) -> Images:
        """The same images for a network with another mean and standard deviation; nothing is decoded again."""
        other = copy.copy(self)
        other.preprocess = preprocess
        return other

    def network_input(self, pixels: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
        """A batch of these images as the network sees it; see `network_input`."""
        return network_input(pixels, self.preprocess, device)

    def pixels(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some images, uint8 `(n, h, w, c)`.

        Raises:
            DecodeError: a file that the index knows as good can no longer be read.
        """
        if self._resident is not None:
            return self._resident[positions]
        out = self._empty(len(positions))
        for place, position in enumerate(positions.tolist()):
            out[place] = self._decode(position)
        return out

    def epoch(self, seed: int, epoch: int, batch_size: int, policy: Policy, *, start: int = 0) -> Iterator[Batch]:
        """The training batches of an epoch from step `start` on; every image comes once, unless a policy repeats it."""
        n = len(self)
        order = np.repeat(permutation(n, seed, epoch)[: -(-n // policy.repeats)], policy.repeats)[:n]
        places = np.array_split(np.arange(n), steps_per_epoch(n, batch_size))
        steps = list(enumerate(places))[start:]

        def make(step: tuple[int, NDArray[np.int64]]) -> Batch:
            number, some = step
            positions, drawn_for = order[some], epoch + _TURN * (some % policy.repeats)
            pixels = self.augmented(positions, policy, seed, drawn_for)
            mixed, others, share = mix(pixels, policy, seed, epoch, number)
            return Batch(positions, mixed, None if others is None else positions[others], share)

        if policy.keeps_pixels:
            self._decode_all()
        else:
            self.pictures.covering(least_size(self.preprocess, policy))  # here, not in several threads at once
        yield from self._made(make, steps, at_once=policy.keeps_pixels and policy.keeps_colours)
        self.pictures.publish()

    def augmented(
        self, positions: NDArray[np.int64], policy: Policy, seed: int, epochs: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Some images, each changed as in one of the epochs, uint8 `(n, h, w, c)`; not mixed.

        Raises:
            DecodeError: a file that the index knows as good can no longer be read.
        """
        samples = self.rows[positions]
        if policy.keeps_pixels:
            return augment(self.pixels(positions), policy, seed=seed, epoch=epochs, samples=samples)
        out = self._empty(len(positions))
        picture = self.pictures.covering(least_size(self.preprocess, policy))
        for place, change in enumerate(draw(policy, seed, epochs, samples)):
            out[place] = changed(picture(int(positions[place])), self.preprocess, change)
        return out

    def in_sequence(self, batch_size: int) -> Iterator[Batch]:
        """All images in order and unchanged, as evaluation sees them."""
        self._decode_all()
        yield from self._plain(np.arange(len(self)), batch_size)

    def _plain(self, positions: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        steps = [positions[i : i + batch_size] for i in range(0, len(positions), batch_size)]
        return self._made(lambda some: Batch(some, self.pixels(some)), steps, at_once=True)

    def _made(self, make: Callable[[Step], Batch], steps: list[Step], *, at_once: bool) -> Iterator[Batch]:
        """Batches, made by threads.

        Args:
            make: a batch of a step.
            steps: all of them.
            at_once: if all images are at hand at the network's size, there is nothing to do that is worth a thread.
        """
        if self.threads == 0 or (at_once and self._resident is not None):
            yield from map(make, steps)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            yield from in_order(pool, make, steps, ahead=max(_AHEAD, self.threads))

    def _decode_all(self) -> None:
        """Have all images at the network's size, if they may be kept.

        Not before somebody walks through them: whoever has all features cached decodes none.
        """
        if self._resident is None:
            self._resident = self.pictures.resized(self.preprocess, self.threads)

    def decoded(self, position: int) -> NDArray[np.uint8]:
        """An image as it is, `(h, w)` or `(h, w, 3)`, at the smallest scale that still makes the network's input.

        Raises:
            DecodeError: a file that the index knows as good can no longer be read.
        """
        return self.pictures.decoded(position, self.preprocess.min_size).pixels

    def _decode(self, position: int) -> NDArray[np.uint8]:
        return self.preprocess.apply(self.decoded(position))

    def _empty(self, n: int) -> NDArray[np.uint8]:
        return np.empty((n, self.preprocess.height, self.preprocess.width, self.preprocess.channels), np.uint8)
