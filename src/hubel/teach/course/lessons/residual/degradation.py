"""The degradation experiment (He et al. 2015, Figure 6), small enough to watch: on digits of 8x8 pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubel.teach.course.lessons.residual.digits_run import KINDS, plan_run, training_steps
from hubel.teach.course.lessons.residual.side_by_side import side_by_side

__all__ = ["EPOCHS", "SHALLOW_AND_DEEP", "degradation"]

SHALLOW_AND_DEEP = (20, 56)
EPOCHS = 20


def degradation(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train a shallow and a deep network without shortcuts and with them; yield each epoch's training errors.

    All four see the same images in the same order. An epoch of the deep networks follows one of the shallow ones, so
    that their curves grow together.
    """
    pairs = [side_by_side([_errors(kind, depth) for kind in KINDS]) for depth in SHALLOW_AND_DEEP]
    for epoch in range(EPOCHS):
        for depth, pair in zip(SHALLOW_AND_DEEP, pairs, strict=True):
            for kind, error in zip(KINDS, next(pair), strict=True):
                yield {"kind": kind, "depth": depth, "epoch": epoch + 1, "error": error}


def _errors(kind: str, depth: int) -> Iterator[float]:
    """Yield the training error of each epoch in percent."""
    correct = samples = 0.0
    for step in training_steps(plan_run(kind, depth, EPOCHS)):
        correct, samples = correct + step.result.correct, samples + step.result.samples
        if step.last:
            yield 100 * (1 - correct / samples)
            correct = samples = 0.0
