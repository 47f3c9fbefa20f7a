"""Blocks that more than one family is made of."""

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
    """What the convolutions of a network have in common.

    Attributes:
        activation: a name that `hubel.nn.layers.activation` knows; empty for none.
        norm: whether batch norm follows each convolution (Ioffe & Szegedy 2015, arXiv:1502.03167).
        norm_eps: what batch norm adds to the variance.
        bias: whether convolutions have a bias although batch norm follows; without it they always have one.
        same_padding: pad as TensorFlow's "SAME" does: ceil(size / stride) outputs, the odd pixel right and below.
    """

    activation: str = "relu"
    norm: bool = True
    norm_eps: float = 1e-5
    bias: bool = False
    same_padding: bool = False

    @property
    def linear(self) -> Style:
        """The same without activation."""
        return replace(self, activation="")


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, which depends on the size of the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, c, h, w)` to `(n, out, ceil(h / stride), ceil(w / stride))`."""
        below, right = (
            max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
            for size, k, s, d in zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True)
        )
        if right % 2 or below % 2:
            x = F.pad(x, (right // 2, right - right // 2, below // 2, below - below // 2))
            return super().forward(x)
        # Padding within the convolution takes no copy of the maps.
        padding = (below // 2, right // 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvNorm(nn.Sequential):
    """act(norm(conv(x))), with as much of it as the style has.

    Args:
        in_channels: maps that come in.
        out_channels: maps that go out.
        kernel: window in pixels.
        stride: step in pixels.
        groups: parts that see only their share of the maps; `in_channels` of them make a depthwise convolution.
        padding: zeros around; half the window if not given, which keeps the size at stride 1.
        style: what the network's convolutions have in common.
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
        """Maps `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""
        # On processors the gradients of a depthwise convolution take up to 50 times as long in bfloat16.
        slow = self._depthwise and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if slow else nullcontext():
            y: Tensor = super().forward(x.float() if slow else x)  # type: ignore[no-untyped-call]
        return y


class DropPath(nn.Module):
    """Leaves a block out for some samples, and scales the others up (Huang et al. 2016, arXiv:1603.09382).

    Args:
        rate: probability of leaving out; 0 to below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """A block's result `(n, c, h, w)` before it is added to the block's input."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class SqueezeExcite(nn.Module):
    """Scales each map by a gate that depends on the means of all (Hu et al. 2017, arXiv:1709.01507, Section 3).

    Args:
        channels: maps.
        squeezed: units between the means and the gates.
        act: activation of these units.
        gate: what makes the gates, 0 to 1.
    """

    def __init__(self, channels: int, squeezed: int, act: str = "relu", gate: str = "sigmoid") -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = activation(act)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = activation(gate)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, c, h, w)` to the same shape."""
        gates: Tensor = self.gate(self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True)))))
        return x * gates


@dataclass(frozen=True)
class Inverted:
    """One inverted residual.

    Attributes:
        kernel: window of the depthwise convolution.
        stride: its step.
        expanded: maps that it works on.
        out_channels: maps of the result.
        squeezed: units of squeeze-and-excite; 0 for none.
        gate: of squeeze-and-excite.
        excite_act: activation within squeeze-and-excite.
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

    The sum is only made where input and result have the same shape. No activation follows the projection
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
        """Maps `(n, in, h, w)` to `(n, out, h / stride, w / stride)`."""
        y: Tensor = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + self.drop_path(y) if self.adds else y


def pooled_head(
    channels: int, num_classes: int, dropout: float, before: Sequence[tuple[str, nn.Module]] = ()
) -> nn.Sequential:
    """Global average pooling, dropout, and one linear layer: the head of most networks since 2014.

    Args:
        channels: maps that are pooled.
        num_classes: outputs.
        dropout: probability.
        before: layers before the pooling, with their names.
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
