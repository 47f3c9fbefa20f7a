"""Building blocks that more than one family of networks uses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.nn.layers import activation

__all__ = ["ConvNorm", "DropPath", "Inverted", "InvertedResidual", "SqueezeExcite", "Style", "pooled_head"]

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Style:
    """Common settings of a network's convolutions.

    Attributes:
        activation: a name that `hubel.nn.layers.activation` knows; empty for none.
        norm: whether batch norm follows each convolution (Ioffe & Szegedy 2015, arXiv:1502.03167).
        norm_eps: term that batch norm adds to the variance.
        bias: whether convolutions have a bias in spite of batch norm; without batch norm they always have one.
        same_padding: pad as TensorFlow's "SAME" does: ceil(size / stride) outputs, the odd pixel right and below.
    """

    activation: str = "relu"
    norm: bool = True
    norm_eps: float = 1e-5
    bias: bool = False
    same_padding: bool = False

    @property
    def linear(self) -> Style:
        """The same style without activation."""
        return replace(self, activation="")


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, which depends on the size of the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, out, ceil(h / stride), ceil(w / stride))`."""
        below, right = (
            max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
            for size, k, s, d in zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True)
        )
        if right % 2 or below % 2:
            x = F.pad(x, (right // 2, right - right // 2, below // 2, below - below // 2))
            return super().forward(x)
        # Padding within the convolution does not copy the maps.
        padding = (below // 2, right // 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvNorm(nn.Sequential):
    """act(norm(conv(x))), with norm and activation as the style has them.

    Args:
        in_channels: input maps.
        out_channels: output maps.
        kernel: kernel size in pixels.
        stride: stride in pixels.
        groups: groups of channels; `in_channels` of them make a depthwise convolution.
        padding: zeros on each side; half the kernel if not given, which keeps the size at stride 1.
        style: common settings of the network's convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size,
        stride: int = 1,
        *,
        groups: int = 1,
        padding: Size | None = None,
        style: Style,
    ) -> None:
        kind = nn.Conv2d
        if padding is None:
            padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
            if style.same_padding:
                kind, padding = SameConv2d, 0
        bias = style.bias or not style.norm
        convolution = kind(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=convolution)
        if style.norm:
            layers["norm"] = nn.BatchNorm2d(out_channels, eps=style.norm_eps)
        if style.activation:
            layers["act"] = activation(style.activation)
        super().__init__(layers)
        self._depthwise = groups == in_channels > 1

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""
        # On CPUs the gradients of a depthwise convolution take up to 50 times as long in bfloat16.
        slow = self._depthwise and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if slow else nullcontext():
            y: Tensor = super().forward(x.float() if slow else x)  # type: ignore[no-untyped-call]
        return y


class DropPath(nn.Module):
    """Stochastic depth: drops a block for random samples, scales up the others (Huang et al. 2016, arXiv:1603.09382).

    Args:
        rate: probability of dropping; at least 0, below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop samples of a residual branch's output `(n, c, h, w)`."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: scales each map by a gate computed from the means of all maps.

    Hu et al. 2017, arXiv:1709.01507, Section 3.

    Args:
        channels: maps.
        squeezed: hidden units between the means and the gates.
        act: activation of the hidden units.
        gate: activation of the gates, 0 to 1.
    """

    def __init__(self, channels: int, squeezed: int, act: str = "relu", gate: str = "sigmoid") -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = activation(act)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = activation(gate)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to the same shape."""
        gates: Tensor = self.gate(self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True)))))
        return x * gates


@dataclass(frozen=True)
class Inverted:
    """Configuration of an inverted residual block.

    Attributes:
        kernel: kernel size of the depthwise convolution.
        stride: stride of the depthwise convolution.
        expanded: maps of the depthwise convolution.
        out_channels: output maps.
        squeezed: hidden units of squeeze-and-excitation; 0 for none.
        gate: activation of the gates of squeeze-and-excitation.
        excite_act: activation of the hidden units of squeeze-and-excitation.
    """

    kernel: int
    stride: int
    expanded: int
    out_channels: int
    squeezed: int = 0
    gate: str = "sigmoid"
    excite_act: str = "relu"


class InvertedResidual(nn.Module):
    """x + project(excite(depthwise(expand(x)))): wide inside, narrow outside (Sandler et al. 2018, arXiv:1801.04381).

    The input is only added where the output has the same shape. No activation follows the projection
    (Section 3.2: it would lose information in a narrow space).
    """

    def __init__(self, in_channels: int, plan: Inverted, style: Style, drop_path: float = 0.0) -> None:
        super().__init__()
        wide = plan.expanded
        self.expand = nn.Identity() if wide == in_channels else ConvNorm(in_channels, wide, 1, style=style)
        self.depthwise = ConvNorm(wide, wide, plan.kernel, plan.stride, groups=wide, style=style)
        self.excite: nn.Module = nn.Identity()
        if plan.squeezed:
            self.excite = SqueezeExcite(wide, plan.squeezed, plan.excite_act, plan.gate)
        self.project = ConvNorm(wide, plan.out_channels, 1, style=style.linear)
        self.adds = plan.stride == 1 and in_channels == plan.out_channels
        self.drop_path = DropPath(drop_path if self.adds else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""
        y: Tensor = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + self.drop_path(y) if self.adds else y


def pooled_head(
    channels: int, num_classes: int, dropout: float, before: Sequence[tuple[str, nn.Module]] = ()
) -> nn.Sequential:
    """Build global average pooling, dropout and a linear layer: the head of most networks since 2014.

    Args:
        channels: input maps.
        num_classes: number of outputs.
        dropout: probability of dropout.
        before: names and layers before the pooling.
    """
    return nn.Sequential(
        OrderedDict(
            [
                *before,
                ("pool", nn.AdaptiveAvgPool2d(1)),
                ("flatten", nn.Flatten()),
                ("dropout", nn.Dropout(dropout)),
                ("linear", nn.Linear(channels, num_classes)),
            ]
        )
    )
