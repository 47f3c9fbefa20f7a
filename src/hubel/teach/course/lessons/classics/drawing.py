"""Layers of a sequential network as a drawing needs them: shape, window, and how the cost comes about."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hubel.analysis.summary import Layer, summary

__all__ = ["DrawnLayer", "drawn_layers"]

# Layers that are drawn; the others keep the shape and have no weights.
_KINDS = {
    "Conv2d": "conv",
    "SparseConv": "conv",
    "SubSampling": "subsampling",
    "AvgPool2d": "average",
    "MaxPool2d": "max",
    "LocalResponseNorm": "norm",
    "Linear": "dense",
    "Distances": "distances",
}
_WEIGHTED = ("conv", "dense", "distances")
_WINDOW = re.compile(r"(\d+)x(\d+)(?: stride (\d+))?(?: pad (\d+))?(?: groups (\d+))?")
# Kernel and stride of LeNet-5's own layers, which have no attributes for them.
_OWN_WINDOWS = {"SubSampling": ((2, 2), 2), "SparseConv": ((5, 5), 1)}


@dataclass(frozen=True, kw_only=True)
class DrawnLayer:
    """One layer of a drawing.

    Attributes:
        label: name of the layer in its paper, such as "C1"; empty where it has none.
        kind: what it is: conv, subsampling, average, max, norm, dense or distances.
        number: of the layer among those of its kind, from 1; poolings are one kind.
        shape: of the output, `(c, h, w)` or `(units,)`.
        below: shape of the input.
        kernel: height and width of the window; `(0, 0)` without one.
        stride: step of the window.
        padding: zeros on each side.
        groups: groups of channels.
        params: parameters.
        macs: multiply-adds for one image.
        field: side of the receptive field in pixels; 0 where each value sees the whole image.
    """

    label: str
    kind: str
    number: int
    shape: tuple[int, ...]
    below: tuple[int, ...]
    kernel: tuple[int, int]
    stride: int
    padding: int
    groups: int
    params: int
    macs: int
    field: int

    @property
    def neurons(self) -> int:
        """Outputs, of layers that multiply by weights."""
        return math.prod(self.shape) if self.kind in _WEIGHTED else 0

    def to_json(self) -> Mapping[str, Any]:
        """Return the fields, and the number of neurons."""
        return {**asdict(self), "neurons": self.neurons}


def drawn_layers(name: str) -> list[DrawnLayer]:
    """Return the layers of a network of the catalogue that a drawing shows, in order."""
    found = summary(name)
    numbers: Counter[str] = Counter()
    drawn: list[DrawnLayer] = []
    below = found.inputs[0]
    for layer in found.layers:
        kind = _KINDS.get(layer.kind)
        if kind is not None:
            numbers[_family(kind)] += 1
            drawn.append(_drawn(layer, kind, below, numbers[_family(kind)]))
        below = layer.shape
    return drawn


def _drawn(layer: Layer, kind: str, below: tuple[int, ...], number: int) -> DrawnLayer:
    window = _WINDOW.match(layer.detail)
    high, wide, stride, padding, groups = (int(found or 0) for found in window.groups()) if window else [0] * 5
    kernel, stride = _OWN_WINDOWS.get(layer.kind, ((high, wide), stride or 1))
    return DrawnLayer(
        label=_label(layer.name),
        kind=kind,
        number=number,
        shape=layer.shape,
        below=below,
        kernel=kernel,
        stride=stride,
        padding=padding,
        groups=groups or 1,
        params=layer.params,
        macs=layer.macs,
        field=0 if layer.field is None or len(layer.shape) == 1 else int(layer.field.rows.size),
    )


def _family(kind: str) -> str:
    return "pool" if kind in ("subsampling", "average", "max") else kind


def _label(name: str) -> str:
    """Return the paper's name of a layer of LeNet-5, such as "F6"; nothing for other layers."""
    own = [part for part in name.split(".") if re.fullmatch(r"[csf]\d", part)]
    return own[0].upper() if own else ""
