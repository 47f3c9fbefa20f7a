"""Sizes of the lesson's CNN, without what trains it."""

from __future__ import annotations

__all__ = ["FILTERS", "KERNEL", "parameters"]

FILTERS = (16, 32)
KERNEL = 3  # pixels


def parameters(classes: int) -> int:
    """Return the parameters: of convolutions without biases, of two numbers a map for batch norm, of the outputs."""
    first, second = FILTERS
    convolutions = (first + first * second) * KERNEL**2
    return convolutions + 2 * (first + second) + (second + 1) * classes
