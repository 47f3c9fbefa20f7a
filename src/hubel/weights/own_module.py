"""Networks of a user's own class: copy them, check that they suit the images, and tell them from others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from hubel.core.errors import ModelFileError, OptionError
from hubel.core.random import uniform
from hubel.data.preprocess import Preprocess
from hubel.data.reading import one_line
from hubel.data.samples import network_input
from hubel.nn.evaluating import evaluating
from hubel.nn.layers import contiguous
from hubel.weights.own_class import OwnClass

__all__ = ["check_answer", "check_outputs", "own_copy", "with_answer"]

_NUMBERS = 8  # outputs that are compared
_TOLERANCE = 0.01  # of the largest of them: another processor rounds otherwise, another network is another one
_IMAGE = 17  # key of the random pixels


def own_copy(module: nn.Module, preprocess: Preprocess) -> nn.Module:
    """Return a copy of a user's module on the CPU, its lazy layers materialised by one image.

    Raises:
        OptionError: it is no module, cannot be copied, cannot take such images, or cannot be stored without pickle.
    """
    if not isinstance(module, nn.Module):
        what = f"the class {module.__name__}" if isinstance(module, type) else f"{type(module).__name__}"
        raise OptionError(f"model is a name or a module, an instance such as MyNet(); not {what}")
    name = type(module).__name__
    try:
        network = contiguous(copy.deepcopy(module).cpu())
    except Exception as error:  # any error of the user's own class
        raise OptionError(f"{name} cannot be copied: {_reason(error)}") from error
    if any(
        isinstance(tensor, UninitializedParameter | UninitializedBuffer) for tensor in network.state_dict().values()
    ):
        _answer(network, preprocess)
    for key, value in network.state_dict().items():
        if not isinstance(value, Tensor) or value.is_complex() or value.is_sparse or value.is_quantized:
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise OptionError(f"{name} keeps {key!r}, {kind}, which a model file cannot hold; use plain tensors")
    return network


def check_outputs(network: nn.Module, preprocess: Preprocess, outputs: int) -> None:
    """Refuse a user's module that does not give so many numbers for an image, or has nothing to train.

    Raises:
        OptionError: it does not; the message says what it gives.
    """
    name, p = type(network).__name__, preprocess
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise OptionError(f"{name} has no parameter that requires a gradient: nothing in it can be trained")
    answer = _answer(network, p)
    if not isinstance(answer, Tensor):
        raise OptionError(
            f"{name} returns {_kind(answer)}; hubel trains one tensor of logits (n, {outputs}): return the others from "
            "a method of their own"
        )
    if answer.ndim != 2 or len(answer) != 1:
        raise OptionError(
            f"{name} returns the shape {_shape(answer)} for one image of {_input(p)}; expected (1, {outputs})"
        )
    if answer.shape[1] != outputs:
        raise OptionError(
            f"{name} has {answer.shape[1]} outputs, and the data has {outputs} classes; build it with {outputs} outputs"
        )


def with_answer(own: OwnClass, network: nn.Module, preprocess: Preprocess) -> OwnClass:
    """Return a description with the network's answer, by which it is known again; without one where it changes."""
    first, second = (_numbers(network, preprocess) for _ in range(2))
    return replace(own, answer=tuple(first.tolist()) if np.array_equal(first, second) else ())


def check_answer(own: OwnClass, network: nn.Module, preprocess: Preprocess) -> None:
    """Refuse a network that has the weights of a model file, and computes something else from them.

    Raises:
        ModelFileError: it does.
    """
    if not own.answer:
        return
    stored, found = np.array(own.answer), _numbers(network, preprocess)
    if stored.shape != found.shape or np.abs(stored - found).max() > _TOLERANCE * max(1.0, np.abs(stored).max()):
        raise ModelFileError(
            f"this {type(network).__name__} takes the weights, but computes other outputs than the network that was "
            f"trained ({own.place}): its code has changed, or it was made with other arguments"
        )


def _numbers(network: nn.Module, preprocess: Preprocess) -> NDArray[np.float64]:
    answer = _answer(network, preprocess)
    flat = answer.detach().cpu().double().flatten() if isinstance(answer, Tensor) else torch.zeros(0)
    numbers: NDArray[np.float64] = flat[:_NUMBERS].double().numpy()
    return np.nan_to_num(numbers)


def _answer(network: nn.Module, preprocess: Preprocess) -> object:
    """Return what a user's module makes of one image of random pixels.

    Raises:
        OptionError: it cannot take such an image.
    """
    p = preprocess
    pixels = uniform(_IMAGE, np.arange(p.height * p.width * p.channels)).reshape(1, p.height, p.width, p.channels)
    device = next((tensor.device for tensor in network.state_dict().values()), torch.device("cpu"))
    x = network_input((255 * pixels).astype(np.uint8), p).to(device)
    try:
        with evaluating(network):
            return network(x)
    except Exception as error:  # any error of the user's forward()
        raise OptionError(
            f"{type(network).__name__} cannot take images of {_input(p)}: {_reason(error)}; choose another size "
            '(recipe={"size": 64}), or a network for this one'
        ) from error


def _input(p: Preprocess) -> str:
    return f"{p.channels}x{p.height}x{p.width}"


def _reason(error: Exception) -> str:
    return one_line(error).rstrip(".") or type(error).__name__


_KINDS: tuple[tuple[type, Callable[..., str]], ...] = (
    (tuple, lambda value: f"a tuple of {len(value)}"),
    (list, lambda value: f"a list of {len(value)}"),
    (dict, lambda value: f"a dict of {', '.join(map(str, value))}"),
)


def _kind(value: object) -> str:
    return next((words(value) for kind, words in _KINDS if isinstance(value, kind)), type(value).__name__)


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))}{',' * (tensor.ndim == 1)})"
