"""From a plan to the samples of a student: views of images with the answers of its teachers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from hubel.core.errors import OptionError
from hubel.core.group import alone, current_group
from hubel.data.loading import Images, with_principal_axes
from hubel.data.samples import Labelled, Samples, blank_input
from hubel.inference.device import device_of
from hubel.inference.engines.registry import EngineChoice
from hubel.inference.predictor import Predictor
from hubel.training.distillation.answers import (
    AnswerSource,
    OnlineAnswers,
    StoredAnswers,
    ViewSettings,
    store_answers,
)
from hubel.training.distillation.hints import HintedStudent, hint_shape
from hubel.training.distillation.losses import DISTILLATION_LOSSES
from hubel.training.distillation.objective import UNLABELLED
from hubel.training.distillation.samples import TaughtImages
from hubel.training.distillation.teacher import OpenedTeacher, Teacher
from hubel.training.plan import DistillationPlan, Plan

__all__ = ["student_of", "teach"]


def teach(plan: Plan, tell: Callable[[str], None]) -> Labelled[Samples]:
    """Return the samples of a student, those without labels last; answers that are to be stored are there then.

    Args:
        plan: with a teacher.
        tell: takes what a person should know.
    """
    distillation = plan.distillation
    assert distillation is not None, "whoever calls has a teacher"
    images = distillation.images
    settings = ViewSettings(
        images=images,
        policy=with_principal_axes(plan.loop.policy, plan.train.images),
        batch_size=plan.loop.batch_size,
        views=distillation.views,
        shards=distillation.shards,
    )
    source = None if distillation.online else _stored_once(plan, distillation, settings, tell)
    if source is None:
        source = _online(plan, distillation, settings, tell)
    unknown = np.full(distillation.unlabelled, UNLABELLED, plan.train.targets.dtype)
    return Labelled(TaughtImages(settings=settings, source=source), np.concatenate([plan.train.targets, unknown]))


def student_of(plan: Plan, network: nn.Module) -> nn.Module:
    """Return the module that trains: the network, with the regressor of its middle map where hints teach."""
    distillation = plan.distillation
    if distillation is None or not DISTILLATION_LOSSES[distillation.loss].maps:
        return network
    (teacher,) = distillation.teachers
    assert isinstance(teacher.model, Predictor), "find_teachers refuses exported files"
    assert teacher.hint is not None, "the plan has it"
    other = teacher.model.network
    own = hint_shape(network, blank_input(plan.preprocess, device_of(network)))
    others = hint_shape(other, blank_input(teacher.card.preprocess, device_of(other)))
    return HintedStudent(network, (own[0], others[0]), teacher.hint).to(plan.device)


def _open(plan: Plan, distillation: DistillationPlan, teacher: Teacher) -> Callable[..., OpenedTeacher]:
    def open_on(images: Images, number: int, choice: EngineChoice | None) -> OpenedTeacher:
        return teacher.open(images, number, threads=plan.threads, device=plan.device, engine=choice)

    return open_on


def _stored_once(
    plan: Plan, distillation: DistillationPlan, settings: ViewSettings, tell: Callable[[str], None]
) -> AnswerSource | None:
    """Return stored answers, which rank 0 computes while the others wait; None where its cache has no room for them.

    Raises:
        OptionError: another rank has a cache of its own, without room.
    """
    group, found = current_group(), None
    if group.first:
        with alone():
            found = _stored(plan, distillation, settings, tell)
    if group.agree(lambda: found is None):
        return None
    found = found or _stored(plan, distillation, settings, tell)
    if found is None:
        raise OptionError(
            f"rank {group.rank} has a cache of its own, without room for the teacher's answers: --online-teacher"
        )
    return found


def _stored(
    plan: Plan, distillation: DistillationPlan, settings: ViewSettings, tell: Callable[[str], None]
) -> AnswerSource | None:
    """Return stored answers; None where the cache has no room for them."""
    choice = EngineChoice.parse(distillation.engine)
    found = []
    for teacher in distillation.teachers:
        open_on = _open(plan, distillation, teacher)
        stored = store_answers(settings, teacher, open_on=open_on, choice=choice, tell=tell)
        if stored is None:
            tell("note: the cache has no room for the teacher's answers: they are computed in the loop")
            return None
        found.append(stored)
    return StoredAnswers(found, plan.classes)


def _online(
    plan: Plan, distillation: DistillationPlan, settings: ViewSettings, tell: Callable[[str], None]
) -> AnswerSource:
    choice, number = EngineChoice.parse(distillation.engine), plan.loop.epochs * len(settings.images)
    opened = []
    for teacher in distillation.teachers:
        runner = _open(plan, distillation, teacher)(settings.seen_by(teacher), number, choice)
        tell(f"{teacher.name} answers in the loop by {runner.note}")
        opened.append((teacher, runner))
    return OnlineAnswers(settings, opened)
