"""A run that somebody stops."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.core.stopping import Stop
from hubel.training import fit
from hubel.training.loop import Loop


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Whatever trains next is asked to stop after some steps."""
    original, done, raised = Loop.learn_from, 0, Stop()

    def counted(loop: Any, batch: Any) -> None:
        nonlocal done
        original(loop, batch)
        done += 1
        if done == steps:
            raised.asked = 15

    class Listening:
        def __enter__(self) -> Stop:
            raised.asked = 0
            return raised

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(Loop, "learn_from", counted)
    monkeypatch.setattr(fit, "listening", Listening)
