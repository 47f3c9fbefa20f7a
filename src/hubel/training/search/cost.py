"""Predict how long a trial takes: from the speed of its network on this machine, corrected by the trials before."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from hubel.data.samples import blank_input
from hubel.inference.fold import folded
from hubel.nn.evaluating import evaluating
from hubel.nn.freezing import ALL
from hubel.training.execute import training_context
from hubel.training.plan import Plan
from hubel.training.search.space import DEPTH, Start

__all__ = ["Costs"]

_PIXELS, _MOST = 2**18, 64  # of a forward pass that is timed; images at most
_PASSES = 3
_STEP = 3.0  # forward passes that a step takes: forward, and backward for the activations and for the weights
_UPPER = 1.0  # likewise of a step of the upper stages on maps that are stored
_OVERHEAD, _OPENING = 1.0, 6.0  # seconds of a trial without any image; and of the choice of the engine, once a network
_SHARED = 0.5  # share of the images of another fold whose features are stored already
_CORRECTION = (0.3, 3.0)  # of a prediction: what is beyond is an accident


class Costs:
    """The seconds that trials take. What is stored of a frozen part is not computed again."""

    def __init__(self) -> None:
        self._per_image: dict[str, float] = {}
        self._training: dict[bool, list[float]] = {True: [], False: []}
        self._measuring: list[float] = []
        self._stored: dict[tuple[str, int, Any], int] = {}

    def training(self, start: Start, params: Mapping[str, Any], fit: int, *, other_fold: bool = False) -> float:
        """Return the seconds of the training.

        Args:
            start: its network.
            params: its parameters.
            fit: number of images that teach.
            other_fold: they are others than those of the trials before.
        """
        correction = _median(self._training[start.pretrained])
        fixed = _OVERHEAD + (_OPENING if start.pretrained and not self._known(start, params) else 0)
        return fixed + correction * self._arithmetic(start, params, fit, other_fold=other_fold)

    def measuring(self, start: Start, params: Mapping[str, Any], held: int, *, again: bool = False) -> float:
        """Return the seconds of the measurement of images, if `again` of those that its trials had before."""
        if again and start.pretrained and self._known(start, params):
            return 0.0 if _only_head(start, params) else self._speed(start) * held * _UPPER / 2
        return _median(self._measuring) * self._speed(start) * held

    def record(
        self, start: Start, params: Mapping[str, Any], fit: int, held: int, seconds: float, measuring: float
    ) -> None:
        """Remember how long a trial took, and of that its measurement."""
        new = start.pretrained and not self._known(start, params)
        predicted = self._arithmetic(start, params, fit, other_fold=False)
        if predicted > _OVERHEAD / 2:
            took = seconds - measuring - _OVERHEAD - (_OPENING if new else 0)
            self._training[start.pretrained].append(took / predicted)
        if new or not start.pretrained:
            self._measuring.append(measuring / max(1e-9, self._speed(start) * held))
        if start.pretrained:
            key = self._key(start, params)
            self._stored[key] = max(self._stored.get(key, 0), fit)

    def _known(self, start: Start, params: Mapping[str, Any]) -> bool:
        return any(name == start.name for name, _, _ in self._stored)

    def _key(self, start: Start, params: Mapping[str, Any]) -> tuple[str, int, Any]:
        """Return what stands for the stored views of a frozen part."""
        if _only_head(start, params):
            return start.name, 1, None
        return start.name, _views(start, params), start.value(params, "augment") if "augment" in start.values else None

    def _arithmetic(self, start: Start, params: Mapping[str, Any], fit: int, *, other_fold: bool) -> float:
        per_image = self._speed(start)
        epochs: int = start.value(params, "epochs") if "epochs" in start.values else start.plan.loop.epochs
        if not start.pretrained:
            return per_image * _STEP * epochs * fit
        stored = self._stored.get(self._key(start, params), 0)
        fresh = _SHARED * fit if other_fold and stored else max(0, fit - stored)
        if _only_head(start, params):
            return per_image * fresh
        return per_image * (fresh * _views(start, params) + _UPPER * epochs * fit)

    def _speed(self, start: Start) -> float:
        """Return the seconds of a forward pass of one image."""
        if start.name not in self._per_image:
            self._per_image[start.name] = _forward_seconds(start.plan)
        return self._per_image[start.name]


def _only_head(start: Start, params: Mapping[str, Any]) -> bool:
    depth = start.value(params, DEPTH) if DEPTH in start.values else start.recipe.transfer.freeze
    return bool(depth == ALL)


def _views(start: Start, params: Mapping[str, Any]) -> int:
    assert start.plan.transfer is not None
    return int(start.value(params, "views") if "views" in start.values else start.plan.transfer.views)


def _median(ratios: list[float]) -> float:
    """Return the median of the last corrections; 1 before there is one."""
    low, high = _CORRECTION
    return min(high, max(low, statistics.median(ratios[-5:]))) if ratios else 1.0


def _forward_seconds(plan: Plan) -> float:
    with training_context(plan):
        network = plan.create().to(plan.device).eval()
        images = max(1, min(_MOST, _PIXELS // (plan.preprocess.height * plan.preprocess.width)))
        x = torch.cat([blank_input(plan.preprocess, plan.device)] * images)
        with evaluating(network):
            quick = folded(network)
            quick(x)
            # The least of a few passes: what else runs on the machine only ever makes one slower.
            return min(_seconds(lambda: quick(x)) for _ in range(_PASSES)) / images


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
