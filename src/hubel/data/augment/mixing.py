"""Operations that mix each image of a batch with another one of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment.operation import Operation, Setting, Stage

__all__ = ["CUTMIX", "MIXING", "MIXUP", "BatchMixing", "Mixed"]

Mixed = tuple[NDArray[np.uint8], float]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class BatchMixing(Operation[float]):
    """A way to mix two batches of images `(n, h, w, c)`; its setting is alpha of Beta(alpha, alpha).

    Attributes:
        mix: from both batches, the share of the first and a position `(y, x)` in shares of the sides, to the mixed
            images and the share of the first that they have.
    """

    stage: Stage = Stage.BATCH
    mix: Callable[[NDArray[np.uint8], NDArray[np.uint8], float, tuple[float, float]], Mixed]


def _blended(first: NDArray[np.uint8], second: NDArray[np.uint8], share: float, position: tuple[float, float]) -> Mixed:
    """Return the weighted mean of both."""
    out = first.astype(np.float32)
    out *= np.float32(share)
    out += second * np.float32(1 - share)
    return np.rint(out, out=out).astype(np.uint8), share


def _pasted(first: NDArray[np.uint8], second: NDArray[np.uint8], share: float, position: tuple[float, float]) -> Mixed:
    """Paste a rectangle of the images' shape, cut at their edges; what it covers decides the share."""
    height, width = first.shape[1:3]
    side = math.sqrt(1 - share)
    rows, columns = int(height * side), int(width * side)
    y, x = int(position[0] * height), int(position[1] * width)
    down = slice(max(0, y - rows // 2), min(height, y - rows // 2 + rows))
    across = slice(max(0, x - columns // 2), min(width, x - columns // 2 + columns))
    out = first.copy()
    out[:, down, across] = second[:, down, across]
    covered = (down.stop - down.start) * (across.stop - across.start)
    return out, 1 - covered / (height * width)


MIXUP = BatchMixing(name="mixup", settings=(Setting("mixup", (0, 100)),), mix=_blended)
CUTMIX = BatchMixing(name="cutmix", settings=(Setting("cutmix", (0, 100)),), mix=_pasted)
MIXING = (MIXUP, CUTMIX)
