"""The pictures of some rows of an index: decoded, no larger than needed, and kept for the next epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError
from hubel.core.progress import bar
from hubel.core.window import in_order
from hubel.data.augment import Policy
from hubel.data.decode import Decoded
from hubel.data.index import Index, decode_row
from hubel.data.kept import Keep, Kept, plan, reduced, reduced_sizes
from hubel.data.preprocess import Preprocess
from hubel.data.sources.listing import Source

__all__ = ["Pictures", "least_size"]

_CHUNK = 64  # pictures that one task decodes
_MOST_DETAIL = 2.0

Pixels = NDArray[np.uint8]


def least_size(preprocess: Preprocess, policy: Policy) -> tuple[int, int]:
    """Width and height of a picture of which the smallest cut of a policy has a pixel for each of the network's.

    At most twice those of the network's input: from cuts below a quarter of the area, which few images get, a large
    photo would show more, but it would cost many times as much to decode and to keep.

    >>> least_size(Preprocess(224, 224), Policy(crop=0.36)), least_size(Preprocess(224, 224), Policy(crop=0.08))
    ((374, 374), (448, 448))
    """
    factor = min(_MOST_DETAIL, policy.scale / math.sqrt(policy.crop))
    width, height = (math.ceil(side * factor - 1e-6) for side in preprocess.min_size)
    return width, height


class Pictures:
    """Decoded pictures by their position among the rows.

    Args:
        source: where the images are.
        index: what is known of them.
        rows: which of them.
        keep: where decoded ones are kept; see `hubel.data.kept.plan`.
    """

    def __init__(self, source: Source, index: Index, rows: NDArray[np.int64], keep: Keep) -> None:
        self._source, self._index, self._rows, self._how = source, index, rows, keep
        self._kept: dict[str, Kept | None] = {}

    def decoded(self, position: int, min_size: tuple[int, int]) -> Decoded:
        """A picture, at the smallest scale at which it is still twice as large as `min_size`, width and height.

        Raises:
            DecodeError: a file that the index knows as good can no longer be read, or has another size now.
        """
        row = int(self._rows[position])
        path = self._index.paths[row]
        found = decode_row(self._source, row, path, min_size)[0]
        known = int(self._index.width[row]), int(self._index.height[row])
        if (found.width, found.height) != known:
            raise DecodeError(path, f"it has {found.width}x{found.height} pixels now, and had {known[0]}x{known[1]}")
        return found

    def covering(self, least: tuple[int, int]) -> Callable[[int], Pixels]:
        """What gives pictures, `(h, w)` or `(h, w, 3)`, made smaller as far as they still cover a width and a height.

        They are the same whether they are kept or decoded anew. It raises DecodeError like `decoded`.
        """
        kept = self._keeper(f"covers {least[0]}x{least[1]}", lambda: self._shapes(least))
        half = (-(-least[0] // 2), -(-least[1] // 2))

        def picture(position: int) -> Pixels:
            if kept is not None and (known := kept.get(position)) is not None:
                return known
            found = self.decoded(position, half)
            pixels = reduced(found.pixels, (found.width, found.height), least)
            if kept is not None:
                kept.put(position, pixels)
            return pixels

        return picture

    def resized(self, preprocess: Preprocess, threads: int) -> Pixels | None:
        """All at the network's size, `(n, h, w, c)`, decoded at once by threads; None where they are not kept.

        Raises DecodeError like `decoded`.
        """
        n, shape = len(self._rows), (preprocess.height, preprocess.width, preprocess.channels)
        # Mean and deviation are no part of the pixels.
        plain = replace(preprocess, mean=(0.0,) * shape[2], std=(1.0,) * shape[2])
        made = json.dumps(plain.to_json(), sort_keys=True)
        kept = self._keeper(made, lambda: np.broadcast_to(np.array(shape, np.int32), (n, 3)))
        if kept is None:
            return None
        missing = np.flatnonzero(~kept.there)

        def fill(chunk: NDArray[np.int64]) -> int:
            for position in chunk.tolist():
                kept.put(position, preprocess.apply(self.decoded(position, preprocess.min_size).pixels))
            return len(chunk)

        chunks = [missing[i : i + _CHUNK] for i in range(0, len(missing), _CHUNK)]
        with ThreadPoolExecutor(max(1, threads)) as pool, bar("decoding", len(missing)) as progress:
            for done in in_order(pool, fill, chunks, ahead=2 * max(1, threads)):
                progress.step(done)
        kept.publish()
        return kept.pixels.reshape(n, *shape)

    def publish(self) -> None:
        """Let the next run have what is whole."""
        for kept in self._kept.values():
            if kept is not None:
                kept.publish()

    def _shapes(self, least: tuple[int, int]) -> NDArray[np.int32]:
        index, rows = self._index, self._rows
        width, height, channels = index.width[rows], index.height[rows], index.channels[rows]
        across, down = reduced_sizes(width, height, least)
        return np.stack([down, across, channels], 1).astype(np.int32)

    def _keeper(self, made: str, shapes: Callable[[], NDArray[np.int32]]) -> Kept | None:
        """What keeps pictures that are made in some way; asked for once."""
        if made not in self._kept:
            planned = plan(shapes(), self._index.digest[self._rows], self._how, made=made)
            self._kept[made] = None if planned is None else Kept(planned)
        return self._kept[made]
