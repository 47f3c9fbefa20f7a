"""One row of `hubel bench`, in a process of its own: how fast one engine is with one model, and what memory it takes.

`python -m hubel.export.bench.row JOB`, with the fields of `Job` as JSON. It writes two lines on standard output:
`ANSWERED` as soon as one image has its scores, which is when the start has ended, and at the end a JSON object, with
the fields of `Speed` under "speed" or a reason under "error". An exported file is measured without torch.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core import resources
from hubel.core.errors import HubelError
from hubel.core.process import tune
from hubel.export.bench.machine import others_share, peak_memory_mib, used

if TYPE_CHECKING:
    from hubel.data.preprocess import Preprocess
    from hubel.inference.classifier import Classifier
    from hubel.inference.tta import Compute

__all__ = [
    "ANSWERED",
    "Job",
    "Speed",
    "fixed_image",
    "measure",
    "noise",
    "quantiles",
    "throughputs",
]

ANSWERED = "answered"

_SIZES = (1, 8, 32)  # images in a batch; that of bulk prediction comes to these
_WARM_UP = 3  # single images
_FEWEST, _MOST = 10, 5000  # timings of single images
_IMAGES = 16  # that take turns as the single one

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        path: an exported file, or a model file.
        engine: one of `hubel.inference.engines.registry.ONNX_ENGINES`, or "torch".
        seconds: to measure for, after the start.
        batch: images at once; None to try several numbers.
        threads: to compute with; None for as many as hubel takes by itself.
    """

    path: str
    engine: str
    seconds: float
    batch: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Speed:
    """What was measured, from resized images uint8 to scores.

    Attributes:
        latency_p50_ms: median time of a single image, all cores at work on it; warm-up left out.
        latency_p95_ms: 95 of 100 took no longer.
        latency_p99_ms: 99 of 100 took no longer.
        timings: single images that were timed.
        images_per_second: with many images, at the batch size that is best.
        batch: that size.
        by_batch: images a second for each size that was tried.
        lanes: how many batches were computed side by side.
        peak_memory_mib: the most memory that the process held at once, libraries and largest batch included; None where
            the system does not say.
        others_share: how much of the processor's cores other programs used meanwhile, 0 to 1; None where the system
            does not say. They make every number worse, and not all of them alike.
        device: where torch computed, such as "cpu".
        top_class: the class that the model sees on `fixed_image`: that it computed what it should can be checked.
        top_score: of that class, 0 to 1.
    """

    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    timings: int
    images_per_second: float
    batch: int
    by_batch: dict[str, float]
    lanes: int
    peak_memory_mib: float | None
    others_share: float | None
    device: str
    top_class: str
    top_score: float


def main() -> None:
    """Do the job that the command line states."""
    # Whatever else is printed here, by libraries also, must not get between our lines.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tune()
    try:
        job = Job(**json.loads(sys.argv[1]))
        speed = measure(job, lambda: print(ANSWERED, file=told, flush=True))
        found: dict[str, Any] = {"speed": dataclasses.asdict(speed)}
    except MemoryError:
        found = {"error": "out of memory"}
    except HubelError as error:
        found = {"error": str(error)}
    except Exception as error:  # engines have errors of their own; the reader of this row wants to know which
        found = {"error": f"{type(error).__name__}: {error!s:.300}"}
    print(json.dumps(found), file=told, flush=True)


def measure(job: Job, answered: Callable[[], None]) -> Speed:
    """Start, tell when the first image has its scores, then time single images and batches for half the time each.

    With `Job.threads` this changes the process for good: it is meant for one that does nothing else.
    """
    if job.threads is not None:
        # Every part of hubel asks this how many threads to take, and none has been imported yet.
        resources.usable_cores = lambda: job.threads or 1
    from hubel.inference.load import load
    from hubel.inference.stream import MANY, batch_size

    model = load(Path(job.path), engine="auto" if job.engine == "torch" else job.engine)
    if job.engine == "torch" and job.threads is not None:
        importlib.import_module("torch").set_num_threads(job.threads)
    preprocess = model.card.preprocess
    (scores,) = model.scores(fixed_image(preprocess)[None])
    answered()
    before = used()
    times = _latencies(model.scores, noise(preprocess, _IMAGES), job.seconds / 2)
    # For so many images the fastest way is worth its longer start.
    compute, lanes = model.for_many(MANY)
    sizes = sorted({*_SIZES, batch_size(preprocess)}) if job.batch is None else [job.batch]
    rates = throughputs(compute, lambda size: noise(preprocess, size), sizes, lanes=lanes, seconds=job.seconds / 2)
    best = max(rates, key=rates.__getitem__)
    return Speed(
        *quantiles(times),
        timings=len(times),
        images_per_second=rates[best],
        batch=best,
        by_batch={str(size): rate for size, rate in rates.items()},
        lanes=lanes,
        peak_memory_mib=peak_memory_mib(),
        others_share=others_share(before, used()),
        device=_device(model),
        top_class=model.classes[int(scores.argmax())],
        top_score=float(scores.max()),
    )


def noise(preprocess: Preprocess, images: int) -> Pixels:
    """The same random pixels each time, uint8 `(n, height, width, channels)`: what is on an image costs no time."""
    shape = (images, preprocess.height, preprocess.width, preprocess.channels)
    pixels: Pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return pixels


def fixed_image(preprocess: Preprocess) -> Pixels:
    """One image, uint8 `(height, width, channels)`, the same for every engine and on every machine."""
    return noise(preprocess, 1).squeeze(0)


def quantiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile of some times, in milliseconds.

    >>> quantiles([0.001, 0.002, 0.003])[0]
    2.0
    """
    p50, p95, p99 = 1000 * np.quantile(seconds, (0.5, 0.95, 0.99))
    return float(p50), float(p95), float(p99)


def _latencies(compute: Compute, images: Pixels, seconds: float) -> list[float]:
    """Seconds that single images take, one after the other."""
    singles = [images[i : i + 1] for i in range(len(images))]
    for i in range(_WARM_UP):
        compute(singles[i % len(singles)])
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end or len(times) < _FEWEST:
        compute(singles[len(times) % len(singles)])
        times.append(time.perf_counter() - before)
        if len(times) == _MOST:
            break
    return times


def throughputs(
    compute: Compute, images: Callable[[int], Pixels], sizes: Sequence[int], *, lanes: int, seconds: float
) -> dict[int, float]:
    """Images a second for each size of a batch, from all lanes together, by the median time of a batch.

    Args:
        compute: for as many threads at once as there are lanes.
        images: makes a batch of a size.
        sizes: of batches, the smallest first. One that would take longer than what is left of the time is left out, and
            so are larger ones; the first is never.
        lanes: how many batches are computed side by side.
        seconds: for all sizes together.
    """
    rates: dict[int, float] = {}
    end = time.perf_counter() + seconds
    for place, size in enumerate(sizes):
        left = end - time.perf_counter()
        # One batch to warm up and one to time, in every lane, at the speed of the last size.
        if rates and 2 * lanes * size / [*rates.values()][-1] > left:
            break
        rates[size] = _rate(compute, images(size), lanes, left / (len(sizes) - place))
    return rates


def _rate(compute: Compute, images: Pixels, lanes: int, seconds: float) -> float:
    """Images a second in batches like this one."""
    end = time.perf_counter() + seconds

    def lane(_: int) -> list[float]:
        compute(images)
        times: list[float] = []
        while (before := time.perf_counter()) < end or not times:
            compute(images)
            times.append(time.perf_counter() - before)
        return times

    with ThreadPoolExecutor(lanes) as pool:
        times = list(chain.from_iterable(pool.map(lane, range(lanes))))
    return float(lanes * len(images) / np.median(times))


def _device(model: Classifier) -> str:
    """Where a model computes."""
    parameters = getattr(getattr(model, "network", None), "parameters", lambda: iter(()))()
    return str(getattr(next(parameters, None), "device", "cpu"))


if __name__ == "__main__":
    main()
