"""Predict on all machines of a Ray cluster, or on this one if there is none: `hubel predict --engine ray`.

Each machine has one worker, which loads the model once and decodes and computes on all cores as `hubel predict` does
there. Workers get names of files and read these themselves, so models and images must be at the same place everywhere.
A worker gets whole batches of the list, so the predictions are those of one machine.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.core.errors import HubelError, OptionError
from hubel.data.inputs import Input
from hubel.inference.bulk_job import BulkJob, local_rows
from hubel.inference.row_files import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ray_rows"]

_IMAGES = 256  # about so many go to a worker at a time: seconds of work


def ray_rows(job: BulkJob, inputs: Sequence[Input], batch: int) -> Generator[Row, None, None]:
    """Yield the row of each input, in order, as they are predicted.

    Args:
        job: the request.
        inputs: files; not bytes.
        batch: images that the model computes at once.

    Raises:
        OptionError: Ray is not installed, or an input is no file.
        HubelError: a worker failed.
    """
    if any(item.data is not None for item in inputs):
        raise OptionError("--engine ray reads files at its workers; an image from standard input has none")
    # Before Ray is imported: it would report its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext, from_items
        from ray.exceptions import RayError
    except ImportError:
        raise OptionError('--engine ray needs Ray: pip install "hubel[ray]"') from None
    if not inputs:
        return
    ours = not ray.is_initialized()
    if ours:  # the cluster of $RAY_ADDRESS, or the one that runs on this machine, or a new one of this machine alone
        before = signal.getsignal(signal.SIGTERM)
        ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)  # so that the caller can still stop in good order
    try:
        context = DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        work = _work(inputs, max(1, _IMAGES // batch) * batch)
        cores, workers = _places(ray.nodes(), len(work))
        found = from_items(work, override_num_blocks=len(work)).map_batches(
            _Worker,
            fn_constructor_args=(replace(job, engine="auto", device="cpu"), str(Path.cwd())),
            batch_size=1,
            num_cpus=cores,
            compute=ActorPoolStrategy(size=workers),
        )
        for answer in found.iter_rows():
            yield json.loads(answer["row"])
    except RayError as error:
        raise HubelError(f"Ray: {_last_line(error)}") from None
    finally:
        if ours:
            ray.shutdown()


def _work(inputs: Sequence[Input], size: int) -> list[dict[str, str]]:
    """Return the inputs in parts; as JSON, because names of files may hold what Ray's tables cannot."""
    named = [item.name for item in inputs]
    return [{"inputs": json.dumps(named[start : start + size])} for start in range(0, len(named), size)]


def _places(nodes: Sequence[dict[str, Any]], parts: int) -> tuple[int, int]:
    """Return the cores of a worker and the number of workers: one a machine, more on a larger machine.

    >>> _places([{"Alive": True, "Resources": {"CPU": 8.0}}, {"Alive": True, "Resources": {"CPU": 16.0}}], parts=10)
    (8, 3)
    """
    cores = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    cores = [number for number in cores if number > 0]
    if not cores:
        raise OptionError("no machine of the Ray cluster has a processor to give")
    return min(cores), min(parts, sum(number // min(cores) for number in cores))


class _Worker:
    """A loaded model on one machine."""

    def __init__(self, job: BulkJob, folder: str) -> None:
        os.chdir(folder)  # names of files mean the same as where the command was given
        self.job = job
        self.classifier = job.load()

    def __call__(self, part: dict[str, NDArray[Any]]) -> dict[str, list[str]]:
        named = json.loads(part["inputs"][0])
        inputs = [Input(name) for name in named]
        return {"row": [json.dumps(row) for row in local_rows(self.job, self.classifier, inputs)]}


def _last_line(error: Exception) -> str:
    """Return the error itself, below the stack of another machine."""
    return [line for line in str(error).splitlines() if line.strip()][-1].strip()
