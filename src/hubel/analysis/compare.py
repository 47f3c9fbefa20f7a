"""Networks side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hubel.analysis.summary import Summary, summary
from hubel.models.catalogue import build_model, find, list_models
from hubel.nn.evaluating import evaluating
from hubel.weights.create import is_file_name
from hubel.weights.model_file import model_path, read_card
from hubel.weights.pretrained import list_weights

__all__ = ["Compared", "compare", "expanded"]

_WARM_UP, _TIMED = 3, 15  # passes


@dataclass(frozen=True)
class Compared:
    """One network of a comparison.

    Attributes:
        name: as it was asked for.
        summary: its layers and totals.
        top1: accuracy on ImageNet in percent, published for its default weights; None where there are none.
        latency_ms: median time of one image on the CPU; None where it was not measured.
    """

    name: str
    summary: Summary
    top1: float | None
    latency_ms: float | None


def expanded(names: Sequence[str]) -> list[str]:
    """The names, with patterns such as "vgg*" replaced by the networks that match."""
    found = []
    for name in names:
        matching = list_models(name) if any(sign in name for sign in "*?[") else []
        found += matching or [name]
    return found


def compare(names: Sequence[str], *, timed: bool = False) -> list[Compared]:
    """The networks, in the order in which they were named.

    Args:
        names: networks of the catalogue, model files, folders of runs.
        timed: whether to measure how long one image takes, with torch's present number of threads and fresh weights.

    Raises:
        UnknownNameError: there is no such network.
        ModelFileError: a file is missing or damaged.
    """
    rows = []
    for name in names:
        found = summary(name)
        weights = [] if is_file_name(name) else list_weights(find(name)[0])
        rows.append(
            Compared(name, found, weights[0].top1 if weights else None, _latency_ms(name, found) if timed else None)
        )
    return rows


def _latency_ms(name: str, found: Summary) -> float:

    network = read_card(model_path(Path(name))).create() if is_file_name(name) else build_model(name)
    images = torch.rand(1, *found.inputs[0])
    seconds = []
    with evaluating(network):
        for _ in range(_WARM_UP + _TIMED):
            started = time.perf_counter()
            network(images)
            seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[_WARM_UP:])
