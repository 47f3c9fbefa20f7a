"""Evaluate a trained model on the test images of its run, and write the report."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from hubel.core.errors import DataError
from hubel.core.language import joined, plural, sentence
from hubel.core.progress import counted, duration
from hubel.core.random import permutation
from hubel.core.version import __version__
from hubel.data.annotation import AnnotatedSource
from hubel.data.augment import Policy
from hubel.data.taught import Taught
from hubel.evaluation.write import write_evaluation
from hubel.features.logits import cached_logits
from hubel.features.views import image_view
from hubel.metrics.imbalance import prior_fact
from hubel.metrics.report_items import Drawing
from hubel.nn.freezing import NONE
from hubel.nn.network import Network
from hubel.plots.annotations import draw_annotation
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.learning_curves import learning_curves
from hubel.tasks.task import Evaluation
from hubel.training.execute import TrainedModel
from hubel.training.learning_check import did_not_learn
from hubel.training.plan import Plan
from hubel.training.run_card import CARD_FILE, record_run
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model

__all__ = ["REPORT_FILE", "RunEvaluation", "TrainingInput", "evaluate_measured", "evaluate_run", "training_input"]

#: Name of the page in the folder of a run.
REPORT_FILE = "report.html"

_SHOWN = 24  # training images in the report


@dataclass(frozen=True, kw_only=True)
class RunEvaluation:
    """The evaluation of a run.

    Attributes:
        evaluation: the numbers.
        split: the images: "test" or "validation".
        headline: the result in one sentence, after another one if the network did not learn.
        report: the page.
        advice: what to try next, in sentences.
    """

    evaluation: Evaluation
    split: str
    headline: str
    report: Path
    advice: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class TrainingInput:
    """The input that a network was trained on.

    Attributes:
        views: fixed views of each image that the frozen part processed; 0 where images were augmented anew in each
            epoch.
        caption: one sentence for the report.
    """

    views: int
    caption: str


def training_input(plan: Plan, trained: TrainedModel) -> TrainingInput:
    """Return what the network trained on: never what it might have trained on under another plan."""
    views = trained.tuning.views if trained.tuning else 0
    if views > 1:
        return TrainingInput(views=views, caption=sentence("run.seen.views", n=views))
    if views == 1 or plan.loop.policy == Policy():
        return TrainingInput(views=views, caption=sentence("run.seen.unchanged"))
    return TrainingInput(views=0, caption=sentence("run.seen.augmented"))


def evaluate_run(folder: Path, plan: Plan, trained: TrainedModel) -> RunEvaluation:
    """Evaluate the model file of a run on the images that are to measure it and write the report into its folder.

    Raises:
        DataError: one of these images taught the model: no result is written.
    """
    network, card = load_model(trained.path, model=plan.module)
    network = network.to(plan.device)
    measured, splits = plan.measured, plan.splits
    taught = Taught.read(card.provenance)
    if overlap := int(taught.among(measured.images.digests).sum()):
        raise DataError(f"{counted(overlap, 'image')} would measure the model that they taught: a fault of hubel")
    evaluation = evaluate_measured(plan, network, card, trained.frozen)
    card = record_run(folder, plan, trained, evaluation, network, card)
    licence = card.provenance["run"].get("licence")
    params = sum(p.numel() for p in network.parameters())
    p = card.preprocess
    facts: dict[str, str] = {
        sentence("fact.data"): _data(plan),
        sentence("fact.images"): sentence(
            "run.images", train=len(splits.train), val=len(splits.val), test=len(splits.test)
        ),
        sentence("fact.left_out"): sentence("run.unreadable", n=len(plan.dataset.index.reasons)),
        sentence("fact.network"): sentence("run.network", network=card.model, n=params),
        sentence("fact.input"): f"{p.channels}x{p.height}x{p.width}, {p.resize}, {p.interpolation}",
        sentence("fact.training"): _effort(plan, trained),
        **({sentence("fact.weights"): str(plan.transfer.weights)} if plan.transfer else {}),
        **_backbone(plan),
        **_teachers(plan),
        **({sentence("fact.licence"): licence} if licence else {}),
        **({sentence("fact.temperature"): f"{card.temperature:.3f}"} if plan.classes else {}),
        **prior_fact(card.provenance),
        sentence("fact.seed"): str(plan.loop.seed),
        sentence("fact.digest"): str(card.provenance["fingerprint"]),
        sentence("fact.made_with"): _versions(),
        sentence("fact.card"): sentence("run.card", file=CARD_FILE),
    }
    failed = did_not_learn(plan, trained, network)
    # The errors of a network that has not learnt tell nothing of labels and classes.
    advice = [] if failed else evaluation.advice(_training_images(plan))
    headline = joined(failed, evaluation.headline(splits.measured_name))
    report = write_evaluation(
        folder,
        evaluation,
        title=sentence("report.title", network=card.model, data=plan.dataset.name),
        headline=headline,
        split=splits.measured_name,
        taught=taught,
        facts=facts,
        notes=[*plan.notes, *trained.notes, *advice],
        drawings=_drawings(plan, trained),
        language=plan.recipe.machine.lang,
    )
    return RunEvaluation(
        evaluation=evaluation, split=splits.measured_name, headline=headline, report=report, advice=tuple(advice)
    )


def evaluate_measured(plan: Plan, network: nn.Module, card: ModelCard, frozen: str) -> Evaluation:
    """Return the evaluation of a network on the images that are to measure it.

    Args:
        plan: of the run.
        network: of its model file, on its device.
        card: likewise.
        frozen: the boundary up to which it is as it was before training; "none" for nothing.
    """
    task, measured = plan.task, plan.measured
    if frozen != NONE and isinstance(network, Network):
        # What the frozen part makes of these images is the same in each run, and is stored.
        logits = cached_logits(network, measured.images, card=card, boundary=frozen)
        return task.evaluate_outputs(logits, card, measured.images, measured.targets)
    return task.evaluate(task.model(network, card), measured.images, measured.targets)


def _data(plan: Plan) -> str:
    name, classes = plan.dataset.name, plan.classes
    return plural("run.data", classes, data=name) if classes else name


def _effort(plan: Plan, trained: TrainedModel) -> str:
    """Return epochs, batches and the time spent."""
    epochs, time = len(trained.history), duration(60 * trained.minutes)
    return plural("run.epochs", epochs, batch=plan.loop.batch_size, time=time) if epochs else time


def _backbone(plan: Plan) -> dict[str, str]:
    if plan.backbone is None:
        return {}
    return {sentence("fact.backbone"): sentence("run.backbone", name=plan.backbone.name, weights=plan.backbone.weights)}


def _teachers(plan: Plan) -> dict[str, str]:
    if plan.distillation is None:
        return {}
    records = [teacher.record() for teacher in plan.distillation.teachers]
    return {
        sentence("fact.teacher"): ", ".join(f"{one['name']} ({one['network']}, {one['digest']})" for one in records)
    }


def _versions() -> str:
    return f"hubel {__version__}, torch {torch.__version__}, Python {platform.python_version()}"


def _limbs(plan: Plan) -> tuple[tuple[int, int], ...]:
    """Return the pairs of key points that a line joins."""
    source = plan.dataset.source
    return source.limbs if isinstance(source, AnnotatedSource) else ()


def _training_images(plan: Plan) -> dict[str, int]:
    """Return the number of training images of each class."""
    codes = plan.dataset.index.label[plan.train.images.rows]
    return {name: int((codes == code).sum()) for code, name in enumerate(plan.dataset.index.labels)}


def _drawings(plan: Plan, trained: TrainedModel) -> list[Drawing]:
    """Return learning curves, if there were epochs, and what the network trained on."""
    seen, images, seed = training_input(plan, trained), plan.train.images, plan.loop.seed
    if seen.views:
        assert trained.tuning is not None, "only transfer learning has fixed views"
        positions = permutation(len(images), seed)[:_SHOWN]
        policy = trained.tuning.policy
        pixels = [image_view(images, int(at), i % seen.views, policy) for i, at in enumerate(positions)]
    else:
        batch = next(images.epoch(seed, 0, min(_SHOWN, plan.loop.batch_size), plan.loop.policy))
        positions, pixels = batch.positions, list(batch.pixels)
        for at, annotation in enumerate(batch.annotations):
            pixels[at] = draw_annotation(pixels[at], annotation, plan.card.objects, limbs=_limbs(plan))
    index = plan.dataset.index
    labels = [index.labels[code] for code in index.label[images.rows[positions]]]
    names = [""] * len(labels) if plan.task.annotations else labels  # which are drawn
    sheet = Drawing(
        name="training",
        heading=sentence("run.seen"),
        caption=seen.caption,
        figure=contact_sheet(pixels, names, sentence("run.seen.images")),
    )
    if not trained.history:
        return [sheet]
    heading, caption = sentence("run.curves"), sentence("run.curves.text")
    curves = learning_curves(trained.history)
    return [Drawing(name="learning", heading=heading, caption=caption, figure=curves), sheet]
