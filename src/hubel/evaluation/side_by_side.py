"""Several models on the same images, side by side: how often they are right, agree, and what they cost."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import HubelError, OptionError
from hubel.core.files import model_in, write_atomic, write_json
from hubel.core.notes import Caution
from hubel.core.outputs import make_folder, output_folder
from hubel.data.dataset import open_dataset
from hubel.data.loading import Images
from hubel.data.taught import Taught
from hubel.evaluation.report import Report, write_report
from hubel.inference.classifier import Classifier
from hubel.inference.exported import Exported
from hubel.inference.load import load_classifier
from hubel.inference.onnx_file import is_exported
from hubel.metrics.intervals import Interval
from hubel.metrics.report_items import ReportTable
from hubel.metrics.tables import percent
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.figure_files import to_png
from hubel.tasks.catalogue import find_task
from hubel.tasks.classify_evaluation import ClassificationEvaluation

if TYPE_CHECKING:
    from hubel.weights.card import ModelCard

__all__ = ["Disagreement", "ModelRow", "SideBySide", "compare_models"]

_SHOWN = 24  # images of a contact sheet
_SHOWN_SIDE = 160  # pixels
_TIMED_SECONDS, _TIMED_LEAST = 0.5, 5
_MIB = 2**20
_QUALITY, _COST = ("accuracy", "95% interval", "agreement", "ece"), ("network", "parameters", "macs", "MiB", "ms")


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One model of the comparison; None where a number is not known.

    Attributes:
        model: as it was named; the last part of its path where that tells it from the others.
        network: name of the network.
        accuracy: 0 to 1.
        interval: of the accuracy, 95 %.
        agreement: share of the images on which it predicts the class that the first model does, 0 to 1.
        ece: expected calibration error, 0 to 1.
        params: number of weights and biases.
        macs: multiply-adds of an image.
        size_mib: of the file; None for pretrained weights by name.
        latency_ms: median of one image at a time, its decoding and resizing left out, on this machine.
    """

    model: str
    network: str
    accuracy: float
    interval: Interval
    agreement: float
    ece: float
    params: int | None
    macs: int | None
    size_mib: float | None
    latency_ms: float

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, one cell for each of `SideBySide.columns`."""
        return self.model, *self._quality(), *self._cost()

    def _quality(self) -> tuple[str, ...]:
        return (
            f"{percent(self.accuracy)}%",
            f"{percent(self.interval.low)} to {percent(self.interval.high)}",
            f"{percent(self.agreement)}%",
            f"{self.ece:.3f}",
        )

    def _cost(self) -> tuple[str, ...]:
        return (
            self.network,
            "-" if self.params is None else f"{self.params:,}",
            "-" if self.macs is None else f"{self.macs:,}",
            "-" if self.size_mib is None else f"{self.size_mib:.2f}",
            f"{self.latency_ms:.2f}",
        )


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An image that the first two models predict differently.

    Attributes:
        path: of the image.
        label: its class.
        first: what the first model predicts, and its score.
        second: likewise of the second.
    """

    path: str
    label: str
    first: tuple[str, float]
    second: tuple[str, float]


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """Models measured on the same images.

    Attributes:
        rows: the models, in the order in which they were named.
        split: the images: "test", "validation", "training", "labelled".
        images: their number.
        disagreements: of the first two models, those on which they are surest first.
        folder: holds all files.
        report: the page.
        notes: remarks and warnings.
    """

    rows: tuple[ModelRow, ...]
    split: str
    images: int
    disagreements: tuple[Disagreement, ...] = field(repr=False)
    folder: Path
    report: Path
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the content of `side-by-side.json`."""
        return {
            "split": self.split,
            "n": self.images,
            "models": [{**asdict(row), "interval": list(row.interval)} for row in self.rows],
            "disagreements": [asdict(one) for one in self.disagreements],
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the table whose cells `ModelRow.cells` returns."""
        return "model", *_QUALITY, *_COST


def compare_models(
    models: Sequence[str | os.PathLike[str]],
    data: Any,
    *,
    split: str = "auto",
    root: Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
) -> SideBySide:
    """Measure classifiers on the same images: a teacher, its student, the same student trained alone, exported files.

    The images are those that the training of the first model held out, or what `split` says; see
    `hubel.evaluation.evaluate_file`. Images that taught another one of the models stay, which is said.

    Args:
        models: model files, folders of runs, exported files or names of pretrained weights, at least two; agreement is
            with the first one.
        data: labelled images; see `hubel.data.open_dataset`.
        split: as for `hubel.evaluation.evaluate_file`.
        root: the folder that the relative paths of a table start at; the table's own if None.
        out: folder of table, pictures and page; a new one below `runs/` if not given.
        device: where to run models that are not exported.

    Raises:
        OptionError: there is one model only, or one has other classes than the first.
        HubelError: a model or the data cannot be used.
    """
    if len(models) < 2:
        raise OptionError("a comparison needs two models or more")
    target = output_folder(out, verb="evaluate", inputs=(*models, data))
    loaded = [load_classifier(model, device="auto" if is_exported(model) else device) for model in models]
    first = loaded[0]
    for name, model in zip(models, loaded, strict=True):
        if set(model.classes) != set(first.classes):
            raise OptionError(f"{name} has other classes than {models[0]}: they cannot be compared")
    dataset = open_dataset(data, root=root)
    chosen = dataset.evaluation_rows(first.card.provenance, split)
    notes = list(chosen.notes)
    rows, predictions, scores, shown = [], list[NDArray[np.str_]](), list[NDArray[np.float64]](), None
    for name, model, short in zip(models, loaded, _short(models), strict=True):
        images = dataset.images(model.card.preprocess, chosen.rows)
        shown = shown or images
        evaluation = find_task(model.card.task).evaluate(model, images, dataset.targets(model.classes, chosen.rows))
        if not isinstance(evaluation, ClassificationEvaluation):
            raise OptionError(f"{name} predicts several classes an image, or none: it cannot be compared")
        predictions.append(np.asarray(model.classes)[model.decisions(evaluation.probabilities)])
        scores.append(evaluation.probabilities.max(1))
        agreement = float((predictions[-1] == predictions[0]).mean())
        rows.append(_row(short, str(name), model, evaluation, agreement, images))
        if seen := int(Taught.read(model.card.provenance).among(images.digests).sum()):
            notes.append(Caution(f"{seen:,} of these images taught {short}: its numbers are too good for new ones"))
    assert shown is not None, "there are two models"
    order = np.argsort(-np.minimum(scores[0], scores[1]), kind="stable")
    differing = [int(at) for at in order if predictions[0][at] != predictions[1][at]]
    labels = shown.labels()
    found = tuple(
        Disagreement(
            path=shown.path(at),
            label=labels[at],
            first=(str(predictions[0][at]), float(scores[0][at])),
            second=(str(predictions[1][at]), float(scores[1][at])),
        )
        for at in differing
    )
    folder = make_folder(target, verb="evaluate", name=f"evaluate-{dataset.name}")
    result = SideBySide(
        rows=tuple(rows),
        split=chosen.name,
        images=len(chosen.rows),
        disagreements=found,
        folder=folder,
        report=folder / "side-by-side.html",
        notes=tuple(notes),
    )
    _write(result, shown, differing[:_SHOWN])
    return result


def _short(models: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the names of models, by the last parts of their paths if these are different."""
    last = [Path(model).name for model in models]
    return last if len(set(last)) == len(last) else [str(model) for model in models]


def _row(
    short: str, name: str, model: Classifier, evaluation: ClassificationEvaluation, agreement: float, images: Images
) -> ModelRow:
    numbers = evaluation.to_json()
    params, macs = _cost(model.card)
    return ModelRow(
        model=short,
        network=model.card.model,
        accuracy=float(numbers["top1"]),
        interval=evaluation.intervals["top1"],
        agreement=agreement,
        ece=float(numbers["ece"]),
        params=params,
        macs=macs,
        size_mib=_size_mib(name),
        latency_ms=_latency_ms(model, images.pixels(np.arange(1))),
    )


def _cost(card: ModelCard) -> tuple[int | None, int | None]:
    """Return parameters and multiply-adds of the network of a card; None where it is not one of the catalogue."""
    from hubel.analysis.summary import summarise  # torch: what only evaluates exported files does without
    from hubel.nn.shapes_only import shapes_only

    p = card.preprocess
    try:
        with shapes_only():
            found = summarise(card.create().eval(), card.model, [(p.channels, p.height, p.width)])
    except HubelError:
        return None, None
    return found.params, found.macs


def _size_mib(name: str) -> float | None:
    file = model_in(Path(name))
    return file.stat().st_size / _MIB if file.is_file() else None


def _latency_ms(model: Classifier, image: NDArray[np.uint8]) -> float:
    """Return the median time of one image, as it comes from the preprocessing."""
    if isinstance(model, Exported):
        model.use_fastest()
    model.scores(image)
    seconds: list[float] = []
    until = time.perf_counter() + _TIMED_SECONDS
    while len(seconds) < _TIMED_LEAST or time.perf_counter() < until:
        started = time.perf_counter()
        model.scores(image)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


def _write(result: SideBySide, images: Images, shown: Sequence[int]) -> None:
    """Write the numbers, the pictures of disagreements, and the page."""
    first, second = result.rows[:2]
    figures = []
    if shown:
        captions = [
            f"{one.label}\n{first.model}: {one.first[0]} {one.first[1]:.0%}\n"
            f"{second.model}: {one.second[0]} {one.second[1]:.0%}"
            for one in result.disagreements[: len(shown)]
        ]
        pictures = [images.upright(at, (_SHOWN_SIDE, _SHOWN_SIDE)) for at in shown]
        sheet = contact_sheet(pictures, captions, f"Where {first.model} and {second.model} differ")
        png = to_png(sheet)
        write_atomic(result.folder / "disagreements.png", png)
        caption = (
            f"{len(result.disagreements):,} of {result.images:,} images; those first on which both are sure. Under "
            "each its label, and the prediction of either model with its score."
        )
        figures.append(("Disagreements", caption, png))
    write_json(result.folder / "side-by-side.json", result.to_json())
    good = ReportTable(
        heading="How good they are",
        columns=("model", *_QUALITY),
        rows=[(row.model, *row._quality()) for row in result.rows],
        above_figures=True,
    )
    cost = ReportTable(
        heading="What they cost",
        columns=("model", *_COST),
        rows=[(row.model, *row._cost()) for row in result.rows],
        text_columns=2,
        above_figures=True,
    )
    report = Report(
        title="Models side by side",
        headline=(
            f"{second.model} is right on {percent(second.accuracy)}% of {result.images:,} {result.split} images, "
            f"{first.model} on {percent(first.accuracy)}%; they agree on {percent(second.agreement)}%."
        ),
        facts=[("Images", f"{result.images:,}, {result.split}")],
        notes=result.notes,
        tables=[good, cost],
        figures=figures,
        footnote=(
            f"agreement: share of the images on which a model predicts what {first.model} does; ece: expected "
            "calibration error; macs: multiply-adds of an image; MiB: size of the file; ms: median time of one image "
            "at a time on this machine, without decoding."
        ),
    )
    write_report(result.report, report)
