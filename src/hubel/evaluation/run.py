"""Measuring a model file on a data set, from paths to a folder with a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.files import numbered_folder
from hubel.data.index import scan
from hubel.data.loading import Images
from hubel.data.sources import open_source
from hubel.data.splits import choose_rows
from hubel.evaluation.evaluate import Evaluation, Reconstructed, evaluate, reconstruct, write_evaluation
from hubel.inference.classifier import Classifier
from hubel.inference.device import pick_device
from hubel.inference.load import load
from hubel.inference.onnx_file import is_exported
from hubel.inference.predictor import Predictor, load_network
from hubel.inference.tta import VIEWS
from hubel.weights.card import ModelCard

__all__ = ["Measured", "evaluate_file"]


@dataclass(frozen=True)
class Measured:
    """A measurement and where it was written.

    Attributes:
        evaluation: the numbers.
        which: the images in words: "test", "validation", "training", "all".
        folder: where everything is.
        report: the page.
        notes: what a person should know.
    """

    evaluation: Evaluation | Reconstructed
    which: str
    folder: Path
    report: Path
    notes: tuple[str, ...]


def evaluate_file(
    model: str | Path,
    data: str,
    *,
    split: str = "auto",
    out: Path | None = None,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
) -> Measured:
    """Measure a model on labelled images; on any images, if it makes images again.

    Args:
        model: as `hubel.load` takes it, or one that makes images.
        data: see `open_source`.
        split: "train", "val", "test", "all", or "auto": the images that the training held out, when it was on this very
            data; otherwise the data's own test or val; otherwise all.
        out: a new folder below `runs/` if not given.
        device: where to run, for models that are not exported.
        tta: score each image by the mean over its views; see `hubel.inference.tta`.
        engine: for exported files; see `hubel.load`.

    Raises:
        HubelError: the model or the data cannot be used together.
    """
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # first: nobody waits for a result that cannot be written
    card, measure = _opened(model, device, engine, tta=tta)
    multi_label = card.provenance.get("multi_label", False)
    source = open_source(data, multi_label=multi_label, labelled=card.task == "classify")
    index = scan(source)
    rows, which = choose_rows(index, card.provenance, split)
    targets = index.targets(rows, card.classes, multi_label=multi_label)
    images = Images(source, index, rows, card.preprocess)
    evaluation = measure(images, targets)
    notes = tuple(index.notes())
    folder = out or numbered_folder(Path("runs"), f"evaluate-{source.name}")
    facts = {
        "Model": str(model),
        "Network": card.model,
        "Data": f"{source.name}: {len(rows):,} {which} images",
        "Left out": f"{len(index.reasons):,} unreadable",
        **({"Temperature": f"{card.temperature:.3f}"} if card.classes else {}),
        **({"Scores": f"mean over {VIEWS[card.preprocess.channels]}"} if tta else {}),
    }
    report = write_evaluation(
        folder,
        evaluation,
        title=f"{card.model} on {source.name}",
        which=which,
        facts=facts,
        notes=notes,
    )
    return Measured(evaluation, which, folder, report, notes)


def _opened(
    model: str | Path, device: str, engine: str, *, tta: bool
) -> tuple[ModelCard, Callable[[Images, NDArray[Any]], Evaluation | Reconstructed]]:
    """A model's card, and what measures the model on images and their targets."""
    if is_exported(model) or engine != "auto":  # which `load` refuses for all others
        classifier: Classifier = load(model, device=device, tta=tta, engine=engine)
        return classifier.card, partial(evaluate, classifier)
    network, card = load_network(model)
    network = network.to(pick_device(device))
    if card.task == "classify":
        return card, partial(evaluate, Predictor(network, card, tta=tta))
    if tta:
        raise OptionError(f"{card.model} makes images, which have no scores to average; leave out --tta")
    return card, lambda images, targets: reconstruct(network, images)
