"""Overlay of a map on its image, as a heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.plots.colour_maps import apply_colour_map

__all__ = ["overlay"]

_SATURATED = 99.5  # percentile that has the full colour: single pixels must not darken all others
_OPACITY = 0.75  # of the heat map at its maximum
_BRIGHTNESS = 0.75  # of the image under the heat map


def overlay(pixels: NDArray[np.uint8], values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image in grey under the heat map of `values`: transparent at zero and below, yellow at the maximum.

    Args:
        pixels: uint8 `(h, w, 1)` or RGB `(h, w, 3)`.
        values: `(h, w)`.

    Returns:
        RGB uint8 `(h, w, 3)`.
    """
    heat = np.clip(values, 0, None)
    heat = np.clip(heat / (float(np.percentile(heat, _SATURATED)) or float(heat.max()) or 1.0), 0, 1)
    grey = pixels.mean(2, keepdims=True)
    opacity = _OPACITY * heat[..., None] ** 0.7
    mixed = (1 - opacity) * grey * _BRIGHTNESS + opacity * apply_colour_map(heat, "inferno", high=1.0)
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), np.uint8)
