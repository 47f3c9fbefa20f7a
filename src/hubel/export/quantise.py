"""Quantisation of exported networks to int8, with the layers that lose too much left in float32."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.export.int8_graph import Int8Graph, run_batches
from hubel.inference.onnx_file import OUTPUTS

__all__ = ["Check", "FloatReference", "OnnxQuantiser", "QuantisationCost", "Quantised", "measure_cost", "outputs_of"]

Pixels = NDArray[np.uint8]
Targets = NDArray[np.integer[Any]]
Logits = NDArray[np.float32]

_PROBES = 16  # images on which the sensitivity of a layer is measured
_MAX_FLOAT_SHARE = 0.5  # of the multiply-adds: with more in float32, an int8 file is hardly faster


@dataclass(frozen=True, kw_only=True)
class QuantisationCost:
    """The loss due to int8, measured against the float32 network.

    Attributes:
        images: number of images compared.
        agreement: share of the images with the same best class as in float32, 0 to 1; None where an image has more
            than one class.
        accuracy_before: accuracy in float32, 0 to 1; None without labels.
        accuracy_after: accuracy in int8, 0 to 1; None without labels.
        standard_error: of `drop`, for other images of the same kind.
        measure: name of the accuracy.
    """

    images: int
    agreement: float | None = None
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    standard_error: float = 0.0
    measure: str = "accuracy"

    @property
    def drop(self) -> float:
        """Loss as a share of the images: of accuracy with labels, of agreement without."""
        if self.accuracy_before is None or self.accuracy_after is None:
            return 1 - (self.agreement or 0.0)
        return self.accuracy_before - self.accuracy_after

    def __str__(self) -> str:
        same = f"{self.agreement or 0.0:.1%} of {self.images:,} images have the same best class"
        if self.accuracy_before is None or self.accuracy_after is None:
            return same
        change = f"{self.measure} {self.accuracy_before:.1%} before, {self.accuracy_after:.1%} after"
        return f"{change} on {self.images:,} images" if self.agreement is None else f"{change}; {same}"


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """An exported network in int8.

    Attributes:
        model: serialised ONNX graph, with unchanged inputs and outputs.
        cost: loss against float32, on images that did not choose the layers.
        layers: number of layers.
        float_layers: names of the layers left in float32, the most sensitive first.
        float_macs: share of the multiply-adds in these layers, 0 to 1.
        seconds: time that the quantisation took.
    """

    model: bytes
    cost: QuantisationCost
    layers: int
    float_layers: tuple[str, ...]
    float_macs: float
    seconds: float

    def facts(self) -> dict[str, Any]:
        """Return what depends on the network and the images alone, as plain JSON values."""
        layers = {"layers": self.layers, "kept_float": list(self.float_layers), "float_macs": self.float_macs}
        return asdict(self.cost) | layers

    def __str__(self) -> str:
        names = f": {', '.join(self.float_layers)}" if self.float_layers else ""
        return f"{self.cost}; {len(self.float_layers)} of {self.layers} layers stay float{names}"


class FloatReference(Protocol):
    """A network in float32, with images on which quantised ones are compared with it."""

    def cost(self, quantised: bytes) -> QuantisationCost:
        """Measure the cost of a quantised model."""

    def probes(self, count: int) -> Pixels:
        """Return so many of the images at most, uint8 `(n, height, width, channels)`."""


class Check(Protocol):
    """Images that measure another cost than that of a classifier."""

    def halves(self, model: bytes) -> tuple[FloatReference, FloatReference]:
        """Return a network in float32 with every other image, and with those between."""


@dataclass(frozen=True, kw_only=True)
class OnnxQuantiser:
    """Quantiser of exported networks; see `hubel.inference.engines.quantiser.Quantiser`.

    All layers are quantised first. While the cost is too high, the layers that change the logits most when quantised
    alone return to float32: first one, then 2, 4, 8 of them. The result runs on ONNX Runtime and on OpenVINO. Equal
    arguments give equal bytes.

    The layers are chosen on every other image, and the stated cost is measured on those between: on the images that
    chose it, a choice looks better than it is. So the stated cost may exceed the limit by chance, but not by more than
    two standard errors.

    Attributes:
        max_drop: largest cost allowed on the images that choose the layers, 0 to 1; see `QuantisationCost.drop`.
        check: images for both, uint8 `(n, height, width, channels)`, and their class numbers, or what measures other
            networks than classifiers. None takes the samples, of which only those that choose the layers then
            calibrate.
    """

    max_drop: float = 0.01
    check: tuple[Pixels, Targets] | Check | None = None

    def quantise(self, model: bytes, samples: Pixels) -> bytes:
        """Return a network in int8, serialised; see `quantise_with_cost`."""
        return self.quantise_with_cost(model, samples).model

    def quantise_with_cost(self, model: bytes, samples: Pixels) -> Quantised:
        """Return a network in int8, the cost, and the layers that stay in float32.

        Args:
            model: output of `onnx_network`.
            samples: calibration images, uint8 `(n, height, width, channels)`, of the kind that the model is for; a
                hundred are plenty.

        Raises:
            OptionError: there are no images, the network has no layers to quantise or predicts no classes, more than
                half of its multiply-adds would stay in float32, or the cost on the other images is above the limit.
        """
        started = time.perf_counter()
        is_classifier = self.check is None or isinstance(self.check, tuple)
        if not len(samples) or (isinstance(self.check, tuple) and not len(self.check[0])):
            raise OptionError("int8 needs images to calibrate and to compare with, and there are none")
        reference, others = self._references(model, samples)
        calibration = samples if self.check else reference.probes(len(samples))
        graph = Int8Graph(model, calibration, float_ends=not is_classifier)
        if not graph.layers:
            raise OptionError("this network has no convolution and no linear layer to quantise to int8")
        if is_classifier and outputs_of(model, reference.probes(1)).ndim != 2:
            raise OptionError("int8 is for classifiers: the cost for other networks cannot be measured")
        by_sensitivity: list[str] = []
        float_layers: list[str] = []
        while (cost := reference.cost(quantised := graph.quantised(float_layers))).drop > self.max_drop + 1e-9:
            by_sensitivity = by_sensitivity or _most_sensitive_first(graph, model, reference.probes(_PROBES))
            most = sum(share <= _MAX_FLOAT_SHARE for share in graph.cumulative_shares(by_sensitivity))
            if len(float_layers) == most:
                raise OptionError(
                    f"int8 costs too much, even with {most} of {len(by_sensitivity)} layers left in float: {cost}, "
                    f"where {self.max_drop:.1%} may be lost. Export without --int8, calibrate with more images of the "
                    "kind that the model is for, or allow a larger --max-drop"
                )
            float_layers = by_sensitivity[: min(2 * len(float_layers) or 1, most)]
        cost = others.cost(quantised)
        _check_cost(cost, self.max_drop, "on images that did not choose the layers")
        return Quantised(
            model=quantised,
            cost=cost,
            layers=len(graph.layers),
            float_layers=tuple(map(graph.torch_name, float_layers)),
            float_macs=graph.cumulative_shares(float_layers)[-1] if float_layers else 0.0,
            seconds=time.perf_counter() - started,
        )

    def _references(self, model: bytes, samples: Pixels) -> tuple[FloatReference, FloatReference]:
        if self.check is None or isinstance(self.check, tuple):
            return _halves(model, *(self.check or (samples, None)))
        return self.check.halves(model)


def measure_cost(
    model: bytes, quantised: bytes, images: Pixels, targets: Targets | None, *, max_drop: float
) -> QuantisationCost:
    """Measure the cost of a graph in int8 against the same in float32.

    Args:
        model: serialised graph of a classifier in float32.
        quantised: the same in int8.
        images: uint8 `(n, height, width, channels)`.
        targets: class numbers `(n,)`; None to count the images whose best class is another.
        max_drop: largest cost allowed, 0 to 1; chance may exceed it by two standard errors.

    Raises:
        OptionError: the cost is above the limit.
    """
    cost = _Reference(model, images, targets).cost(quantised)
    _check_cost(cost, max_drop, "for all members together")
    return cost


def _check_cost(cost: QuantisationCost, max_drop: float, where: str) -> None:
    if cost.drop - 2 * cost.standard_error > max_drop + 1e-9:
        raise OptionError(
            f"int8 costs too much {where}: {cost}, where {max_drop:.1%} may be lost. Export without --int8, give more "
            "images, or allow a larger --max-drop"
        )


@dataclass(frozen=True)
class _Reference:
    """A classifier in float32, with images to compare quantised ones with it on."""

    model: bytes
    images: Pixels
    targets: Targets | None

    @cached_property
    def logits(self) -> Logits:
        """Logits in float32."""
        return outputs_of(self.model, self.images)

    def probes(self, count: int) -> Pixels:
        """Return images that are spread over all."""
        return self.images[np.unique(np.linspace(0, len(self.images) - 1, count).astype(np.int64))]

    def cost(self, quantised: bytes) -> QuantisationCost:
        """Measure the cost of a quantised model."""
        before, after = self.logits.argmax(1), outputs_of(quantised, self.images).argmax(1)
        agreement, n = float((before == after).mean()), len(self.images)
        if self.targets is None:
            lost = (before != after).astype(float)
            return QuantisationCost(images=n, agreement=agreement, standard_error=float(lost.std() / n**0.5))
        was, still = before == self.targets, after == self.targets
        return QuantisationCost(
            images=n,
            agreement=agreement,
            accuracy_before=float(was.mean()),
            accuracy_after=float(still.mean()),
            standard_error=float((was.astype(float) - still).std() / n**0.5),
        )


def _halves(model: bytes, images: Pixels, targets: Targets | None) -> tuple[_Reference, _Reference]:
    """Return every other image, and those between; a single image twice."""
    first, second = slice(0, None, 2), slice(1 if len(images) > 1 else 0, None, 2)
    return tuple(  # type: ignore[return-value]
        _Reference(model, images[half], None if targets is None else targets[half]) for half in (first, second)
    )


def _most_sensitive_first(graph: Int8Graph, model: bytes, probes: Pixels) -> list[str]:
    """Sort the layers by the change of the logits when one layer alone is quantised, the largest first."""
    exact = outputs_of(model, probes)

    def change(layer: str) -> float:
        alone = graph.quantised(graph.layers.keys() - {layer})
        return float(np.square(outputs_of(alone, probes) - exact).sum())

    return sorted(graph.layers, key=change, reverse=True)


def outputs_of(model: bytes, images: Pixels) -> Logits:
    """Return the logits `(n, ...)` of a graph for images."""
    return np.concatenate([logits for (logits,) in run_batches(model, images, [OUTPUTS[1]])])
