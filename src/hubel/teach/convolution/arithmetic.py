"""The arithmetic of one convolution: output size, weights, multiplications.

Everything here is exact arithmetic on integers. A layer has one or two axes, height before width.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hubel.core.errors import OptionError

__all__ = ["Convolution", "Settings", "Sides", "convolution", "sides", "times"]

Sides = tuple[int, ...]  # one number for each axis
Padding = tuple[tuple[int, int], ...]  # before and after, for each axis


@dataclass(frozen=True)
class Convolution:
    """A convolutional layer with a bias for each output map.

    Attributes:
        in_channels: maps that come in.
        out_channels: maps that go out.
        kernel_size: the window.
        stride: steps of the window; of the result, where it is transposed.
        padding: zeros before and after; a transposed layer cuts as many off its result.
        dilation: distance between neighbours under the window.
        groups: parts that see only their share of the maps.
        transposed: whether each input is spread over a window, instead of each window being summed up.
        output_padding: rows and columns added to a transposed layer's result at its end.
    """

    in_channels: int
    out_channels: int
    kernel_size: Sides
    stride: Sides
    padding: Padding
    dilation: Sides
    groups: int = 1
    transposed: bool = False
    output_padding: Sides = (0, 0)

    def output_size(self, size: Sides) -> Sides:
        """floor((H + 2P - D(K - 1) - 1) / S) + 1; transposed: (H - 1)S - 2P + D(K - 1) + output_padding + 1.

        Source: Dumoulin & Visin 2016, arXiv:1603.07285, Relationships 6 and 14, with dilation as in Section 5.1.

        Raises:
            OptionError: nothing is left.
        """
        found = tuple(self._side(axis, length) for axis, length in enumerate(size))
        if min(found) < 1:
            window = times(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))
            what = "padding cuts everything off" if self.transposed else f"a window that spans {window} does not fit"
            raise OptionError(f"{what}: the input is {times(size)}, with padding {_written(self.padding)}")
        return found

    def _side(self, axis: int, length: int) -> int:
        padded, span = sum(self.padding[axis]), self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        if self.transposed:
            return (length - 1) * self.stride[axis] - padded + span + self.output_padding[axis]
        return (length + padded - span) // self.stride[axis] + 1

    def formula(self, axis: int, length: int) -> str:
        """The output size of one axis, with its numbers."""
        (before, after), stride = self.padding[axis], self.stride[axis]
        reach = f"{self.dilation[axis]}*({self.kernel_size[axis]} - 1)"
        if self.transposed:
            padding = f" - 2*{before}" if before == after else f" - {before} - {after}"
            return f"({length} - 1)*{stride}{padding} + {reach} + {self.output_padding[axis]} + 1"
        padding = f" + 2*{before}" if before == after else f" + {before} + {after}"
        return f"floor(({length}{padding} - {reach} - 1) / {stride}) + 1"

    @property
    def weights(self) -> int:
        """Numbers in the kernels, without the biases."""
        return math.prod(self.kernel_size) * self.in_channels * self.out_channels // self.groups

    @property
    def parameters(self) -> int:
        """Weights and one bias for each output map."""
        return self.weights + self.out_channels

    def multiplications(self, size: Sides) -> int:
        """How many one input of this size takes, those with padded zeros included.

        Each output takes (window x input maps / groups) of them; where it is transposed, each input takes (window x
        output maps / groups).
        """
        return self.weights * math.prod(size if self.transposed else self.output_size(size))

    def __str__(self) -> str:
        """The layer in a few words.

        >>> str(convolution(32, 64, (8, 8), Settings(kernel_size=(3,))))
        '3x3, 32 to 64'
        """
        groups = "" if self.groups == 1 else f", {self.groups:,} groups"
        kind = "transposed " if self.transposed else ""
        return f"{kind}{times(self.kernel_size)}, {self.in_channels:,} to {self.out_channels:,}{groups}"


@dataclass(frozen=True)
class Settings:
    """How a window moves; a single number serves all axes.

    Attributes:
        kernel_size: the window.
        stride: steps of the window.
        padding: zeros on both sides; "valid" for none; "same" for ceil(size / stride) outputs (transposed:
            size * stride), the odd zero at the end, as TensorFlow's.
        dilation: distance between neighbours under the window.
        groups: parts that see only their share of the maps.
        transposed: whether each input is spread over a window.
        output_padding: what is added to a transposed layer's result at its end.
    """

    kernel_size: Sides = (3,)
    stride: Sides = (1,)
    padding: Sides | str = "valid"
    dilation: Sides = (1,)
    groups: int = 1
    transposed: bool = False
    output_padding: Sides = (0,)


def convolution(in_channels: int, out_channels: int, size: Sides, settings: Settings) -> Convolution:
    """A layer from its settings, checked.

    Args:
        in_channels: maps that come in.
        out_channels: maps that go out.
        size: of the maps that come in, which "same" padding depends on.
        settings: how the window moves.

    Raises:
        OptionError: a number is too small, or settings do not fit each other.
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
        raise OptionError(f"output_padding is at least 0 and below the stride or dilation, not {times(output_padding)}")
    layer = Convolution(
        in_channels, out_channels, kernel_size, stride, ((0, 0),) * axes, dilation, groups, transposed, output_padding
    )
    return replace(layer, padding=_padding(layer, settings.padding, size))


def _padding(layer: Convolution, padding: Sides | str, size: Sides) -> Padding:
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


def _for_axes(name: str, given: Sides, axes: int) -> Sides:
    """A number for each axis; a single one, or two equal ones, serve all."""
    if len(given) == axes:
        return given
    if len(set(given)) != 1:
        raise OptionError(
            f"{name} has {len(given)} numbers for {axes} {'axis' if axes == 1 else 'axes'}: {times(given)}"
        )
    return given[:1] * axes


def sides(name: str, text: str) -> Sides:
    """Numbers from what somebody typed.

    >>> sides("stride", "2"), sides("stride", "2x1")
    ((2,), (2, 1))

    Raises:
        OptionError: it is something else.
    """
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", text):
        raise OptionError(f"{name} is a number such as 3, or numbers such as 3x5, not {text!r}")
    return tuple(map(int, text.split("x")))


def times(numbers: Iterable[int]) -> str:
    """Numbers as they are written for sizes.

    >>> times((28, 28, 192))
    '28x28x192'
    """
    return "x".join(map(str, numbers))


def _written(padding: Padding) -> str:
    return " and ".join(
        str(before) if before == after else f"{before} before, {after} after" for before, after in padding
    )
