"""Watch what a server sees: predicted classes, confidence, and whether the images still look like the training's."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hubel.audit.drifting.alarm import DIRECTIONS, DriftAlarm
from hubel.audit.drifting.appearance import appearance
from hubel.audit.drifting.observe import confidence
from hubel.audit.drifting.reference import read_reference
from hubel.core.progress import say
from hubel.studio.metrics import Histogram, counter, gauge, histograms
from hubel.weights.card import ModelCard

__all__ = ["Watch", "watch_lines"]

_MOST_CLASSES = 100  # labels of a counter: Prometheus keeps a series for each
_OTHERS = "(others)"
_NOVELTIES = (-2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass
class _Counts:
    """Counters of one model.

    Attributes:
        classes: predictions by class, at most `_MOST_CLASSES` and the others together.
        confidence: highest scores.
        novelty: of models that tell it.
        rings: alarms by statistic and direction.
        rang: Unix time of the last alarm; 0 before the first.
        evidence: of the alarm, by statistic.
        means: of recent images, by statistic.
    """

    classes: Counter[str] = field(default_factory=Counter)
    confidence: Histogram = field(default_factory=lambda: Histogram(_SHARES))
    novelty: Histogram = field(default_factory=lambda: Histogram(_NOVELTIES))
    rings: Counter[tuple[str, str]] = field(default_factory=Counter)
    rang: float = 0.0
    evidence: Mapping[str, float] = field(default_factory=dict)
    means: Mapping[str, float] = field(default_factory=dict)


class Watch:
    """Counters and the alarm of one model; thread-safe, of constant memory.

    Args:
        model: its name in the API.
        card: of the model; one without a reference gives counters and no alarm.

    Raises:
        ModelFileError: the reference in the card cannot be read.
    """

    def __init__(self, model: str, card: ModelCard) -> None:
        self.model, self._card = model, card
        self._lock, self._counts = threading.Lock(), _Counts()
        self._alarm = _alarm(card) if card.reference else None
        if self._alarm is None:
            say(f"{model} keeps no statistics of its training images: predictions are counted, without a drift alarm")
        else:
            self._counts.rings.update({(name, side): 0 for name in self._alarm.names for side in DIRECTIONS})

    @property
    def usual(self) -> Mapping[str, float]:
        """Mean of each statistic in the reference."""
        return self._alarm.usual if self._alarm else {}

    def add(self, pixels: Sequence[NDArray[np.uint8]], scores: Sequence[NDArray[np.float64]]) -> None:
        """Take images uint8 `(h, w, c)` that have been answered, with their scores `(classes,)`.

        Where more than the scores stands in a row, the first number behind them is the novelty of the image.
        """
        rows, beyond = np.split(np.stack(scores), [len(self._card.classes)], axis=1)
        odds = confidence(rows, self._card)
        traits = [appearance(image) for image in pixels] if self._alarm else []
        with self._lock:
            if self._card.scores != "identity":
                self._count(rows)
            for novelty in beyond[:, :1].ravel().tolist():
                self._counts.novelty.add(novelty)
            if self._alarm is None:
                return
            rings = [ring for one in zip(traits, odds.tolist(), strict=True) if (ring := self._alarm.add(*one))]
            for ring in rings:
                self._counts.rings[ring.statistic, ring.direction] += 1
                self._counts.rang = time.time()
        for ring in rings:
            what = f"{ring.statistic} is {ring.direction} than usual"
            say(f"{self.model}: drift alarm after {ring.images:,} images: {what}")

    def counts(self) -> _Counts:
        """Return a copy of the counters as they are now."""
        with self._lock:
            if self._alarm:
                self._counts.evidence, self._counts.means = self._alarm.evidence, self._alarm.recent
            return deepcopy(self._counts)

    def _count(self, rows: NDArray[np.float64]) -> None:
        counts = self._counts
        for best, score in zip(rows.argmax(1).tolist(), rows.max(1).tolist(), strict=True):
            name = self._card.classes[best]
            known = name in counts.classes or len(counts.classes) < _MOST_CLASSES
            counts.classes[name if known else _OTHERS] += 1
            counts.confidence.add(score)


def _alarm(card: ModelCard) -> DriftAlarm:
    answer = "prediction" if card.scores == "identity" else "confidence"
    return DriftAlarm(read_reference(card.reference, len(card.classes)), answer=answer)


def watch_lines(watches: Sequence[Watch]) -> list[str]:
    """Return the lines of the metrics of models; none without any."""
    if not watches:
        return []
    counts = {one.model: one.counts() for one in watches}
    usual = {one.model: one.usual for one in watches}

    def by_statistic(found: Iterable[tuple[str, Mapping[str, float]]]) -> list[tuple[dict[str, str], float]]:
        return [
            ({"model": model, "statistic": name}, value) for model, values in found for name, value in values.items()
        ]

    return [
        *counter(
            "hubel_predictions_total",
            "Predictions by class.",
            [({"model": m, "class": name}, n) for m, one in counts.items() for name, n in sorted(one.classes.items())],
        ),
        *histograms("hubel_confidence", "Highest score.", "model", {m: one.confidence for m, one in counts.items()}),
        *histograms(
            "hubel_novelty",
            "Distance from the images of the classes, about 0 for a typical one.",
            "model",
            {m: one.novelty for m, one in counts.items() if one.novelty.count},
        ),
        *gauge(
            "hubel_image_recent",
            "Mean over about the last 200 images.",
            by_statistic((m, one.means) for m, one in counts.items()),
        ),
        *gauge("hubel_image_usual", "Mean over images of the training.", by_statistic(usual.items())),
        *gauge(
            "hubel_drift_evidence",
            "log10 of the evidence of a drift, over that of an alarm: 0 rings.",
            by_statistic((m, one.evidence) for m, one in counts.items()),
        ),
        *counter(
            "hubel_drift_alarms_total",
            "Drift alarms by the statistic that tells most.",
            [
                ({"model": m, "statistic": name, "direction": side}, n)
                for m, one in counts.items()
                for (name, side), n in one.rings.items()
            ],
        ),
        *gauge(
            "hubel_drift_alarm_timestamp_seconds",
            "Unix time of the last drift alarm; 0 for none.",
            [({"model": m}, one.rang) for m, one in counts.items()],
        ),
    ]
