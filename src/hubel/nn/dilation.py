"""Replace stride by dilation: larger maps from the same weights.

A layer that loses its stride computes a denser map; with dilation, the layers after it read every second pixel of it
(or fourth, ...), and so compute the same values as before, and more in between ("a trous"; Yu & Koltun 2015,
arXiv:1511.07122; Chen et al. 2016, arXiv:1606.00915, Section 3.1).
"""

from __future__ import annotations

from torch import nn

from hubel.core.errors import OptionError
from hubel.nn.network import Network

__all__ = ["keep_stride"]

_STRIDES = (4, 8, 16, 32)
_Windowed = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


def keep_stride(network: Network, most: int) -> None:
    """Limit the output stride of a network to `most` by dilation; the weights are unchanged.

    The layers of a block are sequential, except those in its `shortcut`, which run in parallel.

    Raises:
        OptionError: `most` is not a valid stride, or the network has average pooling, which has no dilation.
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
        raise OptionError("output_stride needs layers with dilation, which average pooling does not have")
    layer.padding = _as(layer.padding, dilation * _side(layer.padding))
    layer.dilation = _as(layer.dilation, dilation)


def _side(value: int | tuple[int, ...] | str) -> int:
    """Return the number in an int, or in a tuple of two equal ints."""
    number = value[0] if isinstance(value, tuple) else value
    assert isinstance(number, int)
    return number


def _as(former: object, value: int) -> int | tuple[int, int]:
    """Return a number as an int, or as a tuple if the former value was one."""
    return (value, value) if isinstance(former, tuple) else value
