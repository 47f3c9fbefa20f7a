"""A sequential alarm: it rings when the images of a stream no longer look like those of the training.

It is an e-detector (Shin, Ramdas & Rinaldo 2023, "E-detectors: a nonparametric framework for sequential change
detection", arXiv:2203.03532, in the form of Shiryaev and Roberts). A statistic of an image is replaced by its normal
score z, the quantile of a standard normal distribution at its rank among the reference. For each statistic, side and
bet b the evidence of a change is

    M_t = (M_{t-1} + 1) exp(b z_t - c_b),

where c_b makes the mean of the factor at most 1 as long as the mean of z has moved by less than the tolerance. The mean
M of all of them is an e-detector, too, however the statistics depend on each other: the mean number of images to a
false alarm at `M >= T` is at least T. The tolerance, 0.6 standard deviations, also covers that the reference is a
sample, and that two folders of photos of one kind are never quite alike.

Memory is constant, and the batch of an image changes nothing. This module imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hubel.audit.drifting.appearance import APPEARANCE
from hubel.audit.drifting.reference import Reference

__all__ = ["DIRECTIONS", "DriftAlarm", "Ring"]

#: Sides of a change.
DIRECTIONS = ("lower", "higher")

_SIDES = np.array([-1.0, 1.0])
_BETS = np.array([0.5, 1.0])  # best for means that are off by as many standard deviations beyond the tolerance
_TOLERANCE = 0.6
_THRESHOLD = 1e6
_LEAST = 50  # images of a reference; fewer tell too little of what is usual
_RECENT = 200  # images that the moving averages go back


@dataclass(frozen=True, kw_only=True)
class Ring:
    """An alarm.

    Attributes:
        statistic: whose evidence was the largest.
        direction: one of `DIRECTIONS`, compared with the training.
        images: since the start, or since the alarm before.
    """

    statistic: str
    direction: str
    images: int


class DriftAlarm:
    """The state of one stream of images; not thread-safe.

    Args:
        reference: of the model.
        answer: name of the statistic of the network's answer: its confidence, or the number that it predicts.
        threshold: evidence at which it rings: the least mean number of images to a false alarm.
        tolerance: standard deviations by which a mean may be off.

    Attributes:
        names: of the statistics that are watched: those that vary among the reference.
        usual: means of the reference, by name.
        images: seen since the start, or since the last alarm.
    """

    def __init__(
        self,
        reference: Reference,
        *,
        answer: str = "confidence",
        threshold: float = _THRESHOLD,
        tolerance: float = _TOLERANCE,
    ) -> None:
        columns = [*reference.sample.appearance.T, reference.sample.confidence]
        names = [*(trait.name for trait in APPEARANCE), answer]
        self._places = [at for at, values in enumerate(columns) if len(values) >= _LEAST and np.ptp(values) > 0]
        self._scales = [_Scale(columns[at]) for at in self._places]
        self.names = tuple(names[at] for at in self._places)
        self.usual = {names[at]: float(columns[at].mean(dtype=np.float64)) for at in self._places}
        self._costs = np.array([scale.costs(tolerance) for scale in self._scales]).reshape(-1, len(_SIDES), len(_BETS))
        self._log_threshold = np.log(threshold)
        self._means = np.zeros(len(self._places))
        self._seen = 0
        self._start()

    def _start(self) -> None:
        self._state = np.full(self._costs.shape, -np.inf)
        self.images = 0

    @property
    def recent(self) -> dict[str, float]:
        """Means of about the last 200 images, by statistic."""
        return dict(zip(self.names, self._means.tolist(), strict=True)) if self._seen else {}

    @property
    def evidence(self) -> dict[str, float]:
        """Evidence of each statistic as log10, over that of an alarm: at 0 it rings; empty before the first image."""
        if not self.images:
            return {}
        each = np.logaddexp.reduce(self._state, axis=(1, 2)) - np.log(self._state.size) - self._log_threshold
        return dict(zip(self.names, (each / np.log(10)).tolist(), strict=True))

    def add(self, traits: NDArray[np.float32], answer: float) -> Ring | None:
        """Take the next image; return the alarm if it rings, after which it starts anew.

        Args:
            traits: of the image, see `appearance`.
            answer: of the network, see `hubel.audit.drifting.observe.confidence`.
        """
        values = np.append(traits, answer)[self._places].astype(np.float16)  # rounded as the reference is
        self._seen, self.images = self._seen + 1, self.images + 1
        self._means += (values - self._means) / min(self._seen, _RECENT)
        z = np.array([scale(value) for scale, value in zip(self._scales, values, strict=True)])
        self._state = np.logaddexp(self._state, 0) + z[:, None, None] * (_SIDES[:, None] * _BETS) - self._costs
        if not self.names or np.logaddexp.reduce(self._state, axis=None) < self._log_threshold + np.log(
            self._state.size
        ):
            return None
        statistic, side, _ = np.unravel_index(int(self._state.argmax()), self._state.shape)
        ring = Ring(statistic=self.names[statistic], direction=DIRECTIONS[side], images=self.images)
        self._start()
        return ring


class _Scale:
    """Normal scores of a statistic by its rank among reference values `(n,)`; ties take their middle."""

    def __init__(self, values: NDArray[np.float16]) -> None:
        self._sorted = np.sort(values)
        n = len(values)
        self._scores = np.array([NormalDist().inv_cdf((twice + 1) / (2 * n + 2)) for twice in range(2 * n + 1)])

    def __call__(self, values: NDArray[np.float16]) -> NDArray[np.float64]:
        """Return the normal scores of values, or of one."""
        below, up_to = (self._sorted.searchsorted(values, side) for side in ("left", "right"))
        return np.asarray(self._scores[below + up_to])

    def costs(self, tolerance: float) -> NDArray[np.float64]:
        """Return what each side and each bet costs an image, `(sides, bets)`."""
        bets = _SIDES[:, None] * _BETS
        fair = np.log(np.exp(bets[..., None] * self(self._sorted)).mean(-1))
        return np.asarray(fair + _BETS * tolerance)
