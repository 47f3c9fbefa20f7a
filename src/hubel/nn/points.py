"""The points of an anchor-free detector: one for each pixel of the maps of a feature pyramid. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRIDES", "pyramid_points"]

#: The strides of the maps of a detector's feature pyramid, in pixels of the input.
STRIDES = (8, 16, 32, 64)


def pyramid_points(
    height: int, width: int, strides: Sequence[int] = STRIDES
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the points x, y of an input, in pixels, `(p, 2)`, and the stride of each, `(p,)`.

    The pixel (i, j) of a map of stride s looks at (s / 2 + j s, s / 2 + i s) (Tian et al. 2019, Section 3.1). A map
    has as many rows as strides begin within the height.

    >>> pyramid_points(16, 24, (8,))[0].tolist()
    [[4.0, 4.0], [12.0, 4.0], [20.0, 4.0], [4.0, 12.0], [12.0, 12.0], [20.0, 12.0]]
    """
    places, sizes = [], []
    for stride in strides:
        y, x = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
        places.append(np.stack([x.ravel(), y.ravel()], axis=1) * stride + stride / 2)
        sizes.append(np.full(x.size, stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(sizes).astype(np.float32)
