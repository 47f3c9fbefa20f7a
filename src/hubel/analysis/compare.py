"""Compare the cost and the accuracy of networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hubel.analysis.summary import Summary, summary
from hubel.core.errors import HubelError, UnknownNameError
from hubel.core.progress import say
from hubel.models.catalogue import build_model, find, list_models
from hubel.nn.evaluating import evaluating
from hubel.plots.notebook import table_html
from hubel.weights.create import is_file_name
from hubel.weights.model_file import load_model, model_path
from hubel.weights.pretrained import list_weights

__all__ = ["ComparedNetwork", "NetworkComparison", "compare_networks", "expand_patterns"]

_WARM_UP, _TIMED = 3, 15  # passes


@dataclass(frozen=True, kw_only=True)
class ComparedNetwork:
    """One network of a comparison.

    Attributes:
        name: the name, file or folder that was given.
        summary: layers and totals.
        top1: published ImageNet accuracy of the default weights, in percent; None without pretrained weights.
        latency_ms: median latency of one image on the CPU; None unless measured.
    """

    name: str
    summary: Summary
    top1: float | None
    latency_ms: float | None

    def to_json(self) -> dict[str, Any]:
        """Return name, input shape, costs, published accuracy and latency; `field` is None where it is unbounded."""
        costs = self.summary
        return {
            "model": self.name,
            "input": list(costs.inputs[0]),
            "params": costs.params,
            "macs": costs.macs,
            "weighted_layers": costs.weighted_layers,
            "field": None if costs.field is None else costs.field.rows.size,
            "weights_mib": round(costs.bytes / 2**20, 3),
            "results_mib": round(costs.memory / 2**20, 3),
            "top1": self.top1,
            "latency_ms": self.latency_ms,
        }


class NetworkComparison(list[ComparedNetwork]):
    """Compared networks; at the end of a notebook's cell, a table of them."""

    def _repr_html_(self) -> str:
        return table_html(
            ["network", "input", "parameters", "MACs", "weights (MiB)", "ImageNet top-1 (%)", "latency (ms)"],
            [_cells(network) for network in self],
        )


def _cells(network: ComparedNetwork) -> list[str]:
    costs = network.summary
    return [
        network.name,
        "x".join(map(str, costs.inputs[0])),
        f"{costs.params:,}",
        f"{costs.macs:,}",
        f"{costs.bytes / 2**20:.1f}",
        "" if network.top1 is None else f"{network.top1:.1f}",
        "" if network.latency_ms is None else f"{network.latency_ms:.1f}",
    ]


def expand_patterns(names: Sequence[str]) -> list[str]:
    """Replace patterns such as "vgg*" by the names of the networks that match."""
    expanded = []
    for name in names:
        matching = list_models(name) if any(sign in name for sign in "*?[") else []
        expanded += matching or [name]
    return expanded


def compare_networks(names: Sequence[str], *, timed: bool = False) -> NetworkComparison:
    """Summarise networks, in the order of their names; one that cannot be summarised is left out, with a line.

    Args:
        names: networks of the catalogue, model files, folders of runs.
        timed: measure the latency of one image, with torch's current number of threads and random weights.

    Raises:
        UnknownNameError: there is no such network.
        HubelError: none of the networks can be summarised; the first of the reasons.
    """
    rows = NetworkComparison()
    faults: list[HubelError] = []
    for name in names:
        try:
            costs = summary(name)
            latency_ms = _latency_ms(name, costs) if timed else None
        except UnknownNameError:  # a mistake in what was asked, unlike a file that is damaged
            raise
        except HubelError as error:  # one network that cannot be summarised leaves the others
            faults.append(error)
            continue
        weights = [] if is_file_name(name) else list_weights(find(name)[0])
        rows.append(
            ComparedNetwork(
                name=name,
                summary=costs,
                top1=weights[0].top1 if weights else None,
                latency_ms=latency_ms,
            )
        )
    if faults and not rows:
        raise faults[0]
    for fault in faults:
        say(f"left out: {fault}")
    return rows


def _latency_ms(name: str, costs: Summary) -> float:
    network = load_model(model_path(Path(name)))[0] if is_file_name(name) else build_model(name)
    images = torch.rand(1, *costs.inputs[0])
    seconds = []
    with evaluating(network):
        for _ in range(_WARM_UP + _TIMED):
            started = time.perf_counter()
            network(images)
            seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[_WARM_UP:])
