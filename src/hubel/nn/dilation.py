"""Larger maps from the same weights: dilation in the place of stride.

A layer that loses its stride makes a denser map; those after it look at every second pixel of it (or fourth, ...), so
each finds what it found before, and more between ("a trous"; Yu & Koltun 2015, arXiv:1511.07122; Chen et al. 2016,
arXiv:1606.00915, Section 3.1).
"""

from __future__ import annotations

from torch import nn

from hubel.core.errors import OptionError
from hubel.nn.network import Network

__all__ = ["keep_stride"]

_STRIDES = (4, 8, 16, 32)
_Windowed = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


def keep_stride(network: Network, most: int) -> None:
    """Let no map of a network be more than `most` times smaller than the image; the weights stay as they are.

    The layers of a block follow one another, except those in its `shortcut`, which run beside them.

    Raises:
        OptionError: `most` is no stride, or the network shrinks its maps by averaging, which has no dilation.
    """
    if most not in _STRIDES:
        raise OptionError(f"output_stride is one of {', '.join(map(str, _STRIDES))}, not {most}")
    sections = [section for section in (network.stem, *network.stages) if isinstance(section, nn.Sequential)]
    stride = dilation = 1
    for block in (block for section in sections for block in section):
        layers = [(name.split("."), m) for name, m in block.named_modules() if isinstance(m, _Windowed)]
        dilation_before = dilation
        for layer in (layer for name, layer in layers if "shortcut" not in name):
            step = _side(layer.stride)
            if dilation > 1 and _side(layer.kernel_size) > 1:
                _dilate(layer, dilation)
            if stride * step <= most:
                stride *= step
            else:
                layer.stride = _as(layer.stride, 1)
                dilation *= step
        for layer in (layer for name, layer in layers if "shortcut" in name and dilation > dilation_before):
            layer.stride = _as(layer.stride, 1)


def _dilate(layer: _Windowed, dilation: int) -> None:
    if isinstance(layer, nn.AvgPool2d):
        raise OptionError("output_stride needs layers that can be dilated, and averaging cannot")
    layer.padding = _as(layer.padding, dilation * _side(layer.padding))
    layer.dilation = _as(layer.dilation, dilation)


def _side(value: int | tuple[int, ...] | str) -> int:
    """The number in an int, or in a tuple of two equal ones."""
    number = value[0] if isinstance(value, tuple) else value
    assert isinstance(number, int)
    return number


def _as(former: object, value: int) -> int | tuple[int, int]:
    """A number, as an int or a tuple as it was before."""
    return (value, value) if isinstance(former, tuple) else value
