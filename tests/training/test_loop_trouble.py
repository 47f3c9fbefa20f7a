"""What the loop does when the loss diverges, memory runs out or time is short."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from hubel.core.errors import DivergedError
from hubel.training import trainer
from hubel.training.loop import EpochSelection
from hubel.training.plan import Plan
from hubel.training.schedule import Schedule

MakeRun = Callable[..., Any]
MakePlan = Callable[..., Plan]


@pytest.mark.parametrize("changes", [{"lr": 1e9}, {"lr": 1e12, "optimizer": "adamw"}])
def test_a_diverging_run_says_so_and_spoils_nothing(run_of: MakeRun, changes: dict[str, Any]) -> None:
    run = run_of(**changes, checkpoint_minutes=0, loss="mse", options={"filters": "4", "batch_norm": "false"})
    with pytest.raises(DivergedError, match=r"became (nan|inf|-inf) in epoch \d+, after step \d+ of 5; .*--lr"):
        run.go()
    for _, checkpoint in run.saved:
        assert all(torch.isfinite(tensor).all() for tensor in checkpoint.tensors["network"].values())
    for weights in run.kept:
        assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_spoilt_weights_are_never_saved(run_of: MakeRun) -> None:
    run = run_of(checkpoint_minutes=0)
    step = run.trainer.step

    def spoil(*rest: Any) -> Any:
        loss = step(*rest)
        with torch.no_grad():
            next(run.trainer.network.parameters()).fill_(torch.nan)  # the loss was finite, the step was not
        return loss

    run.trainer.step = spoil
    with pytest.raises(DivergedError, match="weights"):
        run.go()
    assert not run.saved
    assert not run.kept


def without_validation(run: Any) -> Any:
    run.loop.selection = EpochSelection()
    return run


def test_without_validation_each_epoch_is_kept(run_of: MakeRun) -> None:
    run = without_validation(run_of())
    assert run.go()
    assert len(run.kept) == len(run.loop.progress.history) == 3
    assert not any(name.startswith("val_") for row in run.loop.progress.history for name in row)


def test_without_validation_spoilt_weights_are_not_kept_either(run_of: MakeRun) -> None:
    run = without_validation(run_of())
    step = run.trainer.step

    def spoil(*rest: Any) -> Any:
        loss = step(*rest)
        if run.loop.progress.step == run.loop.steps - 1:  # no loss is to come that would show it
            with torch.no_grad():
                next(run.trainer.network.parameters()).fill_(torch.nan)
        return loss

    run.trainer.step = spoil
    with pytest.raises(DivergedError, match="weights"):
        run.go()
    assert not run.kept


class Narrow(nn.Module):
    """A network that has no memory for more than some images at once."""

    def __init__(self, most: int, error: BaseException) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(147, 2))
        self.most, self.error, self.sizes = most, error, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        if len(x) > self.most and self.training:
            raise self.error
        return self.net(x)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch_and_keeps_the_gradient(run_of: MakeRun, error: BaseException) -> None:
    narrow, wide = run_of(Narrow(10, error), augment="none"), run_of(Narrow(1000, error), augment="none")
    results = []
    for run in (narrow, wide):
        batch = next(run.loop.train.images.epoch(0, 0, 32, run.loop.policy))
        results.append(run.trainer.step(run.loop.train, batch, 0.1, 0))
    assert narrow.trainer.parts == 4
    assert narrow.trainer.network.sizes == [29, 15, 8, 7, 7, 7]
    assert results[0].loss_sum == pytest.approx(results[1].loss_sum, rel=1e-5)
    for one, other in zip(narrow.trainer.network.parameters(), wide.trainer.network.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert narrow.go()


def test_the_allocator_s_own_words_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert trainer._is_out_of_memory(caught.value)


def test_memory_for_not_even_one_image(run_of: MakeRun) -> None:
    run = run_of(Narrow(0, ERRORS[0]))
    with pytest.raises(torch.OutOfMemoryError):
        run.go()


def test_other_errors_are_not_swallowed(run_of: MakeRun) -> None:
    with pytest.raises(RuntimeError, match="of another kind"):
        run_of(Narrow(0, RuntimeError("of another kind"))).go()


class Clock:
    """Time that passes by a second at each look."""

    def __init__(self, seconds: float) -> None:
        self.ticks = itertools.count(0, seconds)

    def monotonic(self) -> float:
        return float(next(self.ticks))


def test_as_many_epochs_as_there_is_time_for(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "time", Clock(1.0))
    # An epoch is 5 steps and a validation of a second each: 6 seconds.
    run = run_of(epochs=50, max_minutes=0.45)
    assert run.go()
    progress = run.loop.progress
    assert progress.epochs == progress.epoch == 4
    assert progress.minutes <= 0.45
    rates = [row["learning_rate"] for row in progress.history]
    assert rates[-1] == pytest.approx(0.1 * Schedule().factor((20 - 0.5) / 20))


@pytest.mark.parametrize(("later", "epochs"), [(0.5, 8), (1.0, 4), (2.0, 2)])
def test_the_first_epoch_is_not_the_pace_of_all(
    run_of: MakeRun, monkeypatch: pytest.MonkeyPatch, later: float, epochs: int
) -> None:
    clock = Clock(1.0)
    monkeypatch.setattr(trainer, "time", clock)
    run = run_of(epochs=50, max_minutes=0.45)

    def slower(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            clock.ticks = itertools.count(next(clock.ticks), later)

    run.loop._tell = slower
    assert run.go()
    progress = run.loop.progress
    assert progress.epochs == progress.epoch == epochs  # 27 seconds: one epoch of 6, the others of 3, 6 or 12
    assert 0.29 < progress.minutes <= 0.46
    if later <= 1:  # time does not run out before the rate has fallen
        rate = 0.1 * Schedule().factor((5 * epochs - 0.5) / (5 * epochs))
        assert progress.history[-1]["learning_rate"] == pytest.approx(rate)


def test_time_is_up_within_the_first_epoch(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "time", Clock(1.0))
    run = run_of(epochs=50, max_minutes=0.05)
    assert run.go()
    assert run.loop.progress.epoch == 1
    assert run.kept
    other = run_of(epochs=50, max_minutes=0.05)
    other.loop.restore(run.saved[-1][1])
    assert other.go()
    assert other.loop.progress.epoch == 1


def test_stopped_just_when_time_is_up(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "time", Clock(1.0))
    run = run_of(epochs=50, max_minutes=0.05)
    run.go(stop_after=3)
    other = run_of(epochs=50, max_minutes=0.05)
    other.loop.restore(run.saved[-1][1])
    assert other.go()
    assert len(other.loop.progress.history) == 1


def test_checkpoints_between_epochs_by_the_clock(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "time", Clock(1.0))
    run = run_of(epochs=1, checkpoint_minutes=2.5 / 60)
    run.go()
    assert len(run.saved) > 1
    monkeypatch.setattr(trainer, "time", time)
    quiet = run_of(epochs=1)
    quiet.go()
    assert [number for number, _ in quiet.saved] == [6]


@pytest.mark.parametrize(("done", "planned"), [(4, 50), (5, 10), (6, 10)])
def test_epochs_are_added_in_the_first_half_only(run_of: MakeRun, done: int, planned: int) -> None:
    loop = run_of(epochs=50, max_minutes=10.0).loop
    progress = loop.progress
    progress.epoch, progress.epochs, progress.first_minutes, progress.minutes = done, 10, 0.01, 0.04
    loop._fit_into_time()
    assert progress.epochs == planned
