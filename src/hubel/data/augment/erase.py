"""A square that is set to the image's mean (DeVries & Taylor 2017, arXiv:1708.04552)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment.extremes import from_unchanged
from hubel.data.augment.operation import Operation, Setting, Stage, for_each

__all__ = ["ERASE", "Square", "erase_squares"]

Square = tuple[float, float, float]  # its side as a share of the shorter side, y and x of its centre as shares


def _square(draws: list[float], side: float, odds: float) -> Square | None:
    return (side, draws[0], draws[1]) if draws[2] < odds else None


ERASE: Operation[Square] = Operation(
    name="erase",
    stage=Stage.ERASE,
    settings=(
        Setting(
            "erase",
            (0, 1),
            extremes=from_unchanged(
                lambda side, odds: f"side {side:.0%}, {odds:.0%} of them", lambda side, odds: (side, 0.4, 0.6)
            ),
        ),
    ),
    options=(Setting("erase_odds", (0, 1)),),
    draws=(3, 4, 5),  # y, x, whether
    parameters=for_each(_square),
)


def erase_squares(images: NDArray[np.uint8], squares: Sequence[Square | None]) -> NDArray[np.uint8]:
    """Return images `(n, h, w, c)`, each with its square set to the mean of each channel, rounded down.

    Args:
        images: not changed.
        squares: one for each image; None leaves it unchanged.
    """
    height, width = images.shape[1:3]
    happens = np.array([square is not None for square in squares], bool)
    side, y, x = (
        np.array([square or (0.0, 0.0, 0.0) for square in squares], np.float64).reshape(-1, 3, 1).swapaxes(0, 1)
    )
    half = side * min(height, width) / 2
    near_y = (np.abs(np.arange(height) + 0.5 - y * height) < half) & happens[:, None]
    near_x = np.abs(np.arange(width) + 0.5 - x * width) < half
    mean = images.mean((1, 2), keepdims=True).astype(np.uint8)
    return np.where((near_y[:, :, None] & near_x[:, None, :])[..., None], mean, images)
