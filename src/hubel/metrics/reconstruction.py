"""Metrics of image reconstruction. Each is a sum over pixels, divided once at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.language import sentence
from hubel.inference.scores import sigmoid
from hubel.plots.style import INK, canvas, drawable, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "ReconstructionMetrics",
    "draw_reconstructions",
    "mean_errors",
    "measure_reconstruction",
    "reconstruction_errors",
]

_TINY = np.finfo(np.float64).tiny  # 0 log 0 is 0


@dataclass(frozen=True, kw_only=True)
class ReconstructionMetrics:
    """Reconstruction errors of a network, for pixels from 0 to 1.

    Attributes:
        n: number of images.
        mse: mean squared error per pixel.
        bce: mean binary cross-entropy per pixel, in nats.
        entropy: binary cross-entropy of a perfect reconstruction, the lower bound of `bce`; above 0 for grey pixels.
    """

    n: int
    mse: float
    bce: float
    entropy: float

    def to_json(self) -> dict[str, Any]:
        """Return every field as finite JSON values."""
        return asdict(self)


Batches = Iterable[tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]]


def measure_reconstruction(batches: Batches) -> ReconstructionMetrics:
    """Compute the reconstruction errors of a network.

    Args:
        batches: images `(n, c, h, w)`, 0 to 1, and their reconstructions as logits.

    >>> grey = np.full((2, 1, 4, 4), 0.5)
    >>> measure_reconstruction([(grey, 0 * grey)])
    ReconstructionMetrics(n=2, mse=0.0, bce=0.693..., entropy=0.693...)
    """
    return mean_errors(reconstruction_errors(batches))


def mean_errors(errors: NDArray[np.float64]) -> ReconstructionMetrics:
    """Return the means over images of what `reconstruction_errors` returns."""
    mse, bce, entropy = errors.mean(0).tolist()
    return ReconstructionMetrics(n=len(errors), mse=mse, bce=bce, entropy=entropy)


def reconstruction_errors(batches: Batches) -> NDArray[np.float64]:
    """Return squared error, binary cross-entropy and its lower bound of each image, means over its pixels, `(n, 3)`.

    Args:
        batches: images `(n, c, h, w)`, 0 to 1, and their reconstructions as logits.
    """
    errors = []
    for images, logits in batches:
        x, z = images.astype(np.float64), logits.astype(np.float64)
        entropy = -x * np.log(np.maximum(x, _TINY)) - (1 - x) * np.log(np.maximum(1 - x, _TINY))
        parts = (np.square(sigmoid(z) - x), np.logaddexp(0, z) - x * z, entropy)
        errors.append(np.stack([part.mean(tuple(range(1, part.ndim))) for part in parts], axis=1))
    return np.concatenate(errors)


def draw_reconstructions(
    originals: Sequence[NDArray[np.uint8]], reconstructions: Sequence[NDArray[np.uint8]], names: Sequence[str]
) -> Figure:
    """Plot originals in one row and their reconstructions beneath.

    Args:
        originals: uint8 images `(h, w, c)`, grayscale or RGB.
        reconstructions: reconstruction of each, of the same shape.
        names: title of each.
    """
    figure = canvas(1.0 * len(originals) + 1.0, 2.5)
    grid = figure.subplots(2, len(originals), squeeze=False)
    for axes, pixels in zip(grid.flat, [*originals, *reconstructions], strict=True):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(drawable(name, limit=9), fontsize=8, color=INK)
    for axes, row in zip(grid[:, 0], (sentence("axis.original"), sentence("axis.reconstructed")), strict=True):
        axes.set_ylabel(row, fontsize=9, color=INK)
    return finish(figure)
