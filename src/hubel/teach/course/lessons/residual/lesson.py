"""Residual networks: a block with numbers, the identity, gradients a layer, the degradation experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.analysis.summary import summary
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.residual.degradation import EPOCHS, SHALLOW_AND_DEEP, degradation
from hubel.teach.course.lessons.residual.gradients import DEPTHS, gradients, initial_norms

__all__ = ["LESSON", "block_values"]

Floats = NDArray[np.float64]

_A = np.array([1.0, 0.0, 2.0])
_W1 = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, 1.0], [-1.0, 0.0, 1.0]])
_B1 = np.array([0.0, -1.0, 0.0])
_W2 = np.array([[1.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, -1.0, 0.0]])
_B2 = np.array([0.0, 0.0, 1.0])
_SLOPE = 0.5


def block_values(a: Floats, w1: Floats, b1: Floats, w2: Floats, b2: Floats) -> Mapping[str, Floats]:
    """Return the values of a block of two layers on `a`, without a shortcut and with it.

    a[l+2] = g(z[l+2]) is the plain one, a[l+2] = g(z[l+2] + a[l]) the residual one; g is ReLU.
    """
    z1 = w1 @ a + b1
    a1 = np.maximum(z1, 0)
    z2 = w2 @ a1 + b2
    return {"z1": z1, "a1": a1, "z2": z2, "plain": np.maximum(z2, 0), "residual": np.maximum(z2 + a, 0)}


def _data() -> Mapping[str, Any]:
    return {
        "block": {"a": _A, "w1": _W1, "b1": _B1, "w2": _W2, "b2": _B2, **block_values(_A, _W1, _B1, _W2, _B2)},
        "chain": {"slope": _SLOPE, "blocks": [(depth - 2) // 2 for depth in DEPTHS]},
        "depths": DEPTHS,
        "norms": {
            name: {kind: [initial_norms(kind, depth, norm=norm) for depth in DEPTHS] for kind in ("plain", "residual")}
            for name, norm in (("with", True), ("without", False))
        },
        "costs": [_cost(depth) for depth in SHALLOW_AND_DEEP],
        "experiment": {"epochs": EPOCHS, "depths": SHALLOW_AND_DEEP},
    }


def _cost(depth: int) -> Mapping[str, Any]:
    plain, residual = summary(f"plain{depth}"), summary(f"resnet{depth}")
    return {
        "depth": depth,
        "plain": plain.params,
        "residual": residual.params,
        "plain_macs": plain.macs,
        "residual_macs": residual.macs,
    }


LESSON = Lesson(name="residual", data=_data, live={"gradients": gradients, "degradation": degradation})
