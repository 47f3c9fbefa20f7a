"""The numbers of the lesson `residual`: a block by hand, gradients by differences, the experiment on digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.residual.degradation import EPOCHS
from hubel.teach.course.lessons.residual.digits_run import MODEL, layout_options, seeded
from hubel.teach.course.lessons.residual.gradients import layer_norms
from hubel.teach.course.lessons.residual.lesson import LESSON, block_values


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def test_block_by_hand(data: Any) -> None:
    block = data["block"]
    assert (block["z1"], block["a1"], block["z2"]) == ([1, 1, 1], [1, 1, 1], [2, -1, -1])
    assert (block["plain"], block["residual"]) == ([2, 0, 0], [3, 0, 1])


def test_zero_weights_give_the_identity() -> None:
    a, square, flat = np.array([0.5, 0.0, 3.0]), np.zeros((3, 3)), np.zeros(3)
    values = block_values(a, square, flat, square, flat)
    assert values["residual"].tolist() == a.tolist()
    assert values["plain"].tolist() == [0, 0, 0]


def test_norms_are_slopes_of_the_loss() -> None:
    """Along its gradient, the loss rises by the norm of the gradient."""
    network = seeded(lambda: build_model(MODEL, in_channels=1, options=layout_options("residual", 8)), 0).double()
    x, y = torch.randn(8, 1, 8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(1)), torch.arange(8)

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(network(x), y)

    loss().backward()
    kernels = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    norms = layer_norms(network)
    assert len(norms) == len(kernels) == 7
    for kernel, norm in zip(kernels, norms, strict=True):
        assert kernel.grad is not None
        step = 1e-6 * kernel.grad / kernel.grad.norm()
        with torch.no_grad():
            kernel += step
            above = loss()
            kernel -= 2 * step
            below = loss()
            kernel += step
        assert norm == pytest.approx(float(above - below) / 2e-6, rel=1e-4)


def test_gradients_before_training(data: Any) -> None:
    """Plain networks explode with batch norm and vanish without; with shortcuts and batch norm they do neither."""
    deepest = {(norm, kind): np.array(data["norms"][norm][kind][2][1:]) for norm in ("with", "without")
               for kind in ("plain", "residual")}  # fmt: skip
    assert [len(norms) for norms in data["norms"]["with"]["plain"]] == [19, 55, 109]
    assert deepest["with", "plain"][:5].min() > 1e5 * deepest["with", "plain"][-5:].max()
    assert deepest["without", "plain"].max() < 1e-8
    assert deepest["with", "residual"].max() < 50 * deepest["with", "residual"].min()


def test_chain(data: Any) -> None:
    assert data["chain"]["blocks"] == [9, 27, 54]
    assert [cost["plain"] == cost["residual"] for cost in data["costs"]] == [True, True]


def test_gradients_while_training() -> None:
    threads = torch.get_num_threads()
    steps = LESSON.live["gradients"]({"depth": 20})
    first = next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == threads
    assert first["step"] == 0
    assert [len(first[kind]["norms"]) for kind in ("plain", "residual")] == [19, 19]
    assert first["plain"]["loss"] == pytest.approx(np.log(10), abs=0.2)


@pytest.mark.parametrize("depth", [21, "20", None, [20]])
def test_other_depths_are_refused(depth: Any) -> None:
    with pytest.raises(OptionError, match="depth is one of 20, 56, 110"):
        next(LESSON.live["gradients"]({"depth": depth}))


@pytest.mark.slow
def test_degradation() -> None:
    """The deeper plain network has the higher training error; the deeper residual one has not."""
    rows = list(LESSON.live["degradation"]({}))
    assert len(rows) == 4 * EPOCHS
    last = {(row["kind"], row["depth"]): row["error"] for row in rows[-4:]}
    assert last["plain", 56] > last["plain", 20] + 15
    assert last["residual", 56] < last["residual", 20] + 2
