"""Predict how long a trial takes: from the speed of its network on this machine, corrected by the trials before."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from hubel.data.loading import blank_input
from hubel.inference.fold import folded
from hubel.nn.evaluating import evaluating
from hubel.nn.freezing import ALL
from hubel.training.execute import training_context
from hubel.training.plan import Plan
from hubel.training.search.space import DEPTH, Start

__all__ = ["Costs"]

_PIXELS, _MOST = 2**18, 64  # of a forward pass that is timed; images at most
_STEP = 3.0  # forward passes that a step takes: forward, backward in two halves (Baydin et al. 2018, Section 3.2)
_UPPER = 1.0  # likewise of a step of the upper stages on maps that are stored
_OVERHEAD = 1.0  # seconds of a trial without any image


class Costs:
    """The seconds that trials take. What is stored of a frozen part is not computed again."""

    def __init__(self) -> None:
        self._per_image: dict[str, float] = {}
        self._ratios: dict[str, list[float]] = {}
        self._stored: dict[tuple[str, Any, Any], int] = {}

    def predict(self, start: Start, params: Mapping[str, Any], fit: int, held: int) -> float:
        """Return the seconds of a trial.

        Args:
            start: its network.
            params: its parameters.
            fit: number of images that teach.
            held: number of images that measure.
        """
        return _OVERHEAD + self._arithmetic(start, params, fit, held) * self._correction(start)

    def record(self, start: Start, params: Mapping[str, Any], fit: int, held: int, seconds: float) -> None:
        """Remember how long a trial took."""
        predicted = self._arithmetic(start, params, fit, held)
        if predicted > _OVERHEAD / 2:
            self._ratios.setdefault(self._kind(start), []).append(max(0.0, seconds - _OVERHEAD) / predicted)
        if start.pretrained:
            for key in self._keys(start, params):
                self._stored[key] = max(self._stored.get(key, 0), fit + held)

    def _correction(self, start: Start) -> float:
        found = self._ratios.get(self._kind(start)) or [one for ratios in self._ratios.values() for one in ratios]
        return statistics.median(found[-5:]) if found else 1.0

    def _kind(self, start: Start) -> str:
        return "tuned" if start.pretrained else "scratch"

    def _keys(self, start: Start, params: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
        """Return what is stored of a frozen part: the images themselves, and their views."""
        values = {name: start.value(params, name) for name in start.values}
        return [(start.name, values.get(DEPTH), (values.get("views"), values.get("augment")))]

    def _arithmetic(self, start: Start, params: Mapping[str, Any], fit: int, held: int) -> float:
        per_image = self._speed(start)
        values = {name: start.value(params, name) for name in start.values}
        epochs: int = values.get("epochs", start.plan.loop.epochs)
        if start.plan.transfer is None:
            return per_image * (_STEP * epochs * fit + held)
        views: int = values.get("views", start.plan.transfer.views)
        only_head = values.get(DEPTH, start.recipe.transfer.freeze) == ALL
        # The images that measure are computed twice: exactly for the measurement, and otherwise.
        stored = max((self._stored.get(key, 0) for key in self._keys(start, params)), default=0)
        fresh = max(0, fit + held - stored)
        passes = fresh * (1 if only_head else views)
        return per_image * (passes + (0 if only_head else _UPPER * epochs * fit))

    def _speed(self, start: Start) -> float:
        """Return the seconds of a forward pass of one image."""
        if start.name not in self._per_image:
            self._per_image[start.name] = _forward_seconds(start.plan)
        return self._per_image[start.name]


def _forward_seconds(plan: Plan) -> float:
    with training_context(plan):
        network = plan.card.create().to(plan.device).eval()
        images = max(1, min(_MOST, _PIXELS // (plan.preprocess.height * plan.preprocess.width)))
        x = torch.cat([blank_input(plan.preprocess, plan.device)] * images)
        with evaluating(network):
            quick = folded(network)
            quick(x)
            started = time.monotonic()
            quick(x)
            return (time.monotonic() - started) / images
