"""Runs on annotated images, stopped in the middle and resumed, end with the same bits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from squares import Squares
from training.conftest import Run

BACKBONE = {"backbone": "mobilenet_v1_025"}
NETWORKS = {
    "segment": {**BACKBONE, "widths": "8"},
    "detect": {**BACKBONE, "width": "8", "depth": "1"},
    "localise": {**BACKBONE, "width": "8"},
}


@pytest.mark.parametrize(("task", "options"), NETWORKS.items(), ids=NETWORKS)
def test_a_resumed_run_is_the_same_run(task: str, options: dict[str, str], tiny: Recipe) -> None:
    recipe = replace(
        tiny, model=None, task=task, weights="none", options=options, epochs=2, batch_size=8, size="32", threads=1
    )
    plan = plan_training(Squares(20), recipe)
    whole, first, second = Run(plan), Run(plan), Run(plan)
    assert whole.go()
    assert not first.go(stop_after=3)  # 2 steps an epoch: within the second one
    second.loop.restore(first.saved[-1][1])
    assert second.go()
    assert whole.state().keys() == second.state().keys()
    assert all(torch.equal(whole.state()[name], value) for name, value in second.state().items())
    assert second.numbers() == whole.numbers()
