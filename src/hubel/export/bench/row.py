"""One row of `hubel bench`, in a process of its own: speed and memory of one model on one engine.

`python -m hubel.export.bench.row JOB`, with the fields of `BenchmarkJob` as JSON. It writes two lines on standard
output: `FIRST_RESULT` as soon as one image has its scores, which ends the start, and finally a JSON object with the
fields of `Speed` under "speed" or a reason under "error". An exported file is measured without torch.
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
from hubel.core.process import tune_process
from hubel.export.bench.machine import others_share, peak_memory_mib, processor_usage

if TYPE_CHECKING:
    from hubel.data.preprocess import Preprocess
    from hubel.inference.classifier import Classifier
    from hubel.inference.tta import Compute

__all__ = [
    "FIRST_RESULT",
    "BenchmarkJob",
    "Speed",
    "fixed_image",
    "latency_percentiles",
    "measure_speed",
    "noise_images",
    "run_job",
    "throughputs",
]

FIRST_RESULT = "answered"

_BATCH_SIZES = (1, 8, 32)  # besides the batch size of bulk prediction
_WARM_UP = 3  # single images
_MIN_TIMINGS, _MAX_TIMINGS = 10, 5000  # of single images
_IMAGES = 16  # taken in turn as the single image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class BenchmarkJob:
    """The settings of one row.

    Attributes:
        path: path of an exported file or a model file.
        engine: one of `hubel.inference.engines.registry.ONNX_ENGINES`, or "torch".
        seconds: time to measure for after the start, in seconds.
        batch: number of images in a batch; None tries several.
        threads: number of threads; None for hubel's default.
    """

    path: str
    engine: str
    seconds: float
    batch: int | None = None
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The speed of a model from resized images uint8 to scores, and its memory.

    Attributes:
        latency_p50_ms: median time of a single image on all cores, after the warm-up, in milliseconds.
        latency_p95_ms: 95th percentile of that time, in milliseconds.
        latency_p99_ms: 99th percentile of that time, in milliseconds.
        timings: number of single images timed.
        images_per_second: throughput at the best batch size.
        batch: best batch size.
        by_batch: throughput in images per second for each batch size tried.
        lanes: number of batches computed in parallel.
        peak_memory_mib: peak resident memory of the process in MiB, libraries and largest batch included; None where
            the system does not state it.
        others_share: share of the processor's cores that other programs used meanwhile, 0 to 1; None where the system
            does not state it. They slow every row down, and not all equally.
        device: device of the network's weights, such as "cpu".
        top_class: predicted class of `fixed_image`, to check the computation by.
        top_score: score of that class, 0 to 1.
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


def run_job() -> None:
    """Measure the job given as JSON on the command line, and write the result on standard output."""
    # Other output, such as that of libraries, must not get between our lines.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tune_process()
    try:
        job = BenchmarkJob(**json.loads(sys.argv[1]))
        speed = measure_speed(job, lambda: print(FIRST_RESULT, file=output, flush=True))
        result: dict[str, Any] = {"speed": dataclasses.asdict(speed)}
    except MemoryError:
        result = {"error": "out of memory"}
    except HubelError as error:
        result = {"error": str(error)}
    except Exception as error:  # engines have exceptions of their own, which the row reports
        result = {"error": f"{type(error).__name__}: {error!s:.300}"}
    print(json.dumps(result), file=output, flush=True)


def measure_speed(job: BenchmarkJob, on_first_result: Callable[[], None]) -> Speed:
    """Load a model, score one image, then time single images and batches for half of the time each.

    With `BenchmarkJob.threads` this changes the process for good: run it in one of its own.

    Args:
        job: model, engine and time.
        on_first_result: called when the first image has its scores.
    """
    if job.threads is not None:
        # All of hubel takes its number of threads from here, and no such module has been imported yet.
        resources.usable_cores = lambda: job.threads or 1
    from hubel.inference.load import load_classifier
    from hubel.inference.stream import MANY, batch_size

    model = load_classifier(Path(job.path), engine="auto" if job.engine == "torch" else job.engine)
    if job.engine == "torch" and job.threads is not None:
        importlib.import_module("torch").set_num_threads(job.threads)
    preprocess = model.card.preprocess
    (scores,) = model.scores(fixed_image(preprocess)[None])
    on_first_result()
    before = processor_usage()
    times = _latencies(model.scores, noise_images(preprocess, _IMAGES), job.seconds / 2)
    # For so many images the fastest engine is worth its longer start.
    compute, lanes = model.for_many(MANY)
    sizes = sorted({*_BATCH_SIZES, batch_size(preprocess)}) if job.batch is None else [job.batch]
    rates = throughputs(
        compute, lambda size: noise_images(preprocess, size), sizes, lanes=lanes, seconds=job.seconds / 2
    )
    best = max(rates, key=rates.__getitem__)
    p50_ms, p95_ms, p99_ms = latency_percentiles(times)
    return Speed(
        latency_p50_ms=p50_ms,
        latency_p95_ms=p95_ms,
        latency_p99_ms=p99_ms,
        timings=len(times),
        images_per_second=rates[best],
        batch=best,
        by_batch={str(size): rate for size, rate in rates.items()},
        lanes=lanes,
        peak_memory_mib=peak_memory_mib(),
        others_share=others_share(before, processor_usage()),
        device=_device(model),
        top_class=model.classes[int(scores.argmax())],
        top_score=float(scores.max()),
    )


def noise_images(preprocess: Preprocess, images: int) -> Pixels:
    """Return random images uint8 `(n, height, width, channels)`, the same each time; their content costs no time."""
    shape = (images, preprocess.height, preprocess.width, preprocess.channels)
    pixels: Pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return pixels


def fixed_image(preprocess: Preprocess) -> Pixels:
    """Return one image uint8 `(height, width, channels)`, the same for every engine and on every machine."""
    return noise_images(preprocess, 1).squeeze(0)


def latency_percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Compute the 50th, 95th and 99th percentile of times in seconds, in milliseconds.

    >>> latency_percentiles([0.001, 0.002, 0.003])[0]
    2.0
    """
    p50, p95, p99 = 1000 * np.quantile(seconds, (0.5, 0.95, 0.99))
    return float(p50), float(p95), float(p99)


def _latencies(compute: Compute, images: Pixels, seconds: float) -> list[float]:
    """Time single images one after the other, in seconds."""
    singles = [images[i : i + 1] for i in range(len(images))]
    for i in range(_WARM_UP):
        compute(singles[i % len(singles)])
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end or len(times) < _MIN_TIMINGS:
        compute(singles[len(times) % len(singles)])
        times.append(time.perf_counter() - before)
        if len(times) == _MAX_TIMINGS:
            break
    return times


def throughputs(
    compute: Compute, images: Callable[[int], Pixels], sizes: Sequence[int], *, lanes: int, seconds: float
) -> dict[int, float]:
    """Measure the throughput of all lanes together for each batch size, in images per second.

    It follows from the median time of a batch.

    Args:
        compute: function from images to scores, called by as many threads at once as there are lanes.
        images: function that returns a batch of the given size.
        sizes: batch sizes, the smallest first. A size that would take longer than the time left is skipped, as are
            larger ones; the first never is.
        lanes: number of batches computed in parallel.
        seconds: time for all sizes together, in seconds.
    """
    rates: dict[int, float] = {}
    end = time.perf_counter() + seconds
    for i, size in enumerate(sizes):
        left = end - time.perf_counter()
        # One batch to warm up and one to time, in every lane, at the speed of the last size.
        if rates and 2 * lanes * size / [*rates.values()][-1] > left:
            break
        rates[size] = _rate(compute, images(size), lanes, left / (len(sizes) - i))
    return rates


def _rate(compute: Compute, images: Pixels, lanes: int, seconds: float) -> float:
    """Measure the throughput of all lanes in batches like this one, in images per second."""
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
    """Return the device of a network's weights; "cpu" for exported files."""
    parameters = getattr(getattr(model, "network", None), "parameters", lambda: iter(()))()
    return str(getattr(next(parameters, None), "device", "cpu"))


if __name__ == "__main__":
    run_job()
