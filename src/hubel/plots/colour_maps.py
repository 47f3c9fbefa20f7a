"""Colour maps: numbers as RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.plots.backend import import_matplotlib

__all__ = ["apply_colour_map", "apply_diverging_colour_map"]


def apply_colour_map(
    values: NDArray[Any], name: str = "viridis", low: float = 0.0, high: float | None = None
) -> NDArray[np.uint8]:
    """Return numbers `(h, w)` as RGB by a colour map of matplotlib, from `low` to `high` (the maximum if not given)."""
    colormaps = import_matplotlib().colormaps
    high = float(np.max(values)) if high is None else high
    share = (np.asarray(values, np.float64) - low) / max(high - low, float(np.finfo(float).tiny))
    return np.asarray(colormaps[name](np.clip(share, 0, 1), bytes=True)[..., :3])


def apply_diverging_colour_map(values: NDArray[Any], limit: float | None = None) -> NDArray[np.uint8]:
    """Return numbers `(h, w)` as RGB: blue at `-limit`, white at zero, red at `limit` (the largest absolute value)."""
    limit = float(np.abs(values).max()) if limit is None else limit
    return apply_colour_map(values, "RdBu_r", -limit, limit)
