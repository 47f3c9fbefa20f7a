"""Evaluate a model file on a dataset: from paths to a folder with a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubel.core.outputs import make_folder, output_folder
from hubel.data.dataset import open_dataset
from hubel.data.taught import Taught
from hubel.evaluation.write import evaluation_json, write_evaluation
from hubel.inference.costs import with_costs
from hubel.inference.load import load
from hubel.inference.onnx_file import is_exported
from hubel.inference.tta import VIEWS
from hubel.metrics.imbalance import prior_fact
from hubel.tasks.catalogue import find_task
from hubel.tasks.prediction_sets import measure_coverage
from hubel.tasks.task import Evaluation, Model

__all__ = ["EvaluationResult", "evaluate_file"]


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """An evaluation and where it was written.

    Attributes:
        evaluation: the numbers.
        split: the images: "test", "validation", "training", "labelled".
        folder: holds all files.
        report: the page.
        notes: warnings.
        taught: the images that taught the model, as far as it tells.
    """

    evaluation: Evaluation
    split: str
    folder: Path
    report: Path
    notes: tuple[str, ...]
    taught: Taught

    def to_json(self) -> dict[str, Any]:
        """Return the content of `metrics.json`."""
        return evaluation_json(self.evaluation, split=self.split, taught=self.taught)


def evaluate_file(
    model: str | Path,
    data: str,
    *,
    split: str = "auto",
    root: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
    costs: str | Path | None = None,
    coverage: float | None = None,
) -> EvaluationResult:
    """Evaluate a model on a dataset and write a report.

    Args:
        model: a model file, run folder, exported file, or the name of pretrained weights.
        data: images; see `hubel.data.open_dataset`.
        split: "train", "val", "test", "all", or "auto": the images that training held out, if the model was trained on
            this very data; otherwise the data's own test or val; otherwise all. Images that taught the model, which are
            recognised by their bytes, are left out of all but "train" and "all".
        root: the folder that the relative paths of a table start at; the table's own if None.
        out: a new folder below `runs/` if not given.
        device: where to run, for models that are not exported.
        tta: average the scores over views of each image; see `hubel.inference.tta`.
        engine: for exported files; see `hubel.load`.
        costs: see `hubel.load`.
        coverage: measure prediction sets of this coverage, too; see `hubel.inference.Classifier.rank`.

    Raises:
        HubelError: the model or the data cannot be used together.
    """
    out = output_folder(out, verb="evaluate", inputs=(model, data))  # first: nobody waits for a result that is refused
    opened = _open(model, device, engine, tta=tta, costs=costs)
    card, task = opened.card, find_task(opened.card.task)
    if coverage is not None:
        card.coverage_table().at(coverage)
    dataset = open_dataset(data, multi_label=task.multi_label, labelled=task.labelled, root=root)
    chosen = dataset.evaluation_rows(card.provenance, split)
    rows, which, taught = chosen.rows, chosen.name, Taught.read(card.provenance)
    images = dataset.images(card.preprocess, rows)
    evaluation = task.evaluate(opened, images, task.targets(dataset, card.classes, rows))
    if coverage is not None:
        evaluation = measure_coverage(evaluation, card, coverage)
    notes = (*dataset.index.notes(), *chosen.notes)
    folder = make_folder(out, verb="evaluate", name=f"evaluate-{dataset.name}")
    facts = {
        "Model": str(model),
        "Network": card.model,
        "Data": f"{dataset.name}: {len(rows):,} {which} images",
        "Left out": f"{len(dataset.index.reasons):,} unreadable",
        **({"Temperature": f"{card.temperature:.3f}"} if card.classes else {}),
        **prior_fact(card.provenance),
        **({"Scores": f"mean over {VIEWS[card.preprocess.channels]}"} if tta or card.tta else {}),
    }
    title = f"{card.model} on {dataset.name}"
    report = write_evaluation(folder, evaluation, title=title, split=which, taught=taught, facts=facts, notes=notes)
    return EvaluationResult(
        evaluation=evaluation, split=which, folder=folder, report=report, notes=notes, taught=taught
    )


def _open(model: str | Path, device: str, engine: str, *, tta: bool, costs: str | Path | None) -> Model:
    """Return a model of any kind, ready for `Task.evaluate`."""
    if is_exported(model) or engine != "auto":  # which `load` refuses for all others
        return load(model, device=device, tta=tta, engine=engine, costs=costs)
    from hubel.inference.device import pick_device  # what only evaluates exported files does without
    from hubel.inference.predictor import load_network

    network, card = load_network(model)
    card = with_costs(card, costs)
    return find_task(card.task).model(network.to(pick_device(device)), card, tta=tta)
