"""How well a network makes images again. Each number is a sum over pixels, divided once at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.inference.scores import sigmoid
from hubel.plots.style import INK, canvas, drawable, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ReconstructionMetrics", "draw_reconstructions", "measure_reconstruction"]

_TINY = np.finfo(np.float64).tiny  # 0 log 0 is 0


@dataclass(frozen=True)
class ReconstructionMetrics:
    """How near a network's images come to its inputs, pixels from 0 to 1.

    Attributes:
        n: how many images.
        mse: mean squared error of a pixel.
        bce: mean binary cross-entropy of a pixel, in nats.
        entropy: the cross-entropy of a perfect copy, which is the least there can be; grey pixels have some.
    """

    n: int
    mse: float
    bce: float
    entropy: float

    def to_json(self) -> dict[str, Any]:
        """Every field as plain, finite JSON values."""
        return asdict(self)


def measure_reconstruction(
    batches: Iterable[tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]],
) -> ReconstructionMetrics:
    """Measure a network that makes images.

    Args:
        batches: images `(some, c, h, w)`, 0 to 1, and the network's logits for them.

    >>> grey = np.full((2, 1, 4, 4), 0.5)
    >>> measure_reconstruction([(grey, 0 * grey)])
    ReconstructionMetrics(n=2, mse=0.0, bce=0.693..., entropy=0.693...)
    """
    n, pixels, sums = 0, 0, np.zeros(3)
    for images, logits in batches:
        x, z = images.astype(np.float64), logits.astype(np.float64)
        entropy = -x * np.log(np.maximum(x, _TINY)) - (1 - x) * np.log(np.maximum(1 - x, _TINY))
        sums += [part.sum() for part in (np.square(sigmoid(z) - x), np.logaddexp(0, z) - x * z, entropy)]
        n, pixels = n + len(x), pixels + x.size
    mse, bce, least = (sums / pixels).tolist()
    return ReconstructionMetrics(n, mse, bce, least)


def draw_reconstructions(
    originals: Sequence[NDArray[np.uint8]], made: Sequence[NDArray[np.uint8]], names: Sequence[str]
) -> Figure:
    """Originals in one row under their names, and what the network makes of each beneath.

    Args:
        originals: uint8 `(h, w, c)`, grey or RGB.
        made: as many, of the same shapes.
        names: as many.
    """
    figure = canvas(1.0 * len(originals) + 1.0, 2.5)
    grid = figure.subplots(2, len(originals), squeeze=False)
    for axes, pixels in zip(grid.flat, [*originals, *made], strict=True):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(drawable(name, limit=9), fontsize=8, color=INK)
    for axes, row in zip(grid[:, 0], ("original", "made again"), strict=True):
        axes.set_ylabel(row, fontsize=9, color=INK)
    return finish(figure)
