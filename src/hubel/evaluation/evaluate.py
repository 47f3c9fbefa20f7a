"""Evaluate a model file on a dataset: from paths to a folder with a report."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.language import find_language, plural, sentence, split_name
from hubel.core.notes import Caution
from hubel.core.outputs import make_folder, output_folder
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.taught import Taught
from hubel.evaluation.gates import Gates, ModelComparison, compare_evaluations, failed_gates
from hubel.evaluation.notebook import evaluation_html
from hubel.evaluation.write import evaluation_json, write_evaluation
from hubel.inference.costs import with_costs
from hubel.inference.load import lacking_torch, load
from hubel.inference.onnx_file import is_exported
from hubel.inference.tta import VIEWS
from hubel.metrics.imbalance import prior_fact
from hubel.tasks.catalogue import find_task
from hubel.tasks.classify_evaluation import measure_sure
from hubel.tasks.generation_judge import measure_judged
from hubel.tasks.prediction_sets import measure_coverage
from hubel.tasks.task import Evaluation, Model
from hubel.weights.card import ModelCard

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
        comparison: with the model of the gate `no_worse_than`; None without one.
        failed: a sentence for each gate that is not passed.
    """

    evaluation: Evaluation = field(repr=False)
    split: str
    folder: Path
    report: Path
    notes: tuple[str, ...]
    taught: Taught = field(repr=False)
    comparison: ModelComparison | None = None
    failed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the content of `metrics.json`."""
        numbers = evaluation_json(self.evaluation, split=self.split, taught=self.taught)
        return numbers | _gate_numbers(self.comparison, self.failed)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the numbers, the confusion matrix, and notes."""
        return evaluation_html(self.evaluation, self.split, self.folder, [*self.failed, *self.notes])


def _gate_numbers(comparison: ModelComparison | None, failed: tuple[str, ...]) -> dict[str, Any]:
    compared = {"compared_with": comparison.to_json()} if comparison else {}
    return compared | ({"failed": list(failed)} if failed else {})


def evaluate_file(
    model: str | os.PathLike[str],
    data: str,
    *,
    split: str = "auto",
    root: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
    costs: str | Path | None = None,
    gates: Gates | None = None,
    unknown: str | Path | None = None,
    coverage: float | None = None,
    sure: float | None = None,
    judge: str | Path | None = None,
    lang: str = "en",
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
        gates: limits to keep; see `EvaluationResult.failed`.
        unknown: images of none of the model's classes, labelled or not: how well they are told from the others is
            measured, too.
        coverage: measure prediction sets of this coverage, too; see `hubel.inference.Classifier.rank`.
        sure: measure the answers of which the model is as sure as this, too; likewise.
        judge: a classifier that is to judge the images that a generative model makes; see `hubel.load`.
        lang: language of the report, "en" or "ko".

    Raises:
        HubelError: the model or the data cannot be used together, or a gate does not suit the model.
    """
    if not isinstance(model, str | os.PathLike):
        raise OptionError(f"model is a path or a name, not {type(model).__name__}")
    gates, lang = gates or Gates(), find_language(lang)
    out = output_folder(out, verb="evaluate", inputs=(model, data, unknown))  # first: nobody waits for what is refused
    opened = _open(model, device, engine, tta=tta, costs=costs)
    card, task = opened.card, find_task(opened.card.task)
    gates.check(task, card.classes)
    other = gates.no_worse_than
    rival = None if other is None else _open_rival(other, task.name, device, engine, tta=tta)
    if unknown is not None and card.novelty is None:
        raise OptionError(
            f"{model} calls no image unknown, so that --unknown has nothing to measure; hubel train makes classifiers "
            "that do, unless --reject is 0"
        )
    if coverage is not None:
        card.coverage_table().at(coverage)
    if judge is not None and task.output != "samples":
        raise OptionError(f"--judge judges the images that a model makes; {model} makes none (its task is {task.name})")
    void = card.provenance.get("void")  # masks are read as in training
    if sure is not None:
        card.class_tree().check(sure)
    parents = card.parents or None
    dataset = open_dataset(
        data, multi_label=task.multi_label, labelled=task.labelled, root=root, void=void, parents=parents
    )
    chosen = dataset.evaluation_rows(card.provenance, split)
    rows, which, taught = chosen.rows, chosen.name, Taught.read(card.provenance)
    images = task.samples(dataset.images(card.preprocess, rows, annotations=task.annotations), card)
    evaluation = task.evaluate(opened, images, task.targets(dataset, card.classes, images.rows))
    if judge is not None:
        evaluation = measure_judged(evaluation, opened, judge, images, device=device)
    if sure is not None:
        evaluation = measure_sure(evaluation, card, sure)
    if coverage is not None:
        evaluation = measure_coverage(evaluation, card, coverage)
    comparison, notes = None, (*dataset.index.notes(), *chosen.notes)
    if rival is not None:
        comparison = compare_evaluations(evaluation, _evaluate_rival(rival, str(other), dataset, rows), str(other))
        if seen := int(Taught.read(rival.card.provenance).among(images.digests).sum()):
            notes = (*notes, Caution(sentence("note.unfair", n=seen, model=str(other))))
    others = None if unknown is None else open_dataset(str(unknown), labelled=False)
    if others is not None:
        evaluation = task.with_unknown(evaluation, opened, others.images(card.preprocess))
        notes = (*notes, *others.index.notes())
        if seen := int((taught | Taught.of(images.digests)).among(others.digests()).sum()):
            notes = (*notes, Caution(plural("note.known", seen, images=len(others.rows()))))
    failed = failed_gates(gates, evaluation, comparison)
    folder = make_folder(out, verb="evaluate", name=f"evaluate-{dataset.name}")
    facts: dict[str, str] = {
        sentence("fact.model"): str(model),
        sentence("fact.network"): card.model,
        sentence("fact.data"): sentence("run.evaluated", data=dataset.name, n=len(rows), split=split_name(which)),
        **({} if others is None else {sentence("fact.unknown"): _counted(others)}),
        sentence("fact.left_out"): sentence("run.unreadable", n=len(dataset.index.reasons)),
        **({sentence("fact.temperature"): f"{card.temperature:.3f}"} if card.classes else {}),
        **prior_fact(card.provenance),
        **({sentence("fact.scores"): _views(card)} if tta or card.tta else {}),
        **({sentence("fact.compared"): comparison.sentence()} if comparison else {}),
    }
    report = write_evaluation(
        folder,
        evaluation,
        title=sentence("report.title", network=card.model, data=dataset.name),
        split=which,
        taught=taught,
        facts=facts,
        notes=[*(f"failed: {line}" for line in failed), *notes],
        numbers=_gate_numbers(comparison, failed),
        language=lang,
    )
    return EvaluationResult(
        evaluation=evaluation,
        split=which,
        folder=folder,
        report=report,
        notes=(*notes, *evaluation.remarks(which)),
        taught=taught,
        comparison=comparison,
        failed=failed,
    )


def _counted(dataset: Dataset) -> str:
    return sentence("run.unknown", data=dataset.name, n=len(dataset.rows()))


def _views(card: ModelCard) -> str:
    """Return the views of an image over which scores are averaged."""
    return sentence("run.scores", views=VIEWS[card.preprocess.channels])


def _open(
    model: str | os.PathLike[str], device: str, engine: str, *, tta: bool, costs: str | Path | None = None
) -> Model:
    """Return a model of any kind, ready for `Task.evaluate`."""
    if is_exported(model) or engine != "auto":  # which `load` refuses for all others
        return load(model, device=device, tta=tta, engine=engine, costs=costs)
    try:
        from hubel.inference.device import pick_device  # what only evaluates exported files does without
        from hubel.inference.predictor import load_network
    except ModuleNotFoundError as error:
        raise lacking_torch(model, error) from error
    network, card = load_network(model)
    card = with_costs(card, costs)
    return find_task(card.task).model(network.to(pick_device(device)), card, tta=tta)


def _open_rival(other: str | Path, task: str, device: str, engine: str, *, tta: bool) -> Model:
    """Return the model that another one is compared with; options for models of the other kind do not concern it.

    Raises:
        OptionError: it has another task.
    """
    exported = is_exported(other)
    rival = _open(other, "auto" if exported else device, engine if exported else "auto", tta=tta)
    if rival.card.task != task:
        raise OptionError(f"--no-worse-than {other}: its task is {rival.card.task}, that of the model is {task}")
    return rival


def _evaluate_rival(rival: Model, name: str, dataset: Dataset, rows: NDArray[np.int64]) -> Evaluation:
    """Measure a model on the very rows that another one was measured on."""
    task = find_task(rival.card.task)
    images = task.samples(dataset.images(rival.card.preprocess, rows, annotations=task.annotations), rival.card)
    try:
        targets = task.targets(dataset, rival.card.classes, images.rows)
    except DataError as error:
        raise DataError(f"--no-worse-than {name}: {error}") from None
    return task.evaluate(rival, images, targets)
