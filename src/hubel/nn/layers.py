"""Activations by name, local response normalisation, weight initialisation, validation of options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError, UnknownNameError

__all__ = [
    "QuadraticOutput",
    "SparselyConnected",
    "activation",
    "channels_last",
    "check_choice",
    "check_depth",
    "check_positive",
    "check_share",
    "contiguous",
    "has_wide_layers",
    "he_initialise",
    "is_deep",
    "needs_small_steps",
    "response_norm",
    "round_channels",
    "small_initialise",
]


class SparselyConnected(nn.Module):
    """A layer whose dense kernel has zeros where maps are not connected; analyses leave their products out.

    Attributes:
        density: share of the kernel that is connected, above 0 and at most 1.
    """

    density: Fraction


class QuadraticOutput(nn.Module):
    """An output layer that is quadratic in its input, so that its gradient grows with the input."""


class ScaledTanh(nn.Module):
    """A tanh(S a) with A = 1.7159 and S = 2/3, so that f(1) = 1 and f(-1) = -1 (LeCun et al. 1998, Appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation element-wise."""
        return 1.7159 * torch.tanh(2 / 3 * x)


# In place where the gradient only needs the output, which saves the memory of one map.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "leaky_relu": nn.LeakyReLU,
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "scaled_tanh": ScaledTanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
_MOST_BLOCKS = 2000


def activation(name: str) -> nn.Module:
    """Create an activation layer by name.

    Raises:
        UnknownNameError: no activation has this name.
    """
    if name not in _ACTIVATIONS:
        raise UnknownNameError("activation", name, _ACTIVATIONS)
    return _ACTIVATIONS[name]()


def response_norm(k: float = 2.0, n: int = 5, alpha: float = 1e-4, beta: float = 0.75) -> nn.LocalResponseNorm:
    """Create a local response normalisation (Krizhevsky et al. 2012, Section 3.3).

    b_i = a_i / (k + alpha * sum a_j^2)^beta, summed over the n maps around i. Torch takes the mean of the squares where
    the paper takes their sum, hence n times its alpha.
    """
    return nn.LocalResponseNorm(n, alpha * n, beta, k)


def round_channels(channels: float, divisor: int = 8) -> int:
    """Round a scaled number of channels to the nearest multiple of `divisor`, at most a tenth below it.

    >>> round_channels(32 * 1.1), round_channels(12), round_channels(11)
    (32, 16, 16)
    """
    if not channels < math.inf:
        raise OptionError(f"a layer cannot have {channels} channels")
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def check_depth(blocks: Iterable[int]) -> None:
    """Refuse a network of more than 2,000 blocks, which a mistyped number may ask for.

    Args:
        blocks: number of blocks of each stage.

    Raises:
        OptionError: the network is too deep.
    """
    if (number := sum(blocks)) > _MOST_BLOCKS:
        raise OptionError(f"a network of {number:,} blocks is too deep; {_MOST_BLOCKS:,} is the most")


def check_positive(**values: float | tuple[int, ...]) -> None:
    """Refuse counts and factors that are not positive and finite.

    Raises:
        OptionError: a value, or an element of a tuple, is zero, negative or not finite.
    """
    for name, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not numbers or not all(0 < number < math.inf for number in numbers):
            shown = ",".join(map(str, numbers)) or "nothing"
            raise OptionError(f"{name} is above 0, not {shown}")


def check_share(**values: float) -> None:
    """Refuse dropout probabilities that are negative, or not below 1.

    Raises:
        OptionError: a value is out of range.
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise OptionError(f"{name} is a probability below 1, not {value}")


def check_choice(option: str, value: str, known: Iterable[str]) -> None:
    """Refuse a value that an option does not have.

    Raises:
        UnknownNameError: the value is not a known one; the message suggests the nearest ones.
    """
    if value not in (known := tuple(known)):
        raise UnknownNameError(option, value, known)


@torch.no_grad()
def he_initialise(network: nn.Module, activation: str = "relu") -> None:
    """Draw the weights from N(0, 2 / fan_in), with zero biases (He et al. 2015, arXiv:1502.01852, Eq. 10).

    The last linear layer gets small weights, so that all classes start about equally probable.

    Args:
        network: its weights are drawn.
        activation: of its layers. The derivative of the logistic function is 1/4 at 0, where its value is 1/2: the
            variance of the weights is 16 / fan_in, and biases of -1/2 times the sum of a unit's weights centre what it
            gets. Six such layers ended at the loss of a constant in 3 of 3 seeds with rectifiers' weights.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    for number, layer in enumerate(layers):
        if layer.weight.is_meta:
            return
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if activation == "sigmoid":
            _fit_to_sigmoids(layer, first=number == 0)
    if linear := [layer for layer in layers if isinstance(layer, nn.Linear)]:
        nn.init.normal_(linear[-1].weight, std=0.01)


def small_initialise(*parts: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers from N(0, 0.01²), with zero biases (Lin 2017, Section 4.1)."""
    for layer in (layer for part in parts for layer in part.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear) and not layer.weight.is_meta:
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _fit_to_sigmoids(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, *, first: bool) -> None:
    with torch.no_grad():
        layer.weight *= math.sqrt(8)  # from 2 / fan_in to 16 / fan_in
        if layer.bias is not None and not first and not isinstance(layer, nn.ConvTranspose2d):
            layer.bias -= layer.weight.flatten(1).sum(1) / 2


_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
_SATURATING = (nn.Tanh, nn.Sigmoid, nn.Softsign, nn.Hardsigmoid, nn.Hardtanh, ScaledTanh)
_RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish)
_WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_SHALLOW = 3  # layers with weights that a rectified network may have without a norm, and still take large steps
_DEEP = 16  # layers with weights
_WIDE = 2048  # units
_TAIL = 3  # layers with weights behind the last norm that take small steps


def needs_small_steps(network: nn.Module) -> bool:
    """Return whether SGD needs a smaller learning rate for this network, as it is built, than for one with batch norm.

    Rectified layers die in large steps: of a convnet of six 3x3 convolutions without batch norm, 4 of 4 seeds ended at
    the loss of a constant with 0.1, and none with 0.01. Behind the last norm, two hidden layers grow without bound: of
    convnets with batch norm and two layers of 256 to 2,048 units on a flattened map, 8 of 12 runs diverged with 0.1, as
    VGG-11 with batch norm did, and none with 0.01, which is also better where they follow averages; one such layer
    takes large steps.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, (*_WEIGHTED, *_NORMS, *_RECTIFIERS))]
    if has_quadratic_output(network):
        return True
    # A network without any layer for its activations calls functions, which are rectifiers more often than not.
    saturating = any(isinstance(layer, _SATURATING) for layer in network.modules())
    if saturating and not any(isinstance(layer, _RECTIFIERS) for layer in layers):
        return False
    norms = [place for place, layer in enumerate(layers) if isinstance(layer, _NORMS)]
    tail = [layer for layer in layers[norms[-1] if norms else 0 :] if isinstance(layer, _WEIGHTED)]
    if not norms:
        return len(tail) > _SHALLOW
    return len(tail) >= _TAIL


def has_quadratic_output(network: nn.Module) -> bool:
    """Return whether the logits are squares of what the last hidden layer gives, as in LeNet-5.

    So are their gradients, which grow as the network becomes sure of a class.
    """
    return any(isinstance(layer, QuadraticOutput) for layer in network.modules())


def has_wide_layers(network: nn.Module) -> bool:
    """Return whether two hidden fully connected layers, or more, have 2,048 units or more, as in AlexNet and VGG.

    Their first steps are the larger, the wider they are: with SGD at 0.01, the loss of a small convnet rose to 5.5 in
    the first steps of batches of 8 where two layers of 4,096 units follow it, and to 2.4 where these have 512.
    """
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return sum(layer.out_features >= _WIDE for layer in linear[:-1]) >= 2


class _ContiguousInput:
    """A hook that hands a module its input in torch's default memory order."""

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        # Not .contiguous(), for which images of one channel are in both orders; convolutions take theirs from strides.
        default = torch.contiguous_format
        return tuple(x.clone(memory_format=default) if isinstance(x, Tensor) else x for x in inputs)


def contiguous(network: nn.Module) -> nn.Module:
    """Let a network work in torch's default memory order, now and in its copies: `.view()` in its code may need that.

    Args:
        network: gets a hook.
    """
    if not _is_contiguous(network):
        network.register_forward_pre_hook(_ContiguousInput())
    return network


def _is_contiguous(network: nn.Module) -> bool:
    return any(isinstance(hook, _ContiguousInput) for hook in network._forward_pre_hooks.values())


def is_deep(network: nn.Module) -> bool:
    """Return whether a network has more layers with weights than one whose steps may be large in small batches."""
    return sum(isinstance(layer, _WEIGHTED) for layer in network.modules()) > _DEEP


def channels_last(network: nn.Module) -> nn.Module:
    """Convert a network's weights to channels-last memory order, in which convolutions run fastest.

    One that is `contiguous` stays as it is.
    """
    if _is_contiguous(network):
        return network
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
