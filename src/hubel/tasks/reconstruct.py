"""Reconstruction: an autoencoder's output is compared with its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.language import counted_images, sentence
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.data.sources.listing import natural_key
from hubel.inference.scores import sigmoid
from hubel.metrics.intervals import Interval, bootstrap, percentile_interval
from hubel.metrics.reconstruction import (
    ReconstructionMetrics,
    draw_reconstructions,
    mean_errors,
    reconstruction_errors,
)
from hubel.metrics.report_items import Drawing, PredictionTable, Tile
from hubel.metrics.tables import value_range
from hubel.tasks.task import Evaluation, Model, Quality, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.tasks.losses import LossSettings

__all__ = ["Reconstruction", "ReconstructionEvaluation", "ReconstructionModel", "ReconstructionObjective"]

_SHOWN = 10  # images that are drawn above their reconstructions


class ReconstructionObjective:
    """Logits `(n, c, h, w)` of pixels against the network's own input, which has pixels from 0 to 1."""

    sampled: ClassVar[bool] = False

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the augmented images."""
        return data.images.network_input(batch.pixels)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return mean binary cross-entropies of a pixel in nats: one learning rate suits images of any size."""
        from torch.nn import functional as F  # what only evaluates exported files does without

        return F.binary_cross_entropy_with_logits(outputs.float(), targets, reduction="none").mean((1, 2, 3))

    validation_losses = losses

    def validation_weights(self, targets: NDArray[Any]) -> None:
        """Return None: all images count alike."""

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return False for each image, so that the loss alone selects the best epoch."""
        import torch  # what only evaluates exported files does without

        return torch.zeros(len(outputs), dtype=torch.bool)

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss."""
        return {f"{split}_loss": loss}


@dataclass(frozen=True, eq=False, kw_only=True)
class ReconstructionEvaluation(Evaluation):
    """An autoencoder measured on images.

    Attributes:
        metrics: the numbers.
        errors: mean squared error of a pixel of each image, `(n,)`.
        shown: positions of some images, one of each class first.
        reconstructions: of these, uint8 `(k, h, w, c)`.
    """

    metrics: ReconstructionMetrics
    errors: NDArray[np.float64]
    shown: NDArray[np.int64]
    reconstructions: NDArray[np.uint8]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return self.metrics.to_json()

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % interval of the mean squared error; none of a single image."""
        if (n := len(self.errors)) < 2:
            return {}
        return {"mse": percentile_interval(bootstrap(lambda weights: weights @ self.errors / n, np.ones(n, np.int64)))}

    def quality(self) -> Quality:
        """Return the mean squared errors of a pixel."""
        return Quality(name="mean squared error of a pixel", values=self.errors)

    def headline(self, split: str) -> str:
        """Return the error in one sentence."""
        m = self.metrics
        return sentence("reconstruct.headline", images=counted_images(m.n, split), mse=m.mse)

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m = self.metrics
        return [
            (f"mean squared error of a pixel ({split})", f"{m.mse:.4f}", self._range()),
            ("binary cross-entropy of a pixel", f"{m.bce:.4f}"),
            ("that of a perfect copy", f"{m.entropy:.4f}"),
            ("images", f"{m.n:,}"),
        ]

    def _range(self) -> str:
        return value_range(self.intervals["mse"]) if self.intervals else ""

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m = self.metrics
        return [
            Tile(
                name=sentence("tile.mse"),
                value=f"{m.mse:.4f}",
                meaning=sentence("tile.mse.means"),
                interval=self._range(),
            ),
            Tile(name=sentence("tile.bce"), value=f"{m.bce:.4f}", meaning=sentence("tile.bce.means")),
            Tile(name=sentence("tile.entropy"), value=f"{m.entropy:.4f}", meaning=sentence("tile.entropy.means")),
        ]

    def prediction_table(self) -> PredictionTable:
        """Return the mean squared error of a pixel."""
        return PredictionTable(facts={"error": [float(f"{error:.7g}") for error in self.errors]})

    def drawings(self) -> list[Drawing]:
        """Return images above their reconstructions."""
        names = self.images.labels(self.shown)
        originals = list(self.images.pixels(self.shown))
        return [
            Drawing(
                name="reconstructions",
                heading=sentence("figure.reconstructions"),
                caption=sentence("figure.reconstructions.text"),
                figure=draw_reconstructions(originals, list(self.reconstructions), names),
            )
        ]


@dataclass(frozen=True, eq=False, kw_only=True)
class ReconstructionModel:
    """An autoencoder with its card.

    Attributes:
        network: on the device where it runs.
        card: its preprocessing.
    """

    network: nn.Module
    card: ModelCard


class Reconstruction(Task):
    """Compress images and reconstruct them; labels are ignored."""

    name: ClassVar[str] = "reconstruct"
    summary: ClassVar[str] = "compress each image and reconstruct it"
    pipeline_tag: ClassVar[str] = "image-to-image"
    output: ClassVar[str] = "image"
    labelled: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ("bce",)
    unused: ClassVar[tuple[str, ...]] = ("loss", "label_smoothing", "balance", "reject")
    default_model: ClassVar[str | None] = "autoencoder_28"
    optimizer: ClassVar[str] = "adamw"
    lr: ClassVar[Mapping[str, float]] = {**Task.lr, "adam": 0.02, "adamw": 0.02}

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Return no names: the output is an image."""
        return ()

    def scores(self, loss: str) -> str:
        """Return the sigmoid of pixels."""
        return "sigmoid"

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> ReconstructionObjective:
        """Return the binary cross-entropy of pixels."""
        return ReconstructionObjective()

    def model(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> Model:
        """Return the autoencoder.

        Raises:
            OptionError: it has no scores to average.
        """
        if tta:
            raise OptionError(f"{card.model} reconstructs images and has no scores to average; leave out --tta")
        return ReconstructionModel(network=network, card=card)

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> ReconstructionEvaluation:
        """Measure an autoencoder: each reconstruction is compared with its image."""
        from hubel.inference.forward import forward, output_batches  # what only evaluates exported files does without

        assert isinstance(model, ReconstructionModel)
        preprocess, network = images.preprocess, model.network
        errors = reconstruction_errors(
            (preprocess.normalise(batch.pixels), logits) for batch, logits in output_batches(network, images)
        )
        names, first = np.unique(images.labels(), return_index=True)
        first = first[sorted(range(len(names)), key=lambda i: natural_key(str(names[i])))]
        shown = np.concatenate([first, np.setdiff1d(np.arange(len(images)), first)])[:_SHOWN]
        pixels = sigmoid(forward(network, images.pixels(shown), preprocess)).transpose(0, 2, 3, 1)
        return ReconstructionEvaluation(
            metrics=mean_errors(errors),
            errors=errors[:, 0],
            images=images,
            shown=shown,
            reconstructions=np.rint(255 * pixels).astype(np.uint8),
        )
