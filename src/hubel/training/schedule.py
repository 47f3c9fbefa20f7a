"""Learning rates over a run, as factors of the highest one; each is a pure function of progress from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

__all__ = ["SCHEDULES", "factor"]


def _cosine(progress: float) -> float:
    """Half a cosine wave, 1 to 0 (Loshchilov & Hutter 2016, arXiv:1608.03983, Eq. 5 without restarts)."""
    return (1 + cos(pi * progress)) / 2


def _step(progress: float) -> float:
    """Divided by 10 at one half and at three quarters (He et al. 2015, arXiv:1512.03385, Section 4.2)."""
    return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01


SCHEDULES: dict[str, Callable[[float], float]] = {
    # Smith & Topin 2017, arXiv:1708.07120: up, then down to nothing. Deviation: the momentum stays.
    "onecycle": lambda progress: 1 - progress,
    "cosine": _cosine,
    "step": _step,
    "constant": lambda progress: 1.0,
}


def factor(schedule: str, progress: float, warmup: float) -> float:
    """Return the factor at a point of the run: a rising line for `warmup`, a share of the run, then the schedule.

    >>> [round(factor("onecycle", p, 0.2), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if progress < warmup:
        return progress / warmup
    rest = (progress - warmup) / (1 - warmup) if warmup < 1 else 1.0
    return SCHEDULES[schedule](min(1.0, rest))
