"""Load batches of images: decoded by threads, in an order that is a pure function of seed and epoch.

Threads work a bounded number of batches ahead of the network, and their number changes nothing but the time. With a
decode cache, images are held at the network's size where the policy moves them by whole pixels only; other policies
transform the larger images that are cached or decoded again in each epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation
from hubel.core.resources import usable_cores
from hubel.core.window import in_order
from hubel.data.annotation import MASKS, AnnotatedSource, Annotation
from hubel.data.augment import (
    Augmentation,
    Policy,
    augment_batch,
    draw_placed_images,
    join_annotations,
    mix_batch,
    principal_axes,
    transform_annotation,
    transform_image,
)
from hubel.data.balanced_order import draw_epochs
from hubel.data.decode_cache import CacheMode
from hubel.data.decoded import DecodedImages, covering_size
from hubel.data.index import Index
from hubel.data.object_parts import Part, around_object, cut_out, size_of_whole
from hubel.data.part_order import WINDOW_BYTES, order_by_parts
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch, Samples, network_input, steps_per_epoch
from hubel.data.shares import Share, numbered_slots
from hubel.data.sources.columns import ColumnSource
from hubel.data.sources.listing import Source

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Images", "with_principal_axes"]

_AHEAD = 3  # batches that are being decoded while one is used
_COLOUR_SAMPLE = 4096
_AXES_SAMPLE = 256  # images, whose every pixel counts
_CHUNK = 64  # images that one task decodes for the memory, or for the colours
_LARGE = 4 * WINDOW_BYTES  # encoded images of a process's data that are read in the order of their archives
_PLAIN = Policy()

Step = TypeVar("Step")


class Images:
    """Images of a dataset at the network's size; made by `Dataset.images`.

    Args:
        source: reads the encoded images.
        index: facts of every image of the source.
        rows: rows of the index, in this order; positions below count within these.
        preprocess: size and normalisation of the network's input.
        threads: number of decoding threads; 0 decodes in the calling thread, None uses every core.
        cache: where decoded images are cached between epochs; see `hubel.data.decode_cache.plan_cache`.
        annotations: the kind of annotations that batches have, see `hubel.data.annotation`; "" for none.
        objects: of each row the number of the object that is cut out of the image, int64 `(n,)`; see `of_objects`.
    """

    def __init__(
        self,
        source: Source,
        index: Index,
        rows: NDArray[np.int64],
        preprocess: Preprocess,
        *,
        threads: int | None = None,
        cache: CacheMode = "off",
        annotations: str = "",
        objects: NDArray[np.int64] | None = None,
    ) -> None:
        self.annotations, self.objects = annotations, objects
        self.source, self.index, self.rows, self.preprocess = source, index, rows, preprocess
        self.threads = usable_cores() if threads is None else threads
        self.decoded_images = DecodedImages(source, index, rows, cache)
        self._resident: NDArray[np.uint8] | None = None
        self._resizing: Callable[[int], NDArray[np.uint8]] | None = None  # of one process among several

    def __len__(self) -> int:
        return len(self.rows)

    def path(self, position: int) -> str:
        """Return the name of an image as the user knows it, most often its path."""
        return self.index.paths[int(self.rows[position])]

    @cached_property
    def digests(self) -> NDArray[np.void]:
        """Return the BLAKE2b digests of the encoded images, 16 bytes each, `(n,)`."""
        return self.index.digest[self.rows]

    @property
    def splits(self) -> NDArray[np.int8]:
        """Return the codes of the splits that the data itself puts the images into, positions in `SPLITS`, `(n,)`."""
        return self.index.split[self.rows]

    @property
    def label_codes(self) -> NDArray[np.int32]:
        """Return the positions of the images' labels in `label_names`, `(n,)`; -1 without a label."""
        return self.index.label[self.rows]

    @property
    def label_names(self) -> tuple[str, ...]:
        """Return the label texts of the whole dataset; those of several classes join them with "|"."""
        return self.index.labels

    def labels(self, positions: NDArray[np.int64] | None = None) -> list[str]:
        """Return the label texts of images, "" without one.

        Args:
            positions: which images, in this order; all if None.
        """
        return self.index.label_texts(self.rows if positions is None else self.rows[positions])

    def subset(self, positions: NDArray[np.int64], *, cache: CacheMode = "off") -> Images:
        """Return some of the images, in this order, with a decode cache of their own."""
        return Images(
            self.source,
            self.index,
            self.rows[positions],
            self.preprocess,
            threads=self.threads,
            cache=cache,
            annotations=self.annotations,
            objects=None if self.objects is None else self.objects[positions],
        )

    def of_objects(self, positions: NDArray[np.int64], objects: NDArray[np.int64]) -> Images:
        """Return one image for each of some objects: the part of its image around its box, with a margin.

        They are decoded again in each epoch, and each has the annotation of its object alone.

        Args:
            positions: of the objects' images, int64 `(m,)`; one may stand there several times.
            objects: number of the object in the annotation of its image, int64 `(m,)`.
        """
        cut = self.subset(positions)
        cut.objects = objects
        return cut

    def upright(self, position: int, min_size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return an image in its own shape and colours, `(h, w)` or `(h, w, 3)`.

        Args:
            position: which image.
            min_size: width and height that the caller will shrink it to; see `hubel.data.decode.decode`.

        Raises:
            DecodeError: a file that the index lists as readable can no longer be read.
        """
        return self._seen(position, min_size)

    def colours(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of each channel, in units of full scale, over at most 4,096 images."""
        sample = np.sort(permutation(len(self), 0)[:_COLOUR_SAMPLE])
        counts = np.zeros((self.preprocess.channels, 256), np.int64)
        for batch in self._plain(sample, _CHUNK):
            for channel, count in enumerate(counts):
                count += np.bincount(batch.pixels[..., channel].ravel(), minlength=256)
        level, share = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
        mean = share @ level
        std = np.sqrt((share * (level - mean[:, None]) ** 2).sum(1)).round(4)
        return tuple(mean.round(4).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())

    def principal_axes(self) -> tuple[tuple[float, float, float], ...]:
        """Return the principal axes of the colours of at most 256 of the images; see `Policy.axes`."""
        sample = np.sort(permutation(len(self), 0)[:_AXES_SAMPLE])
        return principal_axes(np.concatenate([batch.pixels for batch in self._plain(sample, _CHUNK)]))

    def normalised_by(self, preprocess: Preprocess) -> Images:
        """Return the same images for a network with another mean and standard deviation; none is decoded again."""
        other = copy.copy(self)
        other.preprocess = preprocess
        return other

    def at(self, preprocess: Preprocess) -> Images:
        """Return the same images for a network with another input; both share what is decoded."""
        other = copy.copy(self)
        other.preprocess, other._resident, other._resizing = preprocess, None, None
        return other

    def network_input(self, pixels: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
        """Return the pixels of a batch as the network's input; see `network_input`."""
        return network_input(pixels, self.preprocess, device)

    def pixels(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return images at the network's size, uint8 `(n, h, w, c)`.

        Raises:
            DecodeError: a file that the index lists as readable can no longer be read.
        """
        if self._resident is not None:
            return self._resident[positions]
        out = self._empty(len(positions))
        for i, position in enumerate(positions.tolist()):
            out[i] = self._decode(position)
        return out

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
        """Yield the batches of a training epoch from step `start` on; see `Samples.epoch`."""
        n = len(self)
        chosen = self._order(seed, epoch, batch_size, policy, share) if order is None else order
        order = np.repeat(chosen[: -(-n // policy.repeats)], policy.repeats)[:n]
        epochs = draw_epochs(order, epoch)
        steps = numbered_slots(n, steps_per_epoch(n, batch_size), start=start, share=share)

        def load(step: tuple[int, NDArray[np.int64]]) -> Batch:
            number, slots = step
            positions = order[slots]
            pixels = self.augmented(positions, policy, seed, epochs[slots])
            mixed, others, share = mix_batch(pixels, policy, seed, epoch, number)
            annotations = self.augmented_annotations(positions, policy, seed, epochs[slots])
            return Batch(positions, mixed, None if others is None else positions[others], share, annotations)

        if policy.keeps_pixels:
            self._decode_all() if share is None else self._decode_some()
        elif self.objects is None:
            self.decoded_images.covering(covering_size(self.preprocess, policy))  # here, not in several threads at once
        yield from self._batches(load, steps, at_once=policy.keeps_pixels and policy.keeps_colours)
        self.decoded_images.publish()

    def _order(self, seed: int, epoch: int, batch_size: int, policy: Policy, share: Share | None) -> NDArray[np.int64]:
        """Return a random order: of several processes, each reads its own parts of what is large and lies in parts."""
        n, index = len(self), self.index
        sizes = index.size[self.rows]
        if share is None or not len(index.parts) or policy.repeats > 1 or int(sizes.sum()) < _LARGE:
            return permutation(n, seed, epoch)
        if isinstance(self.source, ColumnSource):
            self.source.hold_windows(share.stop - share.first)
        steps = steps_per_epoch(n, batch_size)
        return order_by_parts(self.rows, index.parts, sizes, steps=steps, shards=share.shards, keys=(seed, epoch))

    def augmented(
        self, positions: NDArray[np.int64], policy: Policy, seed: int, epochs: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return images, each augmented with the draws of its epoch, uint8 `(n, h, w, c)`, before mixup and CutMix.

        Raises:
            DecodeError: a file that the index lists as readable can no longer be read.
        """
        samples = self.rows[positions]
        if policy.keeps_pixels:
            fill = "black" if self.preprocess.resize == "pad" else policy.fill
            return augment_batch(self.pixels(positions), policy, seed=seed, epoch=epochs, samples=samples, fill=fill)
        out = self._empty(len(positions))
        cover = covering_size(self.preprocess, policy)
        picture = self.decoded_images.covering(cover) if self.objects is None else partial(self._seen, min_size=cover)
        drawn = draw_placed_images(policy, self.preprocess, seed, epochs, positions, self.rows)
        for pixels, tiles in zip(out, drawn, strict=True):
            for tile in tiles:
                left, top, right, bottom = tile.place
                pixels[top:bottom, left:right] = transform_image(
                    picture(tile.position), tile.preprocess, tile.augmentation
                )
        return out

    def annotation(self, position: int) -> Annotation:
        """Return the annotation of an image, in pixels of the upright image.

        Raises:
            DecodeError: its mask can no longer be read.
        """
        assert isinstance(self.source, AnnotatedSource), "the data has no annotations"
        whole = self.source.annotation(int(self.rows[position]), masks=self.annotations == MASKS)
        if self.objects is None:
            return whole
        left, top, _, _ = self._part(position)
        return whole.object(int(self.objects[position])).moved(-left, -top)

    def shape(self, position: int) -> tuple[int, int]:
        """Return height and width of an upright image."""
        if self.objects is not None:
            left, top, right, bottom = self._part(position)
            return bottom - top, right - left
        row = int(self.rows[position])
        return int(self.index.height[row]), int(self.index.width[row])

    def _part(self, position: int) -> Part:
        """Return the part of an image that shows its object."""
        assert self.objects is not None
        assert isinstance(self.source, AnnotatedSource)
        row = int(self.rows[position])
        box = self.source.annotation(row, masks=False).boxes[int(self.objects[position])]
        return around_object(box, (int(self.index.height[row]), int(self.index.width[row])), self.preprocess)

    def _seen(self, position: int, min_size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the decoded image, or the part of it that shows its object, large enough for a width and height."""
        if self.objects is None:
            return self.decoded_images.decoded(position, min_size).pixels
        part, row = self._part(position), int(self.rows[position])
        size = int(self.index.width[row]), int(self.index.height[row])
        return cut_out(self.decoded_images.decoded(position, size_of_whole(part, size, min_size)).pixels, part, size)

    def augmented_annotations(
        self, positions: NDArray[np.int64], policy: Policy, seed: int, epochs: NDArray[np.int64]
    ) -> tuple[Annotation, ...]:
        """Return the annotations of images with the draws of `augmented`; none where none are wanted.

        Raises:
            DecodeError: a mask can no longer be read.
        """
        if not self.annotations:
            return ()
        drawn = draw_placed_images(policy, self.preprocess, seed, epochs, positions, self.rows)
        return tuple(
            join_annotations(
                [(self.transformed_annotation(t.position, t.preprocess, t.augmentation), t.place) for t in tiles],
                self.preprocess,
            )
            for tiles in drawn
        )

    def transformed_annotation(self, position: int, preprocess: Preprocess, augmentation: Augmentation) -> Annotation:
        """Return the annotation of an image, moved as `transform_image` moves its pixels.

        Args:
            position: which image.
            preprocess: size of what the image becomes.
            augmentation: its draws.

        Raises:
            DecodeError: its mask can no longer be read.
        """
        assert isinstance(self.source, AnnotatedSource), "the data has no annotations"
        return transform_annotation(
            self.annotation(position),
            preprocess,
            augmentation,
            self.shape(position),
            point_mirror=self.source.point_mirror,
        )

    def in_sequence(self, batch_size: int, *, first: int = 0, every: int = 1) -> Iterator[Batch]:
        """Yield all images in order and without augmentation, for evaluation; see `Samples.in_sequence`."""
        self._decode_all() if every == 1 else self._decode_some()
        yield from self._plain(np.arange(len(self)), batch_size, first=first, every=every)

    def _plain(
        self, positions: NDArray[np.int64], batch_size: int, *, first: int = 0, every: int = 1
    ) -> Iterator[Batch]:
        steps = [positions[i : i + batch_size] for i in range(0, len(positions), batch_size)][first::every]

        def load(step: NDArray[np.int64]) -> Batch:
            return Batch(
                step, self.pixels(step), annotations=self.augmented_annotations(step, _PLAIN, 0, np.zeros_like(step))
            )

        return self._batches(load, steps, at_once=True)

    def _batches(self, load: Callable[[Step], Batch], steps: list[Step], *, at_once: bool) -> Iterator[Batch]:
        """Yield the batches of steps, computed by threads.

        Args:
            load: computes the batch of a step.
            steps: all steps.
            at_once: no threads are needed once all images are held at the network's size.
        """
        if self.threads == 0 or (at_once and self._resident is not None):
            yield from map(load, steps)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            yield from in_order(pool, load, steps, ahead=max(_AHEAD, self.threads))

    def _decode_all(self) -> None:
        """Hold all images at the network's size, if they are cached.

        Not before the first batch is asked for: training on cached features decodes no image.
        """
        if self._resident is None and self.objects is None:
            self._resident = self.decoded_images.resized(self.preprocess, self.threads)

    def _decode_some(self) -> None:
        """Decode, and cache, only the images that are asked for: one process of several sees but its own."""
        if self._resizing is None and self.objects is None:
            self._resizing = self.decoded_images.resizing(self.preprocess)

    def decoded(self, position: int) -> NDArray[np.uint8]:
        """Decode an image, `(h, w)` or `(h, w, 3)`, at the smallest scale that is enough for the network's input.

        Raises:
            DecodeError: a file that the index lists as readable can no longer be read.
        """
        return self._seen(position, self.preprocess.min_size)

    def _decode(self, position: int) -> NDArray[np.uint8]:
        if self._resizing is not None:
            return self._resizing(position)
        return self.preprocess.apply(self.decoded(position))

    def _empty(self, n: int) -> NDArray[np.uint8]:
        return np.empty((n, self.preprocess.height, self.preprocess.width, self.preprocess.channels), np.uint8)


def with_principal_axes(policy: Policy, images: Samples) -> Policy:
    """Return the policy with the principal axes of the images' colours, if it augments along these and names none."""
    if not policy.pca or policy.axes != Policy.axes or not isinstance(images, Images):
        return policy
    colour = images.preprocess.channels == 3 and len(images) > 0
    return replace(policy, axes=images.principal_axes()) if colour else policy
