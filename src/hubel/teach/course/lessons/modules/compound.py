"""EfficientNets of any compound coefficient: their layers, parameters and multiply-adds by formula.

Tan & Le 2019, arXiv:1905.11946, Eq. 3 and Table 1. The network itself, built and traced, has the same numbers; the
formulas take no time, so that a slider can move through them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hubel.models.efficientnet import HEAD, STEM, TABLE_1, MBConvRow
from hubel.nn.layers import round_channels

__all__ = ["ALPHA", "BETA", "GAMMA", "ScaledNetwork", "scaled", "scaled_by"]

#: Bases of depth, width and resolution (Section 3.3).
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
_RESOLUTION, _COLOURS, _CLASSES = 224, 3, 1000


@dataclass(frozen=True, kw_only=True)
class ScaledNetwork:
    """A scaled network.

    Attributes:
        depth: factor of the layers of each row of Table 1.
        width: factor of all maps.
        resolution: height and width of the image.
        layers: blocks of all rows.
        channels: maps of the stem and of each row.
        params: parameters.
        macs: multiply-adds for one image.
    """

    depth: float
    width: float
    resolution: int
    layers: int
    channels: tuple[int, ...]
    params: int
    macs: int

    def to_json(self) -> Mapping[str, Any]:
        """Return the fields."""
        return asdict(self)


def scaled(phi: float) -> ScaledNetwork:
    """Return the network of a compound coefficient (Eq. 3)."""
    return scaled_by(ALPHA**phi, BETA**phi, round(_RESOLUTION * GAMMA**phi))


def scaled_by(depth: float, width: float, resolution: int) -> ScaledNetwork:
    """Return the network of three factors that need not belong to one coefficient."""
    stem = round_channels(STEM * width)
    side = _halved(resolution)
    cost = _conv(_COLOURS, stem, 3, side)
    channels, below, layers = [stem], stem, 0
    for row in TABLE_1:
        repeats, out = math.ceil(row.layers * depth), round_channels(row.channels * width)
        for number in range(repeats):
            after = _halved(side) if number == 0 and row.stride == 2 else side
            cost = _sum(cost, _mbconv(row, below, out, side, after))
            below, side = out, after
        channels.append(out)
        layers += repeats
    head = round_channels(HEAD * width)
    dense = (head * _CLASSES + _CLASSES, head * _CLASSES)
    params, macs = _sum(cost, _conv(below, head, 1, side), dense)
    return ScaledNetwork(
        depth=depth,
        width=width,
        resolution=resolution,
        layers=layers,
        channels=tuple(channels),
        params=params,
        macs=macs,
    )


_Cost = tuple[int, int]  # parameters, multiply-adds


def _sum(*costs: _Cost) -> _Cost:
    return sum(params for params, _ in costs), sum(macs for _, macs in costs)


def _halved(side: int) -> int:
    return -(-side // 2)


def _conv(channels: int, out: int, kernel: int, side: int, groups: int = 1) -> _Cost:
    """Return the cost of a convolution with batch norm, `side` pixels each way behind it."""
    weights = kernel * kernel * channels * out // groups
    return weights + 2 * out, weights * side * side


def _mbconv(row: MBConvRow, channels: int, out: int, side: int, after: int) -> _Cost:
    """Return the cost of expansion, depthwise convolution, squeeze-and-excitation and projection."""
    wide, squeezed = row.expansion * channels, max(1, channels // 4)
    expand = _conv(channels, wide, 1, side) if row.expansion > 1 else (0, 0)
    depthwise = _conv(wide, wide, row.kernel, after, groups=wide)
    excite = (2 * wide * squeezed + squeezed + wide, 2 * wide * squeezed)
    return _sum(expand, depthwise, excite, _conv(wide, out, 1, after))
