"""The cost of int8 for networks that annotate images, by the metric of their task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.data.loading import Images
from hubel.export.decoded import DECODED, decoded
from hubel.export.quantise import FloatReference, QuantisationCost
from hubel.inference.dense import DenseModel
from hubel.inference.engines.registry import open_onnx
from hubel.tasks.catalogue import find_task
from hubel.tasks.task import Evaluation
from hubel.weights.card import ModelCard

__all__ = ["AnnotatedCheck", "GraphModel"]


class GraphModel(DenseModel):
    """A network that annotates images, run as a graph in memory.

    Args:
        model: serialised graph, output of `onnx_network` or of the quantiser.
        card: its card.
    """

    def __init__(self, model: bytes, card: ModelCard) -> None:
        super().__init__(card)
        self._run = open_onnx("onnxruntime", decoded(model, card) if card.dense in DECODED else model, lanes=1)

    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._run(pixels)


@dataclass(frozen=True, eq=False, kw_only=True)
class AnnotatedCheck:
    """Images with annotations, which measure what int8 costs; see `hubel.export.quantise.Check`.

    Attributes:
        card: of the network.
        images: with annotations of the kind that the task has.
        targets: of the task, `(n, ...)`.
    """

    card: ModelCard
    images: Images
    targets: NDArray[Any]

    def halves(self, model: bytes) -> tuple[FloatReference, FloatReference]:
        """Return the network with every other image, and with those between; a single image twice."""
        n = len(self.images)
        starts = (0, 1 if n > 1 else 0)
        first, second = (AnnotatedReference(model, self._part(np.arange(start, n, 2))) for start in starts)
        return first, second

    def _part(self, rows: NDArray[np.int64]) -> AnnotatedCheck:
        return AnnotatedCheck(card=self.card, images=self.images.subset(rows), targets=self.targets[rows])

    def evaluate(self, model: bytes) -> Evaluation:
        """Measure a graph."""
        return find_task(self.card.task).evaluate(GraphModel(model, self.card), self.images, self.targets)


@dataclass(frozen=True, eq=False)
class AnnotatedReference:
    """A network in float32 with annotated images; see `hubel.export.quantise.FloatReference`."""

    model: bytes
    check: AnnotatedCheck

    @cached_property
    def exact(self) -> Evaluation:
        """The evaluation in float32."""
        return self.check.evaluate(self.model)

    def probes(self, count: int) -> NDArray[np.uint8]:
        """Return images that are spread over all."""
        images = self.check.images
        return images.pixels(np.unique(np.linspace(0, len(images) - 1, count).astype(np.int64)))

    def cost(self, quantised: bytes) -> QuantisationCost:
        """Measure the cost of a quantised graph by the first metric of the task."""
        rounded = self.check.evaluate(quantised)
        name, metric = next(iter(find_task(self.check.card.task).metrics.items()))
        change = rounded.quality().values.astype(np.float64) - self.exact.quality().values.astype(np.float64)
        return QuantisationCost(
            images=len(self.check.images),
            accuracy_before=metric.score(self.exact),
            accuracy_after=metric.score(rounded),
            standard_error=float(change.std() / len(change) ** 0.5),
            measure=name,
        )
