"""Decoded images of some rows of an index, no larger than needed, and cached for the next epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.progress import bar
from hubel.core.window import in_order
from hubel.data.augment import Policy
from hubel.data.decode import Decoded
from hubel.data.decode_cache import CacheMode, DecodeCache, plan_cache, reduce_image, reduced_sizes
from hubel.data.index import Index, decode_indexed
from hubel.data.preprocess import Preprocess
from hubel.data.sources.listing import Source

__all__ = ["DecodedImages", "covering_size"]

_CHUNK = 64  # images that one task decodes
_LARGEST_FACTOR = 2.0  # of the network's sides

Pixels = NDArray[np.uint8]


def covering_size(preprocess: Preprocess, policy: Policy) -> tuple[int, int]:
    """Return the width and height at which even the smallest crop of a policy has a pixel for each of the network's.

    They are at most twice those of the network's input. Crops below a quarter of the area, which are few, would show
    more detail of a large photo, but it would cost many times as much to decode and to cache.

    >>> covering_size(Preprocess(224, 224), Policy(crop=0.36)), covering_size(Preprocess(224, 224), Policy(crop=0.08))
    ((374, 374), (448, 448))
    """
    factor = min(_LARGEST_FACTOR, policy.scale / math.sqrt(policy.crop))
    width, height = (math.ceil(side * factor - 1e-6) for side in preprocess.min_size)
    return width, height


class DecodedImages:
    """Decoded images by their positions among the rows.

    Args:
        source: reads the encoded images.
        index: facts of every image of the source.
        rows: the images.
        cache: where decoded images are cached; see `hubel.data.decode_cache.plan_cache`.
    """

    def __init__(self, source: Source, index: Index, rows: NDArray[np.int64], cache: CacheMode) -> None:
        self._source, self._index, self._rows, self._mode = source, index, rows, cache
        self._caches: dict[str, DecodeCache | None] = {}

    def decoded(self, position: int, min_size: tuple[int, int]) -> Decoded:
        """Decode an image at the smallest scale at which it is still twice as large as `min_size`, width and height.

        Raises:
            DecodeError: a file that the index lists as readable can no longer be read, or has changed since.
        """
        return decode_indexed(self._source, self._index, int(self._rows[position]), min_size)

    def covering(self, cover: tuple[int, int]) -> Callable[[int], Pixels]:
        """Return a function that gives the image at a position, `(h, w)` or `(h, w, 3)`, large enough to cover a size.

        The pixels are the same whether they are cached or decoded again. The function raises DecodeError like
        `decoded`.

        Args:
            cover: width and height; larger images are shrunk to the smallest size that covers them.
        """
        cache = self._cache(f"covers {cover[0]}x{cover[1]}", lambda: self._shapes(cover))
        half = (-(-cover[0] // 2), -(-cover[1] // 2))

        def image_at(position: int) -> Pixels:
            if cache is not None and (cached := cache.get(position)) is not None:
                return cached
            found = self.decoded(position, half)
            pixels = reduce_image(found.pixels, (found.width, found.height), cover)
            if cache is not None:
                cache.put(position, pixels)
            return pixels

        return image_at

    def resized(self, preprocess: Preprocess, threads: int) -> Pixels | None:
        """Decode all images by threads and return them at the network's size, `(n, h, w, c)`; None without a cache.

        Raises:
            DecodeError: as by `decoded`.
        """
        cache = self._cache_of_resized(preprocess)
        if cache is None:
            return None
        missing = np.flatnonzero(~cache.filled)

        def fill(chunk: NDArray[np.int64]) -> int:
            for position in chunk.tolist():
                cache.put(position, preprocess.apply(self.decoded(position, preprocess.min_size).pixels))
            return len(chunk)

        chunks = [missing[i : i + _CHUNK] for i in range(0, len(missing), _CHUNK)]
        with ThreadPoolExecutor(max(1, threads)) as pool, bar("decoding", len(missing)) as progress:
            for done in in_order(pool, fill, chunks, ahead=2 * max(1, threads)):
                progress.step(done)
        cache.publish()
        return cache.pixels.reshape(len(self._rows), preprocess.height, preprocess.width, preprocess.channels)

    def resizing(self, preprocess: Preprocess) -> Callable[[int], Pixels]:
        """Return a function that gives the image at a position at the network's size, `(h, w, c)`, when asked for it.

        The pixels are those of `resized`. It is for whoever needs some of the images only; errors as by `decoded`.
        """
        cache = self._cache_of_resized(preprocess)

        def image_at(position: int) -> Pixels:
            if cache is not None and (cached := cache.get(position)) is not None:
                return cached.reshape(preprocess.height, preprocess.width, preprocess.channels)
            pixels = preprocess.apply(self.decoded(position, preprocess.min_size).pixels)
            if cache is not None:
                cache.put(position, pixels)
            return pixels

        return image_at

    def _cache_of_resized(self, preprocess: Preprocess) -> DecodeCache | None:
        shape = (preprocess.height, preprocess.width, preprocess.channels)
        # Mean and deviation are no part of the pixels.
        plain = replace(preprocess, mean=(0.0,) * shape[2], std=(1.0,) * shape[2])
        variant = json.dumps(plain.to_json(), sort_keys=True)
        return self._cache(variant, lambda: np.broadcast_to(np.array(shape, np.int32), (len(self._rows), 3)))

    def publish(self) -> None:
        """Publish the files that are complete, so that the next run finds them."""
        for cache in self._caches.values():
            if cache is not None:
                cache.publish()

    def _shapes(self, cover: tuple[int, int]) -> NDArray[np.int32]:
        index, rows = self._index, self._rows
        width, height, channels = index.width[rows], index.height[rows], index.channels[rows]
        across, down = reduced_sizes(width, height, cover)
        return np.stack([down, across, channels], 1).astype(np.int32)

    def _cache(self, variant: str, shapes: Callable[[], NDArray[np.int32]]) -> DecodeCache | None:
        """Return the cache of images that are computed in one way, planned on the first call."""
        if variant not in self._caches:
            layout = plan_cache(shapes(), self._index.digest[self._rows], self._mode, variant=variant)
            self._caches[variant] = None if layout is None else DecodeCache(layout)
        return self._caches[variant]
