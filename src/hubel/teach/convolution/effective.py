"""Effective receptive field of a stack: the gradient of one output with respect to each pixel that it sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.core import random
from hubel.core.errors import OptionError
from hubel.teach.convolution.stack import StackLayer, stack_fields

__all__ = [
    "effective_field",
    "effective_size",
    "mean_squared_gradient",
    "pixel_gradient",
    "random_weights",
]

Floats = NDArray[np.float64]
_LARGEST = 129  # pixels along an axis of a field whose gradient is computed: beyond, it takes seconds
_THRESHOLD = 1 - 0.9545  # of the largest gradient, the share within two standard deviations of a normal curve


def effective_field(layers: Sequence[StackLayer], *, channels: int = 8, draws: int = 40, seed: int = 0) -> Floats:
    """Return the root mean square of the gradient with respect to each pixel, 1 for the largest, `(rows, columns)`.

    Each convolution has `channels` maps with random weights (He et al. 2015, arXiv:1502.01852, Equation 10), and a ReLU
    after it; the image is random, too. Source: Luo et al. 2016, arXiv:1701.04128, who show that the field is nearly a
    normal curve whose width grows with the square root of the number of layers.

    Args:
        layers: the stack.
        channels: maps of each layer.
        draws: random networks and images that are averaged.
        seed: of weights and images.

    Raises:
        OptionError: the field is larger than 129 pixels along an axis.
    """
    field = np.sqrt(mean_squared_gradient(layers, channels=channels, draws=draws, seed=seed))
    return np.asarray(field / max(field.max(), np.finfo(float).tiny))


def mean_squared_gradient(layers: Sequence[StackLayer], *, channels: int, draws: int, seed: int) -> Floats:
    """Return the mean square of the gradient with respect to each pixel, as for `effective_field`."""
    rows, columns = stack_fields(layers)[-1].size
    if max(rows, columns) > _LARGEST:
        raise OptionError(f"the gradient is computed for fields up to {_LARGEST} pixels, not {rows}x{columns}")
    shape = draws, 1, rows, columns
    images = random.normal(seed, np.arange(math.prod(shape))).reshape(shape)
    gradient = pixel_gradient(layers, random_weights(layers, channels, draws, seed), images)
    return np.asarray((gradient**2).mean((0, 1)))


def effective_size(field: Floats) -> float:
    """Return the square root of the number of pixels whose gradient is above 4.55 % of the largest one.

    Source: Luo et al. 2016, arXiv:1701.04128, Section 3.
    """
    return float(np.sqrt((field > _THRESHOLD * field.max()).sum()))


def random_weights(layers: Sequence[StackLayer], channels: int, draws: int, seed: int) -> list[Floats]:
    """Return random weights `(draws, out, in, rows, columns)` of each convolution; the image has one channel."""
    weights, before = [], 1
    for number, layer in enumerate(layers):
        if not layer.pooling:
            shape = (draws, channels, before, *layer.kernel)
            values = random.normal(seed, number, np.arange(math.prod(shape))).reshape(shape)
            weights.append(values * np.sqrt(2 / math.prod(shape[2:])))
            before = channels
    return weights


def pixel_gradient(layers: Sequence[StackLayer], weights: Sequence[Floats], images: Floats) -> Floats:
    """Return the gradient of the sum of the last layer's values with respect to the images, by the chain rule.

    Args:
        layers: the stack; each convolution is followed by a ReLU, except for the last layer.
        weights: weights `(n, out, in, rows, columns)` of each convolution; each image has its own.
        images: `(n, c, h, w)`.
    """
    left, back = iter(weights), []
    values = images
    for number, layer in enumerate(layers):
        windows, scatter = _windows(values, layer)
        if layer.pooling:
            values, backward = _POOLINGS[layer.pooling](windows)
        else:
            values, backward = _convolve(windows, next(left))
        back += [scatter, backward]
        if not layer.pooling and number < len(layers) - 1:
            values, backward = _relu(values)
            back.append(backward)
    gradient = np.ones_like(values)
    for backward in reversed(back):
        gradient = backward(gradient)
    return gradient


Backward = Callable[[Floats], Floats]


def _windows(values: Floats, layer: StackLayer) -> tuple[Floats, Backward]:
    """Return the window at each position, `(n, c, k, rows, columns)`, and the function that adds gradients back."""
    (high, wide), stride, dilation = layer.kernel, layer.stride, layer.dilation
    rows, columns = (
        (side - dilation * (kernel - 1) - 1) // stride + 1
        for side, kernel in zip(values.shape[2:], layer.kernel, strict=True)
    )
    met = [
        (..., slice(top, top + (rows - 1) * stride + 1, stride), slice(left, left + (columns - 1) * stride + 1, stride))
        for top in range(0, high * dilation, dilation)
        for left in range(0, wide * dilation, dilation)
    ]

    shape = values.shape  # the functions that go back keep no maps: those of a deep stack take gigabytes

    def scatter(gradient: Floats) -> Floats:
        before = np.zeros(shape)
        for number, places in enumerate(met):
            before[places] += gradient[:, :, number]
        return before

    return np.stack([values[places] for places in met], axis=2), scatter


def _convolve(windows: Floats, weights: Floats) -> tuple[Floats, Backward]:
    (draws, _, _, *size), filters = windows.shape, weights.shape[1]
    matrix = weights.reshape(draws, filters, -1)
    output, shape = matrix @ windows.reshape(draws, matrix.shape[2], -1), windows.shape

    def backward(gradient: Floats) -> Floats:
        before: Floats = matrix.transpose(0, 2, 1) @ gradient.reshape(draws, filters, -1)
        return before.reshape(shape)

    return output.reshape(draws, filters, *size), backward


def _relu(values: Floats) -> tuple[Floats, Backward]:
    positive = values > 0
    return values * positive, lambda gradient: gradient * positive


def _pool_max(windows: Floats) -> tuple[Floats, Backward]:
    winner = np.arange(windows.shape[2]).reshape(-1, 1, 1) == windows.argmax(2)[:, :, None]
    return windows.max(2), lambda gradient: winner * gradient[:, :, None]


def _pool_average(windows: Floats) -> tuple[Floats, Backward]:
    shape = windows.shape
    return windows.mean(2), lambda gradient: np.broadcast_to(gradient[:, :, None] / shape[2], shape)


_POOLINGS = {"pool": _pool_max, "avg": _pool_average}
