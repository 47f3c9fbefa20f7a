"""Size of the values from layer to layer, for initial weights of a size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import normal

__all__ = ["LARGE", "LAYERS", "SMALL", "UNITS", "root_mean_squares"]

LAYERS, UNITS = 10, 64
SMALL, LARGE = 0.01, 4.0  # standard deviation of small weights; factor of large ones over those of He et al.
_SEED = 3


def root_mean_squares(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root mean square of the input and of each of ten ReLU layers, `(11,)`.

    The weights are drawn from N(0, 2 / fan_in) (He et al. 2015, Eq. 10), without biases. Weights that are all g times
    as large make layer l exactly g^l times as large.

    Args:
        pictures: standardised, `(n, 64)`.
    """
    values, sizes = pictures, [np.sqrt((pictures**2).mean())]
    for layer in range(LAYERS):
        weights = normal(_SEED, layer, np.arange(UNITS)[:, None], np.arange(UNITS)) * np.sqrt(2 / UNITS)
        values = np.maximum(values @ weights, 0)
        sizes.append(np.sqrt((values**2).mean()))
    return np.array(sizes)
