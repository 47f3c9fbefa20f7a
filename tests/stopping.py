"""A run that somebody stops."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.core.stopping import Stop
from hubel.training import execute
from hubel.training.trainer import StepResult, Trainer


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Whatever trains next is asked to stop after some steps."""
    original, done, raised = Trainer.step, 0, Stop()

    def counted(trainer: Trainer, *arguments: Any) -> StepResult:
        nonlocal done
        result = original(trainer, *arguments)
        done += 1
        if done == steps:
            raised.asked = 15
        return result

    class Listening:
        def __enter__(self) -> Stop:
            raised.asked = 0
            return raised

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(Trainer, "step", counted)
    monkeypatch.setattr(execute, "listening", Listening)
