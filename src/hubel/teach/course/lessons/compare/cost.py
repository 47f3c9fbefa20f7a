"""Measure what one answer costs: hubel's k-NN with ever more pictures stored, beside its small CNN."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.random import bits
from hubel.models.catalogue import build_model
from hubel.models.neighbours import Neighbours
from hubel.teach.course.lessons.compare.network import build_network
from hubel.teach.course.lessons.compare.views import CANVAS

__all__ = ["SIZES", "measure_answers"]

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)  # pictures stored
_SECONDS, _LEAST = 0.1, 5  # time of one measurement, and its answers at least
_SEED = 5


def measure_answers(pictures: NDArray[np.float64], labels: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Yield what one answer takes: a row for each number of stored pictures, and one for the CNN first.

    Beyond the real pictures, more are made of them by changing grey values a little: what they show does not matter
    for the time.

    Args:
        pictures: canvases `(n, 12, 12)`, from 0 to 1.
        labels: class numbers `(n,)`.
    """
    query = torch.from_numpy(pictures[:1].astype(np.float32))[:, None]
    network = build_network()
    yield {"model": "cnn", "n": 0, "ms": _milliseconds(network, query), "bytes": _stored(network)}
    for n in SIZES:
        neighbours = build_model("knn", num_classes=10, in_channels=1, input_size=(CANVAS, CANVAS))
        assert isinstance(neighbours, Neighbours)
        chosen = np.arange(n) % len(pictures)
        noise = torch.from_numpy((bits(_SEED, np.arange(n)) % np.uint64(7)).astype(np.float32) / 100)
        stored = torch.from_numpy(pictures[chosen].astype(np.float32)) + noise[:, None, None]
        neighbours.fit(stored[:, None], torch.from_numpy(labels[chosen]))
        yield {"model": "knn", "n": n, "ms": _milliseconds(neighbours, query), "bytes": _stored(neighbours)}


@torch.inference_mode()
def _milliseconds(network: nn.Module, query: torch.Tensor) -> float:
    """Return the shortest time of an answer: what other programs take from it is not its cost."""
    network.eval()
    network(query)  # the first answer allocates
    return 1000 * min(_times(lambda: network(query)))


def _times(answer: Callable[[], object]) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _LEAST or time.perf_counter() < end:
        started = time.perf_counter()
        answer()
        times.append(time.perf_counter() - started)
    return times


def _stored(network: nn.Module) -> int:
    """Return the bytes of the weights, and of the pictures that k-NN stores."""
    return sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))
