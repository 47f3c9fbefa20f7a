"""Generation: images from random codes, of a class where the network takes one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.language import sentence
from hubel.core.random import normal
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.metrics.generation import SampleMetrics
from hubel.metrics.intervals import Interval, bootstrap, percentile_interval
from hubel.metrics.report_items import Drawing, PredictionTable, ReportTable, Tile
from hubel.metrics.tables import percent, percent_range, value_range
from hubel.plots.contact_sheet import contact_sheet
from hubel.tasks.generation_losses import AdversarialObjective, BoundObjective
from hubel.tasks.task import Evaluation, Model, Objective, Quality, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hubel.inference.generator import Generator, MadeImages
    from hubel.tasks.losses import LossSettings

__all__ = ["Generation", "GenerationEvaluation"]

_SHOWN = 40  # made images in the report
_STREAM = 0x6D656173  # separates the noise of measurements from all other draws
_BATCH = 256
# What a network measures of itself, by the name that it has there: in words, and whether it is a share of images.
_MEASURES = {
    "bound": ("negative lower bound, nats an image", False),
    "cross_entropy": ("cross-entropy of the reconstruction, nats", False),
    "divergence": ("divergence of the codes, nats", False),
    "real_told": ("real images that the discriminator takes for real", True),
    "made_told": ("made images that it takes for made", True),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class GenerationEvaluation(Evaluation):
    """A generative network measured on real images.

    Attributes:
        measured: of each image, by name, `(n,)`; see `GenerativeNetwork.measure`. The first one is the most important.
        made: images that the network has made, some of each class.
        judged: what a classifier says of made images; None where none is asked.
    """

    measured: Mapping[str, NDArray[np.float64]]
    made: MadeImages
    judged: SampleMetrics | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        numbers: dict[str, Any] = {"n": len(self.images)}
        numbers |= {name: float(values.mean()) for name, values in self.measured.items()}
        return numbers | ({} if self.judged is None else {"judged": self.judged.to_json()})

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of the means over images."""
        n, values = len(self.images), np.stack([*self.measured.values()], axis=1)
        drawn = bootstrap(lambda weights: weights @ values / n, np.ones(n, np.int64))
        return {name: percentile_interval(drawn[:, i]) for i, name in enumerate(self.measured)}

    def quality(self) -> Quality:
        """Return the negative bound of each image.

        Raises:
            OptionError: the network has none.
        """
        if "bound" not in self.measured:
            raise OptionError("a GAN has no bound of its likelihood, so that two cannot be compared image by image")
        return Quality(name="negative lower bound of an image, in nats,", values=self.measured["bound"])

    def headline(self, split: str) -> str:
        """Return the most important number in one sentence."""
        if self.judged is not None and self.judged.agreement is not None:
            return sentence("generate.headline_judged", share=percent(self.judged.agreement), n=self.judged.n)
        name, value, *_ = self.rows(split)[0]
        return f"{len(self.images):,} {split} images: {name} {value}."

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        rows: list[tuple[str, ...]] = []
        for name, values in self.measured.items():
            text, share = _MEASURES[name]
            mean, interval = float(values.mean()), self.intervals[name]
            rows.append(
                (text, f"{percent(mean)}%", percent_range(interval))
                if share
                else (text, f"{mean:.2f}", value_range(interval, "{:.2f}".format))
            )
        return [*rows, ("images", f"{len(self.images):,}"), *([] if self.judged is None else _judged_rows(self.judged))]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        tiles = []
        if (j := self.judged) is not None:
            if j.agreement is not None:
                tiles.append(_tile("as_asked", f"{percent(j.agreement)}%"))
            tiles.append(_tile("frechet", f"{j.frechet:.2f}"))
            tiles.append(_tile("frechet_real", f"{j.frechet_real:.2f}"))
        mean = sentence("tile.generated.means")
        for name, value, *interval in self.rows("")[: len(self.measured)]:
            tiles.append(Tile(name=name, value=value, meaning=mean, interval="".join(interval)))
        return tiles

    def report_tables(self) -> list[ReportTable]:
        """Return what the classifier says of each class."""
        if self.judged is None or not self.judged.classes:
            return []
        return [
            ReportTable(
                heading=sentence("table.made"),
                columns=[sentence(f"column.{name}") for name in ("class", "images", "as_asked", "real", "spread")],
                rows=[
                    (
                        one.name,
                        f"{one.n:,}",
                        f"{percent(one.agreement)}%",
                        f"{percent(one.real_agreement)}%",
                        f"{percent(one.spread)}%",
                    )
                    for one in self.judged.classes
                ],
                bars=[one.agreement for one in self.judged.classes],
            )
        ]

    def footnote(self) -> str:
        """Return the definitions of the numbers."""
        if self.judged is None:
            return ""
        return sentence("footnote.generate")

    def prediction_table(self) -> PredictionTable:
        """Return what was measured of each image."""
        facts = {name: [float(f"{value:.7g}") for value in values] for name, values in self.measured.items()}
        return PredictionTable(facts=facts)

    def drawings(self) -> list[Drawing]:
        """Return some made images."""
        title = sentence("figure.made.title")
        return [
            Drawing(
                name="made",
                heading=sentence("figure.made"),
                caption=sentence("figure.made.text"),
                figure=contact_sheet(list(self.made.pixels), list(self.made.labels), title),
            )
        ]


def _tile(name: str, value: str) -> Tile:
    return Tile(name=sentence(f"tile.{name}"), value=value, meaning=sentence(f"tile.{name}.means"))


def _judged_rows(judged: SampleMetrics) -> list[tuple[str, ...]]:
    named = [] if judged.agreement is None or judged.real_agreement is None else [
        ("made images that the judge names as asked", f"{percent(judged.agreement)}%"),
        ("real images that it names as labelled", f"{percent(judged.real_agreement)}%"),
    ]  # fmt: skip
    return [
        *named,
        ("Fréchet distance of made from real", f"{judged.frechet:.2f}"),
        ("that of real from real", f"{judged.frechet_real:.2f}"),
        ("spread of the features, of that of real ones", f"{percent(judged.spread)}%"),
    ]


class Generation(Task):
    """Make images from random codes, of a class where the network takes one."""

    name: ClassVar[str] = "generate"
    summary: ClassVar[str] = "make new images like those of the data, of a class that is asked for"
    pipeline_tag: ClassVar[str] = "unconditional-image-generation"
    output: ClassVar[str] = "samples"
    compared: ClassVar[bool] = False
    labelled: ClassVar[bool] = False
    stratify: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ("likelihood",)
    unused: ClassVar[tuple[str, ...]] = ("loss", "label_smoothing", "balance", "reject", "patience")
    default_model: ClassVar[str | None] = "cvae"
    augment: ClassVar[str] = "none"
    largest_batch: ClassVar[int] = 128
    optimizer: ClassVar[str] = "adam"
    lr: ClassVar[Mapping[str, float]] = {**Task.lr, "adam": 0.004, "adamw": 0.004}
    weight_decay: ClassVar[float] = 0.0  # it outweighs the bound, a mean over pixels: 19 % of images were as asked
    ema: ClassVar[float] = 0.99

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Return no names: the outputs are images."""
        return ()

    def targets(self, dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class number of each row among the dataset's own classes, `(n,)`; -1 without one."""
        try:
            number = {name: i for i, name in enumerate(dataset.classes())}
        except DataError:  # fewer than two, which only a network without classes learns from
            number = {}
        return np.array([number.get(label, -1) for label in dataset.labels(rows)], np.int64)

    def scores(self, loss: str) -> str:
        """Return the sigmoid of pixels."""
        return "sigmoid"

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> Objective:
        """Return the bound of a variational autoencoder, or the two losses of a GAN."""
        from hubel.models.catalogue import family_of  # what only evaluates exported files does without

        p = card.preprocess
        bound = BoundObjective(pixels=math.prod((p.channels, p.height, p.width)))
        objectives: dict[str, Objective] = {"vae": bound, "gan": AdversarialObjective()}
        return objectives[family_of(card.model)]

    def model(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> Model:
        """Return the network.

        Raises:
            OptionError: it has no scores to average.
        """
        from hubel.inference.generator import Generator  # what only evaluates exported files does without

        if tta:
            raise OptionError(f"{card.model} makes images and has no scores to average; leave out --tta")
        return Generator(network, card)

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> GenerationEvaluation:
        """Measure a network on real images; their labels are its classes."""
        from hubel.inference.generator import Generator  # what only evaluates exported files does without

        assert isinstance(model, Generator)
        names = model.classes or ("",)
        return GenerationEvaluation(
            images=images,
            measured=_measured(model, images),
            made=model.make([names[i % len(names)] for i in range(_SHOWN)]),
        )


def _measured(model: Generator, images: Images) -> dict[str, NDArray[np.float64]]:
    import torch  # what only evaluates exported files does without

    from hubel.inference.device import device_of
    from hubel.nn.evaluating import evaluating

    network, device = model.network, device_of(model.network)
    numbers = model.numbers(images.labels() if model.classes else [""] * len(images))
    parts: list[dict[str, NDArray[np.float64]]] = []
    for batch in images.in_sequence(_BATCH):
        noise = normal(0, _STREAM, batch.positions[:, None], np.arange(network.code_size)).astype(np.float32)
        with evaluating(network):
            classes = network.class_weights(torch.from_numpy(numbers[batch.positions]).to(device))
            x, z = images.network_input(batch.pixels, device), torch.from_numpy(noise).to(device)
            parts.append({name: v.double().cpu().numpy() for name, v in network.measure(x, classes, z).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
