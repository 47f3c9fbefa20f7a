"""Decide who teaches a student, how, and on which images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import DataError, OptionError
from hubel.core.notes import Caution
from hubel.core.progress import counted
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.decode_cache import CacheMode
from hubel.data.joined import join_unlabelled
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import blank_input
from hubel.data.splits import Splits
from hubel.data.taught import Taught
from hubel.inference.engines.registry import AUTO
from hubel.inference.predictor import Predictor
from hubel.nn.freezing import NONE
from hubel.tasks.task import Task
from hubel.training.distillation.hints import hint_shape
from hubel.training.distillation.losses import DISTILLATION_LOSSES
from hubel.training.distillation.teacher import Teacher, find_teachers
from hubel.training.plan import DistillationPlan, LoopSettings, TransferPlan
from hubel.training.recipe import Recipe

__all__ = [
    "TeachingImages",
    "check_distillation",
    "choose_distillation",
    "choose_teachers",
    "images_to_teach",
    "taught_by",
    "train_what_taught",
    "tuned_whole",
]

_USUAL_LOSS = "kd"
_USUAL_VIEWS = 16
_ENOUGH_TO_SELECT = 50  # validation images, as where weights are tuned


@dataclass(frozen=True, eq=False, kw_only=True)
class TeachingImages:
    """The images that a teacher teaches with.

    Attributes:
        dataset: with the unlabelled images behind its own.
        rows: the training rows, and those of unlabelled images after them.
        unlabelled: number of the latter.
        notes: remarks for the user, a line each.
    """

    dataset: Dataset
    rows: NDArray[np.int64]
    unlabelled: int
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return number and digest of the images without labels, as plain JSON values."""
        digests = self.dataset.digests(self.rows[len(self.rows) - self.unlabelled :])
        digest = hashlib.blake2b(np.ascontiguousarray(digests).tobytes(), digest_size=8).hexdigest()
        return {"images": self.unlabelled, "digest": digest}


def check_distillation(recipe: Recipe, task: Task, loss: str, *, learns: bool) -> None:
    """Refuse settings of a teacher where there is none, and a teacher where none can teach.

    Args:
        recipe: the request.
        task: of the student.
        loss: of the labels.
        learns: the student is trained by steps.

    Raises:
        OptionError: they contradict each other.
    """
    wanted = recipe.distillation
    if wanted.teacher is None:
        given = ("distill_loss", "temperature", "teacher_weight", "teacher_views", "unlabelled")
        names = [name for name in given if getattr(wanted, name) is not None]
        names += ["online_teacher"] if wanted.online_teacher else []
        if names:
            raise OptionError(f"{names[0]} has no meaning without a teacher: add --teacher MODEL")
        return
    if not task.exclusive:
        raise OptionError(f"a teacher teaches one class an image; the task {task.name} has another answer")
    if task.scores(loss) != "softmax":
        raise OptionError(f"a teacher's scores are those of softmax: leave out --loss {loss}")
    if not learns:
        raise OptionError("this network stores the images rather than learning: it cannot be taught")
    if recipe.optimization.balance == "sampling":
        raise OptionError("balance sampling shows an image several times an epoch; a teacher's views show each once")
    name = wanted.distill_loss or _USUAL_LOSS
    if wanted.temperature is not None and DISTILLATION_LOSSES[name].temperature is None:
        raise OptionError(f"distill_loss {name} compares without softmax: leave out --temperature")
    if DISTILLATION_LOSSES[name].maps and wanted.teacher_views is not None:
        raise OptionError("hints are maps, too large to be stored: they are computed in the loop; no --teacher-views")
    if recipe.transfer.freeze not in (None, NONE):
        raise OptionError(
            f"a student learns from augmented images, of which --freeze {recipe.transfer.freeze} would keep the first "
            "layers from learning anything: leave it out"
        )


def choose_teachers(recipe: Recipe, classes: tuple[str, ...]) -> tuple[Teacher, ...]:
    """Return the teachers that a recipe names, loaded; none where it names none.

    Raises:
        HubelError: as for `find_teachers`.
    """
    wanted = recipe.distillation
    if wanted.teacher is None:
        return ()
    return find_teachers(wanted.teacher, classes, maps=DISTILLATION_LOSSES[wanted.distill_loss or _USUAL_LOSS].maps)


def taught_by(teachers: tuple[Teacher, ...]) -> Taught | None:
    """Return the images that taught the teachers, as far as their cards tell; None without a teacher."""
    return reduce(or_, [teacher.taught for teacher in teachers]) if teachers else None


def train_what_taught(splits: Splits, digests: NDArray[np.void], taught: Taught) -> Splits:
    """Return splits in which no image that taught the teacher measures its student, or selects its best epoch.

    Such test images are left out; such validation images train the student, too. Where too few of these remain to
    select anything, all of them train.

    Args:
        splits: of the data.
        digests: of all images, by row.
        taught: images that taught the teacher.

    Raises:
        DataError: nothing is left that could measure the result.
    """
    val, test = (taught.among(digests[rows]) for rows in (splits.val, splits.test))
    if not val.any() and not test.any():
        return splits
    notes = list(splits.notes)
    if test.any():
        notes.append(Caution(f"{counted(int(test.sum()), 'test image')} left out because they taught the teacher"))
    kept_test, kept_val = splits.test[~test], splits.val[~val]
    if not len(kept_test) and not len(kept_val):
        raise DataError("every image that could measure the student has taught its teacher")
    if val.any():
        if len(kept_test) and len(kept_val) < _ENOUGH_TO_SELECT:
            kept_val = kept_val[:0]
        moved = len(splits.val) - len(kept_val)
        notes.append(f"{counted(moved, 'validation image')} train the student, as they taught its teacher")
    train = np.union1d(splits.train, np.setdiff1d(splits.val, kept_val))
    return Splits(train=train, val=kept_val, test=kept_test, notes=tuple(notes))


def images_to_teach(recipe: Recipe, dataset: Dataset, splits: Splits) -> TeachingImages:
    """Return the training images, and those that the recipe adds without their labels.

    Of these, images that are byte for byte among the training, validation or test images are left out.

    Raises:
        DataError: the folder cannot be used, or has no other images.
    """
    folder = recipe.distillation.unlabelled
    if folder is None:
        return TeachingImages(dataset=dataset, rows=splits.train, unlabelled=0)
    more = open_dataset(folder, labelled=False, threads=recipe.data.loading_threads)
    rows = more.index.readable()
    _, first = np.unique(more.index.digest[rows], return_index=True)
    rows = rows[np.sort(first)]
    notes = [note for note in more.index.notes() if "no label" not in note]
    for name, known in (("test", splits.test), ("validation", splits.val), ("training", splits.train)):
        same = np.isin(more.index.digest[rows], dataset.index.digest[known])
        if same.any():
            what = f"{counted(int(same.sum()), 'unlabelled image')} left out: among the {name} images, byte for byte"
            notes.append(what if name == "training" else Caution(what))
        rows = rows[~same]
    if not len(rows):
        raise DataError(f"--unlabelled {folder}: every image of it is among the images with labels")
    notes.append(f"{counted(len(rows), 'image')} without labels: they teach through the teacher alone")
    return TeachingImages(
        dataset=join_unlabelled(dataset, more),
        rows=np.concatenate([splits.train, len(dataset.index) + rows]),
        unlabelled=len(rows),
        notes=tuple(notes),
    )


def tuned_whole(transfer: TransferPlan | None) -> TransferPlan | None:
    """Return transfer learning in which nothing stays frozen: stored maps are not of the views that a teacher saw."""
    return None if transfer is None else replace(transfer, boundaries=(NONE,))


def choose_distillation(
    recipe: Recipe,
    teachers: tuple[Teacher, ...],
    shown: TeachingImages,
    train: Images,
    loop: LoopSettings,
    network: nn.Module,
    *,
    tuned: bool,
) -> DistillationPlan | None:
    """Return what teaches the student; None without a teacher.

    Args:
        recipe: the request.
        teachers: that it names.
        shown: the images.
        train: the training images at the student's size.
        loop: of the training.
        network: the student, on the meta device or another.
        tuned: the student starts from pretrained weights.

    Raises:
        OptionError: views cannot be stored, or a network has no middle map.
        ModelFileError: a teacher's answers are not finite.
    """
    if not teachers:
        return None
    wanted = recipe.distillation
    name = wanted.distill_loss or _USUAL_LOSS
    usual = DISTILLATION_LOSSES[name]
    online = wanted.online_teacher or usual.maps
    if not online and loop.policy.repeats > 1:
        raise OptionError("this policy repeats images within an epoch, which is not stored: add --online-teacher")
    images = train
    if shown.unlabelled:
        cache = cast(CacheMode, recipe.data.cache or "auto")
        images = shown.dataset.images(train.preprocess, shown.rows, threads=recipe.data.loading_threads, cache=cache)
    for teacher in teachers:
        teacher.check(images)
    if usual.maps and tuned:
        raise OptionError("hints shape the maps of a network that starts from scratch: add --weights none")
    if usual.maps:
        teachers = tuple(_hinting(teacher, network, train.preprocess) for teacher in teachers)
    most = loop.epochs if online else min(loop.epochs, _USUAL_VIEWS)
    return DistillationPlan(
        teachers=teachers,
        loss=name,
        weight=usual.weight if wanted.teacher_weight is None else wanted.teacher_weight,
        temperature=wanted.temperature or usual.temperature or 1.0,
        views=wanted.teacher_views or most,
        online=online,
        images=images,
        unlabelled=shown.unlabelled,
        engine=recipe.transfer.engine or AUTO,
    )


def _hinting(teacher: Teacher, student: nn.Module, preprocess: Preprocess) -> Teacher:
    """Return a teacher that answers with its middle map, of the smaller of both networks' sizes."""
    assert isinstance(teacher.model, Predictor), "find_teachers refuses exported files"
    own = hint_shape(student, blank_input(preprocess, next(student.parameters()).device))
    network = teacher.model.network
    others = hint_shape(network, blank_input(teacher.card.preprocess, next(network.parameters()).device))
    return replace(teacher, hint=(min(own[1], others[1]), min(own[2], others[2])))
