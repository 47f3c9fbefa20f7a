"""Cross-validate the linear head of a run on all of its images: `hubel train --folds`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hubel.core.language import plural, sentence
from hubel.data.samples import Labelled
from hubel.evaluation.folds import FoldsResult, measure_folds, write_folds
from hubel.features.logits import last_layer_features
from hubel.inference.engines.registry import EngineChoice
from hubel.training.execute import TrainedModel
from hubel.training.initial_weights import pretrained_network
from hubel.training.plan import Plan

__all__ = ["measure_run_in_folds"]


def measure_run_in_folds(folder: Path, plan: Plan, trained: TrainedModel) -> FoldsResult:
    """Predict every image of a run's splits by a head that has not seen it, and write a report into `folder`.

    The features are those that the run has cached, and those of the test images; the strength of the penalty is the one
    that the run has chosen.

    Raises:
        OptionError: there are too few images for the folds.
        WeightsError: the weights cannot be had.
    """
    folds, transfer = plan.recipe.data.folds, plan.transfer
    assert folds is not None
    assert transfer is not None, "resolve refuses all others"
    splits = plan.splits
    rows = np.sort(np.concatenate([splits.train, splits.val, splits.test]))
    images = plan.dataset.images(plan.preprocess, rows, threads=plan.recipe.data.loading_threads)
    labelled = Labelled(images, plan.task.targets(plan.dataset, plan.card.classes, rows))
    network = pretrained_network(plan, transfer).to(plan.device)
    engine = EngineChoice.parse(transfer.engine)
    features = last_layer_features(network, images, card=plan.card, engine=engine)
    result = measure_folds(
        plan.task,
        features,
        labelled,
        plan.card,
        folds,
        loss=plan.loss,
        seed=plan.loop.seed,
        strength=trained.strength,
    )
    facts: dict[str, str] = {
        sentence("fact.features"): sentence("run.features", network=plan.card.model, weights=transfer.weights),
        sentence("fact.data"): plural("run.left_out", len(rows), data=plan.dataset.name),
    }
    title = sentence("run.folds", n=folds, data=plan.dataset.name)
    notes = list(plan.dataset.index.notes())
    if trained.frozen != "all":
        notes.append("these are linear heads on the features as they were; the model of the run was tuned further")
    write_folds(folder, result, title=title, facts=facts, notes=notes, language=plan.recipe.machine.lang)
    return result
