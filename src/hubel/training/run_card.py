"""Record what a run was made of in its model file, and write `MODEL_CARD.md`.

Only what depends on the data and the recipe becomes a part of the model, so that equal runs have equal files. Time and
machine stand in the page alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from hubel.core.files import write_atomic
from hubel.core.progress import counted, duration
from hubel.core.resources import usable_cores
from hubel.export.bench.machine import processor_name
from hubel.inference.device import device_name
from hubel.tasks.task import Evaluation
from hubel.training.execute import TrainedModel
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.weights.card import ModelCard
from hubel.weights.hub_card import hub_card
from hubel.weights.model_file import read_card, save_model
from hubel.weights.pretrained import find_weights

__all__ = ["CARD_FILE", "record_run", "run_record"]

#: Name of the page in the folder of a run.
CARD_FILE = "MODEL_CARD.md"

# By the name of a number in `metrics.json`: the name of the metric on the Hub, and in words.
_METRICS = {
    "top1": ("accuracy", "top-1 accuracy"),
    "top5": ("accuracy", "top-5 accuracy"),
    "subset_accuracy": ("accuracy", "subset accuracy"),
    "macro_f1": ("f1", "macro F1"),
    "macro_recall": ("recall", "macro recall"),
    "mean_average_precision": ("mean_average_precision", "mean average precision"),
    "ece": ("expected_calibration_error", "expected calibration error"),
    "r2": ("r_squared", "R squared"),
    "mae": ("mae", "mean absolute error"),
    "mse": ("mse", "mean squared error"),
    "mean_iou": ("mean_iou", "mean IoU"),
    "pixel_accuracy": ("accuracy", "pixel accuracy"),
    "pck": ("pck", "share of correct key points (PCK)"),
    "pck_mean_pose": ("pck", "PCK of the mean pose of the training images"),
    "oks_ap": ("mean_average_precision", "average precision at OKS 0.50 to 0.95"),
    "ap": ("mean_average_precision", "average precision at IoU 0.50 to 0.95"),
    "ap50": ("mean_average_precision", "average precision at IoU 0.50"),
}
# Settings that change no model, or stand in other rows of the page.
_ELSEWHERE = {
    "loading_threads", "cache", "root", "parents", "device", "threads", "checkpoint_minutes", "lang", "seed", "task",
    "model", "weights", "epochs", "teacher", "timeout", "launcher",
}  # fmt: skip
_WEAKEST = 3  # classes


def record_run(
    folder: Path, plan: Plan, trained: TrainedModel, evaluation: Evaluation, network: nn.Module, card: ModelCard
) -> ModelCard:
    """Add the record of a run to its model file, and write the page into its folder; return the new card.

    Args:
        folder: of the run.
        plan: of the run.
        trained: what came of it.
        evaluation: of the images that measure it.
        network: of the model file.
        card: of the model file.
    """
    record = run_record(plan, trained, evaluation, card)
    card = dataclasses.replace(card, provenance={**card.provenance, "run": record})
    save_model(trained.path, network.state_dict(), card)
    circumstances = {
        "Time": f"{duration(60 * trained.minutes)} of training",
        "Machine": _machine(plan),
        "Energy": "not measured",
    }
    write_atomic(folder / CARD_FILE, hub_card(card, circumstances))
    return card


def _machine(plan: Plan) -> str:
    """Return what has computed: threads, cores, processor, and the device where it is another."""
    threads = f"{counted(plan.threads, 'thread')} on {counted(usable_cores(), 'core')}"
    device = "" if plan.device.type == "cpu" else f"; {device_name(plan.device)}"
    return f"{threads}, {processor_name()}{device}; {str(plan.precision).removeprefix('torch.')}"


def run_record(plan: Plan, trained: TrainedModel, evaluation: Evaluation, card: ModelCard) -> dict[str, Any]:
    """Return what a run was made of and what it reached, as plain JSON values: the entry "run" of the provenance.

    Args:
        plan: of the run.
        trained: what came of it.
        evaluation: of the images that measure it.
        card: of the model.
    """
    splits, index = plan.splits, plan.dataset.index
    return {
        "task": plan.task.summary,
        "pipeline_tag": plan.task.pipeline_tag,
        **({"source": plan.dataset.repository} if plan.dataset.repository else {}),
        **({"licence": licence} if (licence := _licence(plan)) else {}),
        "images": {name: len(getattr(splits, name)) for name in ("train", "val", "test")},
        "counts": _counts(plan, card.classes),
        "unreadable": len(index.reasons),
        "settings": _settings(plan.pinned),  # the request itself is another one in a run that was resumed
        "epochs": len(trained.history),
        "frozen": trained.frozen,
        "results": _results(evaluation, splits.measured_name),
    }


def _counts(plan: Plan, classes: tuple[str, ...]) -> list[list[int]]:
    """Return the training, validation and test images of each class; none where labels are no classes."""
    if not plan.task.exclusive:
        return []
    parts = [plan.dataset.targets(classes, rows) for rows in (plan.splits.train, plan.splits.val, plan.splits.test)]
    counts: list[list[int]] = np.stack([np.bincount(part, minlength=len(classes)) for part in parts], 1).tolist()
    return counts


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that make the model and have no default, or another value than it."""
    usual = Recipe().settings()
    chosen = {name: value for name, value in recipe.settings().items() if value != usual[name]}
    if not recipe.machine.fast_reduce:
        chosen.pop("processes", None)  # the weights are the same on any number
    return {name: _plain(value) for name, value in chosen.items() if name not in _ELSEWHERE}


def _plain(value: Any) -> Any:
    """Return a setting as a JSON value that reveals no more of a path than its last part."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, str) and "\n" in value:  # a policy that was read from a file
        return "of a file"
    return Path(value).name if isinstance(value, str) and "/" in value else value


def _licence(plan: Plan) -> str:
    """Return the licence of the initial weights; "" from scratch, or where a file does not state it."""
    start, model = plan.transfer or plan.backbone, plan.backbone.name if plan.backbone else plan.card.model
    if start is None:
        return ""
    if isinstance(start.weights, Path):
        return _licence_of_file(start.weights)
    return find_weights(model, start.weights).licence


def _licence_of_file(path: Path) -> str:
    try:
        origin = read_card(path).provenance
    except OSError:  # another library's
        return ""
    return str(origin.get("licence") or origin.get("run", {}).get("licence") or "")


def _results(evaluation: Evaluation, split: str) -> dict[str, Any]:
    numbers = evaluation.to_json()
    intervals = evaluation.intervals
    per_class = [one for one in numbers.get("per_class", []) if one.get("support") and one["recall"] < 1]
    weakest = sorted(per_class, key=lambda one: one["recall"])[:_WEAKEST]
    return {
        "split": split,
        "n": len(evaluation.images),
        "metrics": [
            {
                "type": kind,
                "name": words,
                "value": round(numbers[name], 6),
                **({"interval": [round(end, 6) for end in intervals[name]]} if name in intervals else {}),
            }
            for name, (kind, words) in _METRICS.items()
            if numbers.get(name) is not None
        ],
        **({"weakest": [[one["name"], round(one["recall"], 6), one["support"]] for one in weakest]} if weakest else {}),
    }
