"""Measure the robustness of model files on a data set, and write numbers and curves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.audit.robustness.accuracy import ALEXNET, ALEXNET_CLEAN, Robustness, mce, measure_robustness, relative_mce
from hubel.audit.robustness.corruptions import CORRUPTIONS, SIMPLE, Corruption, find_corruptions
from hubel.audit.robustness.figure import robustness_curves
from hubel.core.csv_text import csv_text
from hubel.core.errors import OptionError
from hubel.core.files import write_atomic, write_json
from hubel.core.notes import Caution
from hubel.core.outputs import make_folder, output_folder
from hubel.core.random import permutation
from hubel.core.ranges import check_range
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.sources.kind import Rooted
from hubel.data.taught import Taught
from hubel.inference.predictor import Predictor, load_predictor
from hubel.metrics.tables import percent
from hubel.plots.figure_files import save_figure
from hubel.weights.imagenet import imagenet_classes

__all__ = ["MeasuredRobustness", "robustness_csv", "robustness_files", "robustness_json"]

_QUICK_IMAGES = 100


@dataclass(frozen=True, kw_only=True)
class MeasuredRobustness:
    """Robustness of a model and a baseline on a data set.

    Attributes:
        results: results of the model, and of the baseline if there is one.
        split: the images used: "test", "validation", "training" or "labelled".
        means: means over all corruptions, by name.
        folder: folder of robustness.csv, robustness.json and robustness.png.
        notes: remarks for the user.
    """

    results: tuple[Robustness, ...]
    split: str
    means: dict[str, float | None]
    folder: Path
    notes: tuple[str, ...]

    def rows(self, *, simple: bool) -> list[tuple[str, ...]]:
        """Return a row per corruption, of ImageNet-C or simple: its name and its accuracies in percent.

        The accuracies of two models are in one cell, separated by a slash.
        """
        rows = []
        for corruption in self.results[0].corruptions:
            if corruption.name in (SIMPLE if simple else CORRUPTIONS):
                values = zip(*(result.accuracy[corruption.name] for result in self.results), strict=True)
                cells = [" / ".join(percent(value) for value in pair) for pair in values]
                if simple:
                    cells = [
                        f"{strength:.3g}: {cell}" for strength, cell in zip(corruption.strengths, cells, strict=True)
                    ]
                rows.append((f"{corruption.name} ({corruption.unit})" if simple else corruption.name, *cells))
        return rows


def robustness_files(
    model: str | os.PathLike[str],
    data: str | Rooted,
    *,
    baseline: str | Path | None = None,
    only: Sequence[str] = (),
    split: str = "auto",
    images: int | None = None,
    quick: bool = False,
    seed: int = 0,
    out: Path | None = None,
    device: str = "auto",
) -> MeasuredRobustness:
    """Measure a model on corrupted images, and a baseline on the same ones.

    Args:
        model: a model, as for `hubel.load`.
        data: see `open_dataset`.
        baseline: another model, to which the errors are also stated relative.
        only: names of corruptions; all if empty.
        split: split to measure on, as for `evaluate_file`.
        images: most images, selected by the seed; 1,000 if not given, 100 if `quick`.
        quick: measure three strengths of each corruption instead of five.
        seed: seed of the selection of images and of the corruptions.
        out: output folder; a new one below `runs/` if not given.
        device: device to run on.

    Raises:
        HubelError: the model or the data cannot be used together.
    """
    if images is not None:
        check_range("--images", images, 1, 10**9, whole=True)
    wanted = find_corruptions(only, quick=quick)
    out = output_folder(out, verb="robust", inputs=(model, baseline, data))
    models = {str(name): load_predictor(name, device=device) for name in (model, baseline) if name is not None}
    if any(one.card.provenance.get("multi_label", False) for one in models.values()):
        raise OptionError("robustness is measured for models that assign one class to an image")
    first, *others = models.values()
    dataset = open_dataset(data, parents=first.card.parents or None)
    chosen = dataset.evaluation_rows(first.card.provenance, split)
    most = images or (_QUICK_IMAGES if quick else 1000)
    rows = chosen.rows[np.sort(permutation(len(chosen.rows), seed)[:most])]
    notes = [*dataset.notes(), *chosen.notes]
    if quick:
        notes.append("quick: the means are over three severities, and only comparable with those of other quick runs")
    if any(Taught.read(one.card.provenance).among(dataset.digests(rows)).any() for one in others):
        notes.append(Caution(f"{baseline} was trained on some of these images: they are those that {model} was not"))
    results = tuple(_measured(name, one, dataset, rows, wanted, seed) for name, one in models.items())
    folder = make_folder(out, verb="robust", name=f"robust-{dataset.name}")
    imagenet = first.classes == imagenet_classes() and not quick
    measured = MeasuredRobustness(
        results=results,
        split=chosen.name,
        means=_means(results, imagenet=imagenet),
        folder=folder,
        notes=tuple(notes),
    )
    write_atomic(folder / "robustness.csv", robustness_csv(results))
    save_figure(robustness_curves(results), folder / "robustness.png")
    # Last, so that a folder with this file is complete.
    write_json(folder / "robustness.json", robustness_json(measured))
    return measured


def robustness_csv(results: Sequence[Robustness]) -> str:
    """Return a CSV table with a row per model, corruption and strength; unchanged images are the corruption "clean"."""
    rows: list[list[Any]] = [["model", "change", "group", "unit", "strength", "images", "accuracy"]]
    for result in results:
        rows.append([result.model, "clean", "", "", 0, result.n, result.clean])
        for one in result.corruptions:
            for strength, accuracy in zip(one.strengths, result.accuracy[one.name], strict=True):
                rows.append([result.model, one.name, one.group, one.unit, strength, result.n, accuracy])
    return csv_text(rows)


def robustness_json(measured: MeasuredRobustness) -> dict[str, Any]:
    """Return the results as JSON values."""
    return {
        "split": measured.split,
        "means": measured.means,
        "models": [
            {
                "model": result.model,
                "images": result.n,
                "seed": result.seed,
                "clean": result.clean,
                "changes": {
                    one.name: {
                        "group": one.group,
                        "unit": one.unit,
                        "strengths": list(one.strengths),
                        "accuracy": list(result.accuracy[one.name]),
                    }
                    for one in result.corruptions
                },
            }
            for result in measured.results
        ],
    }


def _measured(
    name: str,
    model: Predictor,
    dataset: Dataset,
    rows: NDArray[np.int64],
    which: tuple[Corruption, ...],
    seed: int,
) -> Robustness:
    targets = dataset.targets(model.classes, rows)
    images = dataset.images(model.card.preprocess, rows, cache="auto")
    return measure_robustness(model, images, targets, name=name, corruptions=which, seed=seed)


def _means(results: Sequence[Robustness], *, imagenet: bool) -> dict[str, float | None]:
    """Return the means over the 15 corruptions of ImageNet-C; empty unless all were measured."""
    first, *others = results
    if first.mean_error() is None:
        return {}
    errors, clean = first.errors(), 1 - first.clean
    means = {"mean corruption error (not normalised)": first.mean_error()}
    for other in others:
        means["mCE relative to the baseline"] = mce(errors, other.errors())
        means["relative mCE to the baseline"] = relative_mce(errors, clean, other.errors(), 1 - other.clean)
    if imagenet:
        means["mCE relative to AlexNet"] = mce(errors, ALEXNET)
        means["relative mCE to AlexNet"] = relative_mce(errors, clean, ALEXNET, ALEXNET_CLEAN)
    return means
