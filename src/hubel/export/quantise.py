"""Int8: an exported network whose layers compute in 8 bits, as far as its answers stay the same."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.export.int8_graph import Int8Graph, run
from hubel.inference.onnx_file import OUTPUTS

__all__ = ["Cost", "Quantised", "quantise"]

Pixels = NDArray[np.uint8]
Targets = NDArray[np.integer[Any]]
Logits = NDArray[np.float32]

_PROBED = 16  # images that say how sensitive a layer is
_MOST_FLOAT = 0.5  # of the multiply-adds: with more, a file in 8 bits is hardly faster


@dataclass(frozen=True)
class Cost:
    """What 8 bits change.

    Attributes:
        images: how many were compared.
        agreement: the share of them that have the same best class as in float32.
        accuracy_before: the share that is right in float32; None where there are no labels.
        accuracy_after: likewise in 8 bits.
    """

    images: int
    agreement: float
    accuracy_before: float | None = None
    accuracy_after: float | None = None

    @property
    def drop(self) -> float:
        """What is lost, as a share of the images: accuracy where there are labels, agreement otherwise."""
        if self.accuracy_before is None or self.accuracy_after is None:
            return 1 - self.agreement
        return self.accuracy_before - self.accuracy_after

    def __str__(self) -> str:
        same = f"{self.agreement:.1%} of {self.images:,} images have the same best class"
        if self.accuracy_before is None or self.accuracy_after is None:
            return same
        return f"accuracy {self.accuracy_before:.1%} before, {self.accuracy_after:.1%} after; {same}"


@dataclass(frozen=True)
class Quantised:
    """An exported network in 8 bits.

    Attributes:
        model: the ONNX graph, with the inputs and outputs that it had.
        cost: what 8 bits change.
        layers: how many there are.
        kept_float: those that stayed float, the most sensitive first.
        float_macs: their share of the multiply-adds, 0 to 1.
        seconds: what all this took.
    """

    model: bytes
    cost: Cost
    layers: int
    kept_float: tuple[str, ...]
    float_macs: float
    seconds: float

    def facts(self) -> dict[str, Any]:
        """What follows from the network and the images alone, as plain JSON values."""
        kept = {"layers": self.layers, "kept_float": list(self.kept_float), "float_macs": self.float_macs}
        return asdict(self.cost) | kept

    def __str__(self) -> str:
        kept = f": {', '.join(self.kept_float)}" if self.kept_float else ""
        return f"{self.cost}; {len(self.kept_float)} of {self.layers} layers stay float{kept}"


def quantise(
    model: bytes, calibration: Pixels, *, max_drop: float = 0.01, check: tuple[Pixels, Targets] | None = None
) -> Quantised:
    """An exported network in 8 bits. Equal arguments give equal bytes.

    All layers are rounded first. While that loses too much, those that change the logits most when they alone are
    rounded become float again: one, then 2, 4, 8 of them. The result runs on ONNX Runtime and on OpenVINO.

    Args:
        model: what `onnx_network` makes of a classifier.
        calibration: images of the kind that it is for, uint8 `(n, height, width, channels)`; a hundred are plenty.
        max_drop: the most that may be lost, see `Cost.drop`.
        check: other images and their class numbers. Without them the calibration images themselves are compared, which
            flatters: ranges were made for them.

    Raises:
        OptionError: there are no images, the network has no layers, or half of its multiply-adds would stay float.
    """
    started = time.perf_counter()
    if not len(calibration) or (check and not len(check[0])):
        raise OptionError("8 bits need images to calibrate and to compare with, and there are none")
    graph, judge = Int8Graph(model, calibration), _Judge(model, *(check or (calibration, None)))
    if not graph.layers:
        raise OptionError("this network has no convolution and no linear layer that could compute in 8 bits")
    if judge.exact.ndim != 2:
        raise OptionError("8 bits are for networks that name classes: of others, nothing says how much they may lose")
    order: list[str] = []
    kept: list[str] = []
    while (cost := judge.cost(rounded := graph.rounded(kept))).drop > max_drop + 1e-9:
        order = order or _most_sensitive_first(graph, judge)
        most = sum(share <= _MOST_FLOAT for share in graph.shares(order))
        if len(kept) == most:
            raise OptionError(
                f"8 bits cost too much, even with {most} of {len(order)} layers left in float: {cost}, where "
                f"{max_drop:.1%} may be lost. Export without --int8, calibrate with more images of the kind that the "
                "model is for, or allow a larger --max-drop"
            )
        kept = order[: min(2 * len(kept) or 1, most)]
    share = graph.shares(kept)[-1] if kept else 0.0
    names = tuple(map(graph.readable, kept))
    return Quantised(rounded, cost, len(graph.layers), names, share, time.perf_counter() - started)


@dataclass(frozen=True)
class _Judge:
    """Compares networks with one in float32."""

    model: bytes
    images: Pixels
    targets: Targets | None

    @cached_property
    def exact(self) -> Logits:
        """The logits in float32."""
        return _logits(self.model, self.images)

    def cost(self, rounded: bytes) -> Cost:
        """What rounding changes."""
        best, other = self.exact.argmax(1), _logits(rounded, self.images).argmax(1)
        accuracies = () if self.targets is None else (float((b == self.targets).mean()) for b in (best, other))
        return Cost(len(self.images), float((best == other).mean()), *accuracies)


def _most_sensitive_first(graph: Int8Graph, judge: _Judge) -> list[str]:
    """The layers, by how much the logits of some images change when one layer alone is rounded."""
    some = np.unique(np.linspace(0, len(judge.images) - 1, _PROBED).astype(np.int64))

    def change(layer: str) -> float:
        alone = graph.rounded(graph.layers.keys() - {layer})
        return float(np.square(_logits(alone, judge.images[some]) - judge.exact[some]).sum())

    return sorted(graph.layers, key=change, reverse=True)


def _logits(model: bytes, images: Pixels) -> Logits:
    return np.concatenate([found for (found,) in run(model, images, [OUTPUTS[1]])])
