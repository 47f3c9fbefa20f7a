"""Predict every image by a head that has not seen it: cross-validation on the features of a network.

The images are divided into folds; for each, a linear head is fitted to the features of all other images. So each image
measures, and none measures a head that it taught. The features are computed once, and the strength of the penalty is
chosen once, which makes all heads together cheaper than the first.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.language import find_language, plural, sentence
from hubel.core.outputs import make_folder, output_folder
from hubel.core.ranges import check_range
from hubel.core.shell import shell_command
from hubel.data.dataset import open_dataset
from hubel.data.loading import Images
from hubel.data.samples import Labelled
from hubel.data.taught import Taught
from hubel.evaluation.evaluate import EvaluationResult
from hubel.evaluation.write import write_evaluation
from hubel.tasks.catalogue import find_task
from hubel.tasks.task import Evaluation, Task
from hubel.weights.card import ModelCard
from hubel.weights.class_tree import parents_of

if TYPE_CHECKING:
    from hubel.tasks.losses import LossSettings

__all__ = [
    "MOST_FOLDS",
    "FoldsEvaluation",
    "FoldsResult",
    "assign_folds",
    "evaluate_folds",
    "measure_folds",
    "write_folds",
]

MOST_FOLDS = 100
_NOBODY = Taught.read({})  # no image has taught the head that measures it
_SPLIT = "left-out"  # the name of the images in a report: each is left out of the fold that measures it


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldsResult:
    """Predictions of all images, each by a head that has not seen it.

    Attributes:
        evaluation: of all images together.
        fold: the number of each image's fold, from 1, `(n,)`.
        accuracies: of the images of each fold; empty for tasks without accuracy.
    """

    evaluation: Evaluation
    fold: NDArray[np.int64]
    accuracies: tuple[float, ...]

    def sentence(self) -> str:
        """Return the accuracy of the folds in words: its mean, and its standard deviation between folds."""
        if not self.accuracies:
            return f"{self.fold.max()} folds"
        return (
            f"accuracy {np.mean(self.accuracies):.1%} over {len(self.accuracies)} folds, standard deviation "
            f"{np.std(self.accuracies, ddof=1):.1%} ({min(self.accuracies):.1%} to {max(self.accuracies):.1%})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of the folds as plain JSON values."""
        if not self.accuracies:
            return {"folds": {"number": int(self.fold.max())}}
        mean, spread = float(np.mean(self.accuracies)), float(np.std(self.accuracies, ddof=1))
        numbers = {"accuracies": list(self.accuracies), "mean": mean, "standard_deviation": spread}
        return {"folds": {"number": len(self.accuracies), **numbers}}


def assign_folds(
    digests: NDArray[np.void], targets: NDArray[Any], folds: int, *, seed: int = 0, stratify: bool = True
) -> NDArray[np.int64]:
    """Return the fold of each image, from 1, `(n,)`: as scikit-learn's splitters with `shuffle=True` divide them.

    `StratifiedKFold` for one class an image, otherwise `KFold`; `StratifiedGroupKFold` and `GroupKFold` where images
    are the same to the byte, which stay in one fold.

    Args:
        digests: of the images, `(n,)`.
        targets: class numbers `(n,)`, or several numbers an image.
        folds: how many, at least 2.
        seed: another seed divides them otherwise.
        stratify: targets are classes, of each of which every fold has its share.

    Raises:
        OptionError: there are too few images.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    check_range("folds", folds, 2, MOST_FOLDS, whole=True)
    _, group = np.unique(digests, return_inverse=True)
    stratify = stratify and targets.ndim == 1
    most = int(np.bincount(targets).max()) if stratify else len(targets)
    if min(most, int(group.max(initial=-1)) + 1) < folds:
        what = "images of a class" if stratify else "different images"
        raise OptionError(f"{folds} folds need at least {folds} {what}, and there are {most} at most")
    kinds = {(True, True): StratifiedGroupKFold, (True, False): StratifiedKFold}
    kinds |= {(False, True): GroupKFold, (False, False): KFold}
    splitter = kinds[stratify, int(group.max()) + 1 < len(group)](folds, shuffle=True, random_state=seed)
    found = np.zeros(len(targets), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds is missing in some
        for number, (_, held) in enumerate(splitter.split(targets, targets if stratify else None, group), start=1):
            found[held] = number
    return found


def measure_folds(
    task: Task,
    features: NDArray[np.float32],
    labelled: Labelled[Images],
    card: ModelCard,
    folds: int,
    *,
    loss: LossSettings | None = None,
    seed: int = 0,
    strength: float | None = None,
) -> FoldsResult:
    """Fit a head for each fold, and measure it on the images of the fold.

    Args:
        task: of the images.
        features: of the images, `(n, d)`.
        labelled: the images with their targets.
        card: with the classes; its temperature does not count.
        folds: see `assign_folds`.
        loss: of which the class weights count; the task's default if None.
        seed: of the division.
        strength: of the penalty, as `FittedHead` has it; None chooses it on all images.

    Raises:
        OptionError: there are too few images, or the task has no linear head.
    """
    from hubel.tasks.losses import LossSettings  # what only evaluates exported files does without

    images, targets = labelled.images, labelled.targets
    loss = loss or LossSettings(name=task.losses[0])
    card = dataclasses.replace(card, temperature=1.0, coverage=None) if task.exclusive else card
    fold = assign_folds(images.digests, targets, folds, seed=seed, stratify=task.stratify)
    strength = strength or task.fit_head(features, targets, card, loss, seed).strength
    outputs, accuracies = np.empty((len(targets), len(card.classes)), np.float32), []
    for number in range(1, folds + 1):
        held = np.flatnonzero(fold == number)
        head = task.fit_head(
            np.delete(features, held, axis=0), np.delete(targets, held, axis=0), card, loss, seed, strength
        )
        outputs[held] = features[held] @ head.weight.T + head.bias
        accuracies.append(task.evaluate_outputs(outputs[held], card, images.subset(held), targets[held]).accuracy)
    return FoldsResult(
        evaluation=task.evaluate_outputs(outputs, card, images, targets),
        fold=fold,
        accuracies=tuple(one for one in accuracies if one is not None),
    )


def write_folds(
    folder: Path,
    result: FoldsResult,
    *,
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    language: str = "en",
) -> Path:
    """Write an evaluation in folds, as `write_evaluation` does; `predictions.csv` names the fold of each image."""
    return write_evaluation(
        folder,
        result.evaluation,
        title=title,
        split=_SPLIT,
        taught=_NOBODY,
        facts={**facts, sentence("fact.folds"): result.sentence()},
        notes=notes,
        columns={"split": [f"fold {number}" for number in result.fold.tolist()]},
        numbers=result.to_json(),
        language=language,
    )


@dataclass(frozen=True, kw_only=True)
class FoldsEvaluation(EvaluationResult):
    """An evaluation in folds and where it was written.

    Attributes:
        folds: the numbers of the folds.
    """

    folds: FoldsResult

    def to_json(self) -> dict[str, Any]:
        """Return the content of `metrics.json`."""
        return super().to_json() | self.folds.to_json()


def evaluate_folds(
    model: str | os.PathLike[str],
    data: str,
    folds: int = 5,
    *,
    split: str = "auto",
    root: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    lang: str = "en",
) -> FoldsEvaluation:
    """Cross-validate a last layer on the features of a network, and write a report with every image in it.

    Args:
        model: a model file, run folder, or the name of pretrained weights: whose features are used, not whose head.
        data: labelled images; see `hubel.data.open_dataset`.
        folds: how many, 2 to 100.
        split: "train", "val" or "test" for the images that the data itself puts there; "auto" and "all" for all images.
        root: the folder that the relative paths of a table start at; the table's own if None.
        out: a new folder below `runs/` if not given.
        device: where to compute the features.
        seed: another one divides the images otherwise.
        lang: language of the report, "en" or "ko".

    Raises:
        OptionError: there are too few images, or layers below the head have learned from some of them.
        HubelError: the model or the data cannot be used together.
    """
    from hubel.features.logits import last_layer_features
    from hubel.inference.device import pick_device
    from hubel.inference.predictor import load_network

    check_range("folds", folds, 2, MOST_FOLDS, whole=True)
    lang = find_language(lang)
    out = output_folder(out, verb="evaluate", inputs=(model, data))
    network, card = load_network(model)
    task = find_task(card.task)
    parents = card.parents or None
    dataset = open_dataset(data, multi_label=task.multi_label, labelled=task.labelled, root=root, parents=parents)
    rows = dataset.rows(None if split in ("all", "auto") else split)
    images = dataset.images(card.preprocess, rows)
    _refuse_tuned(str(model), data, card, images, folds)
    classes = task.outputs(dataset)
    known = parents_of(classes, card.parents) if {*classes} <= {*card.classes} else {}
    card = dataclasses.replace(card, classes=classes, parents=known, temperature=1.0, coverage=None, provenance={})
    features = last_layer_features(network.to(pick_device(device)), images, card=card)
    labelled = Labelled(images, task.targets(dataset, card.classes, rows))
    result = measure_folds(task, features, labelled, card, folds, seed=seed)
    folder = make_folder(out, verb="evaluate", name=f"evaluate-{dataset.name}")
    facts: dict[str, str] = {
        sentence("fact.features"): sentence("run.features_of", network=card.model, model=model),
        sentence("fact.data"): plural("run.left_out", len(rows), data=dataset.name),
        sentence("fact.left_out"): sentence("run.unreadable", n=len(dataset.index.reasons)),
    }
    notes = tuple(dataset.index.notes())
    title = sentence("run.folds", n=folds, data=dataset.name)
    report = write_folds(folder, result, title=title, facts=facts, notes=notes, language=lang)
    return FoldsEvaluation(
        evaluation=result.evaluation,
        split=_SPLIT,
        folder=folder,
        report=report,
        notes=(*notes, *result.evaluation.remarks(_SPLIT)),
        taught=_NOBODY,
        folds=result,
    )


def _refuse_tuned(model: str, data: str, card: ModelCard, images: Images, folds: int) -> None:
    """Refuse features that have learned from the labels of these images: no head would be measured honestly.

    Raises:
        OptionError: they have, or may have.
    """
    seen = int(Taught.read(card.provenance).among(images.digests).sum())
    if seen and card.provenance.get("frozen") != "all":
        pretrained = shell_command("hubel", "evaluate", card.model, data, "--folds", str(folds))
        raise OptionError(
            f"{seen:,} of these images {'has' if seen == 1 else 'have'} trained {model}, and not its last layer alone "
            "as far as its file tells: new heads on its features would look better than they are; take a pretrained "
            f"network: {pretrained}"
        )
