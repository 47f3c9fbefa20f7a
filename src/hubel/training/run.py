"""One run from data to report: plan, train, calibrate, measure, write."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

import hubel
from hubel.core.errors import CheckpointError
from hubel.core.files import numbered_folder, remove_leftovers
from hubel.core.progress import counted
from hubel.core.random import permutation
from hubel.data.augment import Policy, find_policy
from hubel.data.loading import Images, Labelled
from hubel.data.sources import Source, open_source
from hubel.data.sources.builtin import XO
from hubel.evaluation.advice import advice
from hubel.evaluation.evaluate import (
    Drawing,
    Evaluation,
    Reconstructed,
    evaluate,
    headline,
    judge,
    reconstruct,
    write_evaluation,
)
from hubel.features.logits import kept_logits
from hubel.features.views import image_view, views_policy
from hubel.inference.device import pick_device
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores
from hubel.metrics.classification import Metrics
from hubel.nn.freezing import NONE
from hubel.nn.network import Network
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.learning_curves import learning_curves
from hubel.training.fit import Fitted, fit_model
from hubel.training.folder import RUNS, RunFolder, only_unfinished
from hubel.training.plan import Plan, make_plan, with_task
from hubel.training.recipe import Recipe
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model

__all__ = ["Outcome", "resume", "train"]

_SAMPLE = 24  # training images that the report shows
_VIEWS = 4  # of those that a frozen part may have looked at, one for each of them in turn


@dataclass(frozen=True)
class Outcome:
    """What a run has left behind.

    Attributes:
        folder: where everything is.
        model: the model file.
        evaluation: the measurement; None when the run was stopped before its end.
        which: the images that were measured: "test" or "validation".
        report: the page; None when the run was stopped.
        stopped_by: the number of the signal that stopped it; 0 when it came to its end.
        minutes: time spent on training.
        images_per_second: of the last epoch; None where there were no epochs.
        seconds: spent, by phase.
        advice: what to try next, in sentences.
    """

    folder: Path
    model: Path
    evaluation: Evaluation | Reconstructed | None
    which: str
    report: Path | None
    stopped_by: int = 0
    minutes: float = 0.0
    images_per_second: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    advice: Sequence[str] = ()

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, or the share with exactly the right classes; 0 to 1. Images made again have none."""
        assert isinstance(self.evaluation, Evaluation), "the run was stopped, or its network makes images"
        metrics = self.evaluation.metrics
        return metrics.top1 if isinstance(metrics, Metrics) else metrics.subset_accuracy


def train(data: Any, recipe: Recipe | None = None, *, out: Path | None = None, xo: XO | None = None) -> Outcome:
    """Train a network on images, from nothing to a measured model in a folder.

    Args:
        data: a folder, table, built-in data set or pair of arrays; see `open_source`.
        recipe: how.
        out: the folder of the run; a new one below `runs/` if not given.
        xo: the description of the pictures when `data` is "xo".

    Raises:
        HubelError: the data or a setting cannot be used; or the loss diverged.
    """
    recipe = with_task(recipe or Recipe())
    started = time.monotonic()
    source = _source(data, recipe, xo)
    plan = make_plan(source, recipe)
    seconds = {"looking at the images": time.monotonic() - started}
    if out is not None:
        if (out / "config.json").exists():
            raise CheckpointError(f"{out} already holds a run; resume it with --resume, or choose another folder")
        out.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(out or numbered_folder(RUNS, f"{source.name}-{plan.card.model}"))
    folder.write_config(
        {
            "hubel": hubel.__version__,
            "data": _found_again(data, source),
            "xo": dataclasses.asdict(xo) if xo else None,
            "recipe": plan.recipe.to_json(),
            "classes": plan.card.classes,
            "preprocess": plan.card.preprocess.to_json(),
            "augmentation": _policy(plan).to_json(),
            "images": {
                "train": len(plan.splits.train),
                "val": plan.choosers,
                "test": len(plan.splits.test),
            },
            "fingerprint": plan.card.provenance["fingerprint"],
            "environment": {"python": platform.python_version(), "torch": torch.__version__},
        }
    )
    return _carry_out(folder, plan, seconds)


def _source(data: Any, recipe: Recipe, xo: XO | None) -> Source:
    return open_source(data, multi_label=recipe.multi_label, labelled=recipe.task == "classify", xo=xo)


def _found_again(data: Any, source: Source) -> str | None:
    """What `open_source` takes to find the data from any folder; None for arrays."""
    if not isinstance(data, str | Path):
        return source.location or None
    path = Path(data).expanduser()
    if path.exists():
        return str(path.resolve())
    # A pattern of archives has a place; an address of the hub is one already, and a built-in data set has its name.
    return str(data) if "://" in str(data) else source.location or str(data)


def resume(folder: Path | None = None) -> Outcome:
    """Go on with an unfinished run: the one in `folder`, or the only one below `runs/`.

    Raises:
        CheckpointError: there is no such run, it is finished, or its data has changed.
    """
    run = RunFolder(folder or only_unfinished())
    config = run.config()
    if run.finished:
        raise CheckpointError(f"{run.path} is finished; there is nothing to resume")
    if config["data"] is None:
        raise CheckpointError(f"{run.path} was trained on arrays, which are gone; only runs on files can be resumed")
    recipe = Recipe.from_json(config["recipe"])
    xo = XO(**config["xo"]) if config["xo"] else None
    source = _source(config["data"], recipe, xo)
    plan = make_plan(source, recipe)
    if plan.card.provenance["fingerprint"] != config["fingerprint"]:
        raise CheckpointError(f"{config['data']} has changed since {run.path} began; start a new run")
    return _carry_out(run, plan, {})


def _carry_out(folder: RunFolder, plan: Plan, seconds: Mapping[str, float]) -> Outcome:
    remove_leftovers(folder.path)
    _announce(folder, plan)
    fitted = fit_model(plan, folder.path, quiet=False)
    fitted = dataclasses.replace(fitted, seconds={**seconds, **fitted.seconds})
    if fitted.stopped_by:
        return Outcome(folder.path, fitted.model, None, "", None, fitted.stopped_by, fitted.minutes)
    return _measure(folder, plan, fitted)


def _announce(folder: RunFolder, plan: Plan) -> None:
    for note in plan.notes:
        folder.tell(note if note.startswith(" ") else f"note: {note}")
    p, sizes, classes = plan.card.preprocess, plan.splits, len(plan.card.classes)
    testing = "the validation images measure, too" if sizes.test_is_val else f"{len(sizes.test):,} to test"
    folder.tell(
        f"{plan.index.name}: {f'{classes} classes, ' if classes else ''}{len(sizes.train):,} images to train, "
        f"{plan.choosers:,} to validate, {testing}; input {p.channels}x{p.height}x{p.width} ({p.resize})"
    )
    start = f"from the weights {plan.weights}" if plan.weights else counted(plan.recipe.epochs, "epoch")
    folder.tell(f"{plan.card.model}, {start}, batches of {plan.recipe.batch_size}; run folder {folder.path}")


def _policy(plan: Plan) -> Policy:
    """How training images are changed: what a name stands for."""
    p = plan.card.preprocess
    return find_policy(plan.recipe.augment, channels=p.channels, size=min(p.height, p.width))


def _drawings(plan: Plan, history: list[dict[str, float]]) -> list[Drawing]:
    """What the network saw, and how it learnt."""
    if plan.weights is None:
        batch = next(plan.train.images.epoch(plan.recipe.seed, 0, min(_SAMPLE, plan.recipe.batch_size), _policy(plan)))
        positions, pixels = batch.positions, list(batch.pixels)
    else:
        positions = permutation(len(plan.train.images), plan.recipe.seed)[:_SAMPLE]
        images, policy = plan.train.images, views_policy(plan.recipe.augment, plan.card.preprocess)
        pixels = [image_view(images, int(position), i % _VIEWS, policy) for i, position in enumerate(positions)]
    names = [plan.index.labels[code] for code in plan.index.label[plan.train.images.rows[positions]]]
    sheet = contact_sheet(pixels, names, "Training images")
    seen = Drawing("training", "What the network saw", "Images as they were changed for training.", sheet)
    if not history:
        return [seen]
    return [Drawing("learning", "Learning curves", "One point an epoch.", learning_curves(history)), seen]


def _evaluation(
    network: nn.Module, card: ModelCard, test: Labelled[Images], fitted: Fitted
) -> Evaluation | Reconstructed:
    if card.task == "reconstruct":
        return reconstruct(network, test.images)
    if fitted.frozen != NONE and isinstance(network, Network):
        # What the frozen part makes of these images is the same in each run, and is kept.
        logits = kept_logits(network, test.images, card=card, boundary=fitted.frozen)
        return judge(scores(logits, card.scores, card.temperature), card, test.images, test.targets)
    return evaluate(Predictor(network, card), test.images, test.targets)


def _measure(folder: RunFolder, plan: Plan, fitted: Fitted) -> Outcome:
    """Measure the model on the test images and write the report."""
    started = time.monotonic()
    network, card = load_model(fitted.model)
    evaluation = _evaluation(network.to(pick_device(plan.recipe.device)), card, plan.test, fitted)
    splits = plan.splits
    which = "validation" if splits.test_is_val else "test"
    params = sum(p.numel() for p in network.parameters())
    p, epochs = card.preprocess, counted(len(fitted.history), "epoch")
    facts = {
        "Data": f"{plan.index.name}: {len(card.classes)} classes" if card.classes else plan.index.name,
        "Images": f"{len(splits.train):,} train, {plan.choosers:,} validation, {len(splits.test):,} {which}",
        "Left out": f"{len(plan.index.reasons):,} unreadable",
        "Network": f"{card.model}, {params:,} parameters",
        "Input": f"{p.channels}x{p.height}x{p.width}, {p.resize}, {p.interpolation}",
        "Training": f"{epochs}, batches of {plan.recipe.batch_size}, {fitted.minutes:.1f} minutes",
        **({"Starts from": f"the weights {plan.weights}"} if plan.weights else {}),
        **({"Temperature": f"{card.temperature:.3f}"} if card.classes else {}),
        "Seed": str(plan.recipe.seed),
        "Made with": f"hubel {hubel.__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }
    notes = [*plan.notes, *fitted.notes]
    if splits.test_is_val:
        notes.append("The images that measure have also chosen the epoch, so the numbers are a little too good.")
    next_steps = []
    if isinstance(evaluation, Evaluation) and isinstance(evaluation.metrics, Metrics):
        codes = plan.index.label[plan.train.images.rows]
        taught = {name: int((codes == code).sum()) for code, name in enumerate(plan.index.labels)}
        next_steps = advice(evaluation.metrics, taught)
    report = write_evaluation(
        folder.path,
        evaluation,
        title=f"{card.model} on {plan.index.name}",
        which=which,
        facts=facts,
        notes=[*notes, *next_steps],
        drawings=_drawings(plan, fitted.history),
    )
    folder.tell(headline(evaluation.metrics, which))
    rate = fitted.history[-1]["images_per_second"] if fitted.history else None
    seconds = {**fitted.seconds, "measuring and report": time.monotonic() - started}
    return Outcome(
        folder.path, fitted.model, evaluation, which, report, 0, fitted.minutes, rate, seconds, tuple(next_steps)
    )
