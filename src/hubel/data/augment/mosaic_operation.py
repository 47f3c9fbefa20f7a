"""The record of mosaics: whether an image becomes one, where its tiles meet, and which images join it."""

from __future__ import annotations

from typing import NamedTuple

from hubel.data.augment.operation import Operation, Setting, Stage, for_each

__all__ = ["MOSAIC", "MosaicDraw"]

_NEAREST_EDGE = 0.3  # of the point where the tiles meet, as a share of the side


class MosaicDraw(NamedTuple):
    """A mosaic.

    Attributes:
        meet: x and y of the point where the four tiles meet, as shares of the sides.
        others: which images join, as shares of the number of images, from 0 to below 1.
    """

    meet: tuple[float, float]
    others: tuple[float, float, float]


def _drawn(draws: list[float], odds: float) -> MosaicDraw | None:
    if draws[0] >= odds:
        return None
    x, y = (_NEAREST_EDGE + (1 - 2 * _NEAREST_EDGE) * draw for draw in draws[1:3])
    return MosaicDraw((x, y), (draws[3], draws[4], draws[5]))


MOSAIC: Operation[MosaicDraw] = Operation(
    name="mosaic",
    stage=Stage.INTERPOLATION,
    settings=(Setting("mosaic", (0, 1)),),
    draws=(46, 47, 48, 49, 50, 51),  # whether, x, y, three others
    parameters=for_each(_drawn),
)
