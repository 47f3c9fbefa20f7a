"""The time of a search, from its start to its report."""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["Clock"]


@dataclass(frozen=True)
class Clock:
    """A limit in time.

    Attributes:
        started: when the search began, in seconds of the monotonic clock.
        seconds: that it may take in all.
    """

    started: float
    seconds: float

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self.seconds - self.spent
