"""Pooling step by step: the largest value or the mean of each window, one map at a time, without weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError, UnknownNameError
from hubel.teach.convolution.arithmetic import Convolution, ConvolutionSettings, Size, make_convolution
from hubel.teach.convolution.steps import window_slices

__all__ = ["POOLINGS", "PoolingStep", "make_pooling", "pool_map", "pooling_steps"]

Floats = NDArray[np.float64]

#: The value of a window, by the name of the pooling; padded places are not part of it.
POOLINGS: dict[str, Callable[[Floats], float]] = {
    "max": lambda seen: float(np.nanmax(seen)),
    "average": lambda seen: float(np.nanmean(seen)),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolingStep:
    """One position of the window.

    Attributes:
        position: position of the output.
        seen: values under the window; nan where it reaches beyond the map.
        result: the largest of them, or their mean.
    """

    position: tuple[int, ...]
    seen: Floats
    result: float


def make_pooling(channels: int, size: Size, settings: ConvolutionSettings) -> Convolution:
    """Check the settings of a pooling and return its window, stride and padding as a layer that keeps channels apart.

    Raises:
        OptionError: a setting is out of its range or has no meaning for a pooling.
    """
    if settings.transposed or any(settings.output_padding) or settings.groups > 1:
        raise OptionError("a pooling is not transposed and has no groups: it takes each map by itself")
    layer = make_convolution(channels, channels, size, replace(settings, groups=channels))
    for (before, after), kernel in zip(layer.padding, layer.kernel_size, strict=True):
        if not isinstance(settings.padding, str) and max(before, after) > kernel // 2:
            raise OptionError(
                f"padding of a pooling is at most half its window, {kernel // 2}, not {max(before, after)}"
            )
    return layer


def pooling_steps(layer: Convolution, values: Floats, kind: str) -> Iterator[PoolingStep]:
    """Yield the steps of a pooling over one map, row by row.

    Args:
        layer: the pooling, from `make_pooling`.
        values: the map, `(w,)` or `(h, w)`.
        kind: a key of `POOLINGS`.

    Raises:
        UnknownNameError: there is no such pooling.
    """
    if kind not in POOLINGS:
        raise UnknownNameError("pooling", kind, POOLINGS)
    padded = np.pad(values, layer.padding, constant_values=np.nan)
    for position in itertools.product(*map(range, layer.output_size(values.shape))):
        seen = padded[window_slices(layer, position, layer.kernel_size)]
        yield PoolingStep(position=position, seen=seen, result=POOLINGS[kind](seen))


def pool_map(layer: Convolution, values: Floats, kind: str) -> Floats:
    """Return the output of a pooling over one map, `(w,)` or `(h, w)`."""
    results = [step.result for step in pooling_steps(layer, values, kind)]
    return np.array(results).reshape(layer.output_size(values.shape))
