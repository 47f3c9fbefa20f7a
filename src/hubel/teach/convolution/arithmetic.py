"""Convolution arithmetic: output size, weights, multiplications.

All of it is exact integer arithmetic. A layer has one or two axes, height before width.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hubel.core.errors import OptionError

__all__ = ["Convolution", "ConvolutionSettings", "Size", "format_dimensions", "make_convolution", "parse_dimensions"]

Size = tuple[int, ...]  # one number per axis
Padding = tuple[tuple[int, int], ...]  # before and after, per axis


@dataclass(frozen=True)
class Convolution:
    """A convolutional layer with a bias for each output map.

    Attributes:
        in_channels: input maps.
        out_channels: output maps.
        kernel_size: size of the kernel.
        stride: step of the kernel over the input; over the output of a transposed convolution.
        padding: zeros before and after the input; a transposed convolution crops its output by as many.
        dilation: distance between neighbouring kernel elements.
        groups: number of groups, each of which connects its own share of the maps.
        transposed: a transposed convolution, which spreads each input over a window of the output.
        output_padding: rows and columns added at the end of a transposed convolution's output.
    """

    in_channels: int
    out_channels: int
    kernel_size: Size
    stride: Size
    padding: Padding
    dilation: Size
    groups: int = 1
    transposed: bool = False
    output_padding: Size = (0, 0)

    def output_size(self, size: Size) -> Size:
        """Return floor((H + 2P - D(K - 1) - 1) / S) + 1; transposed: (H - 1)S - 2P + D(K - 1) + output_padding + 1.

        Source: Dumoulin & Visin 2016, arXiv:1603.07285, Relationships 6 and 14, with dilation as in Section 5.1.

        Raises:
            OptionError: the output would be empty.
        """
        output = tuple(self._side(axis, length) for axis, length in enumerate(size))
        if min(output) < 1:
            window = format_dimensions(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))
            problem = "padding cuts everything off" if self.transposed else f"a window that spans {window} does not fit"
            shape, padding = format_dimensions(size), _format_padding(self.padding)
            raise OptionError(f"{problem}: the input is {shape}, with padding {padding}")
        return output

    def _side(self, axis: int, length: int) -> int:
        padded, span = sum(self.padding[axis]), self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        if self.transposed:
            return (length - 1) * self.stride[axis] - padded + span + self.output_padding[axis]
        return (length + padded - span) // self.stride[axis] + 1

    def formula(self, axis: int, length: int) -> str:
        """Return the formula of one axis's output size, with its numbers filled in."""
        (before, after), stride = self.padding[axis], self.stride[axis]
        reach = f"{self.dilation[axis]}*({self.kernel_size[axis]} - 1)"
        if self.transposed:
            padding = f" - 2*{before}" if before == after else f" - {before} - {after}"
            return f"({length} - 1)*{stride}{padding} + {reach} + {self.output_padding[axis]} + 1"
        padding = f" + 2*{before}" if before == after else f" + {before} + {after}"
        return f"floor(({length}{padding} - {reach} - 1) / {stride}) + 1"

    @property
    def weights(self) -> int:
        """Return the number of weights, without biases."""
        return math.prod(self.kernel_size) * self.in_channels * self.out_channels // self.groups

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases, one bias per output map."""
        return self.weights + self.out_channels

    def multiplications(self, size: Size) -> int:
        """Return the multiplications for one input of this size, including those with padded zeros.

        Each output takes (kernel size x input maps / groups); each input of a transposed convolution takes (kernel size
        x output maps / groups).
        """
        return self.weights * math.prod(size if self.transposed else self.output_size(size))

    def __str__(self) -> str:
        """Return a short description of the layer.

        >>> str(make_convolution(32, 64, (8, 8), ConvolutionSettings(kernel_size=(3,))))
        '3x3, 32 to 64'
        """
        groups = "" if self.groups == 1 else f", {self.groups:,} groups"
        kind = "transposed " if self.transposed else ""
        return f"{kind}{format_dimensions(self.kernel_size)}, {self.in_channels:,} to {self.out_channels:,}{groups}"


@dataclass(frozen=True)
class ConvolutionSettings:
    """Settings of a convolution; a single number applies to all axes.

    Attributes:
        kernel_size: size of the kernel.
        stride: step of the kernel.
        padding: zeros on both sides; "valid" for none; "same" for ceil(size / stride) outputs (transposed:
            size * stride), the odd zero at the end, as in TensorFlow.
        dilation: distance between neighbouring kernel elements.
        groups: number of groups, each of which connects its own share of the maps.
        transposed: a transposed convolution.
        output_padding: rows and columns added at the end of a transposed convolution's output.
    """

    kernel_size: Size = (3,)
    stride: Size = (1,)
    padding: Size | str = "valid"
    dilation: Size = (1,)
    groups: int = 1
    transposed: bool = False
    output_padding: Size = (0,)


def make_convolution(in_channels: int, out_channels: int, size: Size, settings: ConvolutionSettings) -> Convolution:
    """Check settings and return the layer they describe, its padding computed.

    Args:
        in_channels: input maps.
        out_channels: output maps.
        size: size of the input maps, on which "same" padding depends.
        settings: settings of the layer.

    Raises:
        OptionError: a number is out of its range, or two settings contradict each other.
    """
    axes = len(size)
    kernel_size, stride, dilation, output_padding = (
        _for_axes(name, getattr(settings, name), axes)
        for name in ("kernel_size", "stride", "dilation", "output_padding")
    )
    groups, transposed = settings.groups, settings.transposed
    least_one = {"size": size, "in_channels": (in_channels,), "out_channels": (out_channels,), "groups": (groups,)}
    least_one |= {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    for name, values in least_one.items():
        if min(values) < 1:
            raise OptionError(f"{name} is at least 1, not {min(values)}")
    if in_channels % groups or out_channels % groups:
        raise OptionError(f"groups must divide both {in_channels:,} and {out_channels:,} channels; {groups:,} does not")
    if not transposed and any(output_padding):
        raise OptionError("output_padding is for a transposed convolution only")
    if any(not 0 <= o < max(s, d) for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise OptionError(
            f"output_padding is at least 0 and below the stride or dilation, not {format_dimensions(output_padding)}"
        )
    layer = Convolution(
        in_channels, out_channels, kernel_size, stride, ((0, 0),) * axes, dilation, groups, transposed, output_padding
    )
    return replace(layer, padding=_padding(layer, settings.padding, size))


def _padding(layer: Convolution, padding: Size | str, size: Size) -> Padding:
    if not isinstance(padding, str):
        padding = _for_axes("padding", padding, len(size))
        if min(padding) < 0:
            raise OptionError(f"padding is at least 0, not {min(padding)}")
        return tuple((side, side) for side in padding)
    if padding == "valid":
        return ((0, 0),) * len(size)
    if padding != "same":
        raise OptionError(f"padding is a number, valid or same, not {padding!r}")
    totals = []
    for axis, (length, stride) in enumerate(zip(size, layer.stride, strict=True)):
        if layer.transposed:
            totals.append(layer._side(axis, length) - length * stride)
            if totals[-1] < 0:
                raise OptionError("the window is smaller than the stride, so padding same needs an output_padding")
        else:
            span = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
            totals.append(max(0, (-(-length // stride) - 1) * stride + span - length))
    return tuple((total // 2, total - total // 2) for total in totals)


def _for_axes(name: str, given: Size, axes: int) -> Size:
    """Return a number per axis; a single number, or several equal ones, apply to all axes."""
    if len(given) == axes:
        return given
    if len(set(given)) != 1:
        raise OptionError(
            f"{name} has {len(given)} numbers for {axes} {'axis' if axes == 1 else 'axes'}: {format_dimensions(given)}"
        )
    return given[:1] * axes


def parse_dimensions(name: str, text: str) -> Size:
    """Parse a size, such as "3" or "3x5"; `name` is for the error message.

    >>> parse_dimensions("stride", "2"), parse_dimensions("stride", "2x1")
    ((2,), (2, 1))

    Raises:
        OptionError: the text is not a size.
    """
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", text):
        raise OptionError(f"{name} is a number such as 3, or numbers such as 3x5, not {text!r}")
    return tuple(map(int, text.split("x")))


def format_dimensions(numbers: Iterable[int]) -> str:
    """Format a size.

    >>> format_dimensions((28, 28, 192))
    '28x28x192'
    """
    return "x".join(map(str, numbers))


def _format_padding(padding: Padding) -> str:
    return " and ".join(
        str(before) if before == after else f"{before} before, {after} after" for before, after in padding
    )
