"""Choose the number of threads: all cores, or fewer where other programs are using them.

The threads of one layer wait for each other. Where another program holds one of the cores, all wait for it, and two
threads can be slower than one; see `benchmarks/LOG.md`.
"""

from __future__ import annotations

import time

import torch
from torch.nn import functional as F

from hubel.core.resources import usable_cores

__all__ = ["probe_threads"]

_SECONDS = 0.1  # for each number of threads that is tried
_CLEARLY = 1.25  # fewer threads must be so much faster: results depend on the number in their last bits


def probe_threads() -> int:
    """Return the number of threads that computes fastest just now; torch's own setting is restored."""
    before = torch.get_num_threads()
    number = best = usable_cores()
    try:
        best_rate = _rate(number)
        while number > 1:
            number //= 2
            rate = _rate(number)
            if rate > _CLEARLY * best_rate:
                best, best_rate = number, rate
    finally:
        torch.set_num_threads(before)
    return best


def _rate(threads: int) -> float:
    """Return small convolutions a second."""
    torch.set_num_threads(threads)
    x = torch.zeros(32, 16, 32, 32).to(memory_format=torch.channels_last)
    weight = torch.zeros(16, 16, 3, 3).to(memory_format=torch.channels_last)
    for _ in range(3):
        F.conv2d(x, weight, padding=1)
    done, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < _SECONDS:
        F.conv2d(x, weight, padding=1)
        done += 1
    return done / passed
