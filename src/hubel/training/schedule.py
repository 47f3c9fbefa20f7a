"""Learning rates over a run, as factors of the highest one; each is a pure function of progress from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

__all__ = ["SCHEDULES", "Schedule"]

#: From the share of a run that is done after the warmup to a factor from 1 to 0, or one that stays at 1.
SCHEDULES: dict[str, Callable[[float], float]] = {
    # Smith & Topin 2017, arXiv:1708.07120: up, then down to nothing. Deviation: the momentum stays.
    "onecycle": lambda progress: 1 - progress,
    # Half a cosine wave (Loshchilov & Hutter 2016, arXiv:1608.03983, Eq. 5 without restarts).
    "cosine": lambda progress: (1 + cos(pi * progress)) / 2,
    "constant": lambda progress: 1.0,
    "step": lambda progress: 1.0,  # the milestones divide it
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A schedule of the learning rate.

    Attributes:
        name: a key of `SCHEDULES`.
        warmup: share of the run in which the learning rate rises, along a line.
        milestones: shares of the run, warmup included, at which "step" divides the learning rate by 10. The default is
            that of He et al. 2015, arXiv:1512.03385, Section 4.2: 32k and 48k of 64k steps.
        first: factor at the start of the warmup.
        last: factor at the end of "onecycle" and "cosine".
    """

    name: str = "onecycle"
    warmup: float = 0.2
    milestones: tuple[float, ...] = (0.5, 0.75)
    first: float = 0.0
    last: float = 0.0

    def factor(self, progress: float) -> float:
        """Return the factor at a point of the run, from 0 to 1.

        >>> [round(Schedule(warmup=0.2).factor(p), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        >>> [Schedule(name="step", warmup=0).factor(p) for p in (0.49, 0.5, 0.8)]
        [1.0, 0.1, 0.01]
        """
        if progress < self.warmup:
            return self.first + (1 - self.first) * progress / self.warmup
        if self.name == "step":
            return float(10.0 ** -sum(progress >= share for share in self.milestones))
        rest = (progress - self.warmup) / (1 - self.warmup) if self.warmup < 1 else 1.0
        return self.last + (1 - self.last) * SCHEDULES[self.name](min(1.0, rest))
