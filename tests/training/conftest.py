from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hubel.core.stopping import Stop
from hubel.data.sources.builtin import XO
from hubel.training.checkpoint import Checkpoint
from hubel.training.execute import build_trainer
from hubel.training.loop import EpochSelection, Loop
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.training.trainer import StepResult

TINY = Recipe(
    model="convnet",
    options={"filters": "4,8", "repeat": "1"},
    epochs=3,
    batch_size=32,
    threads=1,
    precision="float32",
    loading_threads=0,
    checkpoint_minutes=1000,
)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> Recipe:
    """Three epochs of a few steps of a network of two small convolutions."""
    return TINY


class Run:
    """A loop on 200 images of X and O, with all weights and checkpoints that it has handed out."""

    def __init__(self, plan: Plan, network: torch.nn.Module | None = None) -> None:
        self.kept: list[dict[str, torch.Tensor]] = []
        self.saved: list[tuple[int, Checkpoint]] = []
        self.stop = Stop()
        self.stop_after = -1
        if network is None:
            torch.manual_seed(5)
            network = plan.card.create()
        self.trainer = build_trainer(plan, network)
        self.loop = Loop(
            self.trainer, plan.train, plan.loop, EpochSelection(val=plan.val), keep=self._keep, save=self._save
        )

    def _keep(self, weights: dict[str, torch.Tensor]) -> None:
        self.kept.append({name: tensor.clone() for name, tensor in weights.items()})

    def _save(self, number: int, checkpoint: Checkpoint) -> None:
        tensors = {
            group: {name: tensor.clone().contiguous() for name, tensor in named.items()}
            for group, named in checkpoint.tensors.items()
        }
        self.saved.append((number, Checkpoint(tensors, dict(checkpoint.progress))))

    def go(self, *, stop_after: int = -1) -> bool:
        """Train to the end, or until so many steps are done."""
        step, steps = self.trainer.step, 0

        def counted(*arguments: Any) -> StepResult:
            nonlocal steps
            result = step(*arguments)
            steps += 1
            if steps == stop_after:
                self.stop.asked = 15
            return result

        self.trainer.step = counted  # type: ignore[method-assign]
        return self.loop.run(self.stop)

    def state(self) -> dict[str, torch.Tensor]:
        """Every tensor of the last checkpoint."""
        groups = self.saved[-1][1].tensors
        return {f"{group}/{name}": tensor for group, named in groups.items() for name, tensor in named.items()}

    def numbers(self) -> dict[str, Any]:
        """All progress but the times."""
        progress = dict(self.saved[-1][1].progress)
        progress["history"] = [
            {k: v for k, v in row.items() if k != "images_per_second"} for row in progress["history"]
        ]
        return {name: value for name, value in progress.items() if name not in ("seconds", "minutes")}


@pytest.fixture
def plan_of() -> Callable[..., Plan]:
    """A plan for 200 pictures of X and O under a recipe like `tiny`."""

    def make(**changes: Any) -> Plan:
        return plan_training("xo", replace(TINY, **changes), xo=XO(size=9, count=200, noise=0.05))

    return make


@pytest.fixture
def run_of(plan_of: Callable[..., Plan]) -> Callable[..., Run]:
    """A loop under a recipe like `tiny`."""

    def make(network: torch.nn.Module | None = None, **changes: Any) -> Run:
        return Run(plan_of(**changes), network)

    return make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what scans remember; and the folder of the test as the current one."""
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"
