"""The selection of the fastest engine among candidates, by measurement on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hubel.inference.engines.engine import OnnxRunner, Precision
from hubel.inference.engines.registry import EngineChoice

__all__ = ["LEAST_AGREEMENT", "EngineCandidate", "Selection", "images_per_second", "select_fastest"]

# Noise in the features of EfficientNet-Lite0 that lowers `agreement` to 0.95 costs a linear head 0.3 points of accuracy
# (293 photos of clothes, 3 draws), to 0.9 costs it 1; int8 has 0.98 there and costs nothing.
LEAST_AGREEMENT = 0.95
_CLEARLY = 0.75  # of the time without int8, for its calibration to be tried: it may round too much after all
_TIMED_SECONDS = 0.6

Runner = TypeVar("Runner")


@dataclass(frozen=True, kw_only=True)
class EngineCandidate(Generic[Runner]):
    """An engine that may be tried.

    Attributes:
        choice: the engine and its precision.
        open: converts the network and returns its runner.
        seconds: returns the time that this will take, as far as is known beforehand.
        most_gain: the speed against the first candidate at best.
    """

    choice: EngineChoice
    open: Callable[[], Runner]
    seconds: Callable[[], float] = lambda: 0.0
    most_gain: float = float("inf")


@dataclass(frozen=True, kw_only=True)
class Selection(Generic[Runner]):
    """The fastest engine.

    Attributes:
        choice: the engine and its precision.
        run: runs the network.
        rates: images per second of every engine that was tried and ran.
        note: the results of all that were tried, without the choice.
    """

    choice: EngineChoice
    run: Runner
    rates: dict[EngineChoice, float] = field(default_factory=dict)
    note: str = ""


def select_fastest(
    candidates: Sequence[EngineCandidate[Runner]],
    *,
    images: int,
    rate: Callable[[Runner], float],
    agreement: Callable[[Runner], float] | None = None,
    compared: int = 0,
) -> Selection[Runner]:
    """Open and time candidates, and return the one that has run so many images first, its conversion included.

    Args:
        candidates: at least one. The first must run, and its errors are raised; others that fail are passed over, and
            those that cannot pay within `images` even at their best speed are not tried.
        images: how many are to be run.
        rate: measures the images per second of a runner.
        agreement: measures how well the outputs of a runner agree with those in float32; below `LEAST_AGREEMENT` it is
            not taken. Everything agrees if None.
        compared: images that the first candidate computes once more for each that is tried, to compare with.
    """
    first, *others = candidates
    choice, run = first.choice, first.open()
    plain = best = rate(run)
    rates, tried = {choice: plain}, [f"{choice} {plain:,.0f} images/s"]
    for candidate in others:
        seconds = candidate.seconds() + compared / plain
        margin = _CLEARLY if candidate.choice.precision is Precision.INT8 else 1
        if not seconds + images / (candidate.most_gain * plain) < margin * images / best:
            continue
        try:
            opened = candidate.open()
            found, agreed = rate(opened), 1.0 if agreement is None else agreement(opened)
        except Exception as error:  # converters fail in ways of their own; the first candidate runs everything
            tried.append(f"{candidate.choice} fails: {error!r:.200}")
            continue
        rates[candidate.choice] = found
        tried.append(f"{candidate.choice} {found:,.0f} with agreement {agreed:.3f}")
        if agreed >= LEAST_AGREEMENT and found > best:
            choice, run, best = candidate.choice, opened, found
    return Selection(choice=choice, run=run, rates=rates, note=", ".join(tried))


def images_per_second(
    run: OnnxRunner, images: NDArray[np.uint8], *, lanes: int, seconds: float = _TIMED_SECONDS
) -> float:
    """Return how many images per second all lanes run together, in batches like this one."""

    def lane(_: int) -> tuple[int, float]:
        run(images)  # the first call prepares memory
        done, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds or not done:
            run(images)
            done += len(images)
        return done, spent

    with ThreadPoolExecutor(lanes) as pool:
        return sum(done / spent for done, spent in pool.map(lane, range(lanes)))
