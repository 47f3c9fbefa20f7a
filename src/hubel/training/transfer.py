"""Transfer learning: a head on the features of a pretrained network first, then its last stages, as far as that helps.

The frozen part runs once over each view of each image (`hubel.features.extractor`). The head is fitted to its features
before anything is tuned (Kumar et al. 2022, arXiv:2202.10054: fine-tuning from a random head distorts good features),
so there is a usable model within seconds. What is tuned after that replaces it only if it is better on the validation
images.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.group import alone, current_group
from hubel.core.language import sentence
from hubel.core.notes import Caution, marked, note_from_json, note_to_json
from hubel.core.random import permutation
from hubel.data.augment import Policy
from hubel.data.samples import Labelled, Samples
from hubel.features.extractor import ExtractorSettings, FeatureExtractor
from hubel.features.logits import head_logits
from hubel.inference.engines.registry import EngineChoice
from hubel.nn.freezing import ALL, NONE, Tuned, boundaries
from hubel.nn.network import Network
from hubel.tasks.task import LabelledOutputs
from hubel.training.fitted_head import (
    Score,
    compute_features,
    fit_head,
    fitted,
    learning_images,
    left_out_by,
    unseen_by_head,
    validation_score,
)
from hubel.training.freeze_policy import Evidence, FreezeDecision, decide_freezing, holds_norms
from hubel.training.initial_weights import pretrained_network
from hubel.training.novelty import Unseen
from hubel.training.plan import Plan, TransferPlan
from hubel.training.progress import NO_SCORE

__all__ = [
    "Tuning",
    "TuningPlan",
    "feature_extractor",
    "prepare_tuning",
    "stored_maps",
    "tuned_part",
]

_WARM_UP, _TIMED = 32, 160  # images: the engine is chosen with the first ones, and timed on those up to the second


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """Decisions of transfer learning once the features are known.

    Attributes:
        boundary: the network stays frozen up to here; "all" where only the head is fitted.
        views: of each image that the network trains on as stored maps; 1 where only the head is fitted: the image
            itself. 0 where images are augmented anew in each epoch.
        policy: draws the views, or augments the images.
        hold_norms: batch norms above the boundary keep their statistics.
        hold_depthwise: depthwise kernels above the boundary stay as they are.
        reason: one sentence, with the numbers.
    """

    boundary: str
    views: int
    policy: Policy
    hold_norms: bool
    hold_depthwise: bool
    reason: str

    @property
    def tunes(self) -> bool:
        """More than the head is trained."""
        return self.boundary != ALL

    def to_json(self) -> dict[str, Any]:
        """Return the decisions as plain JSON values."""
        return {
            **asdict(replace(self, reason="")),
            "policy": self.policy.to_json(),
            "reason": note_to_json(self.reason),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TuningPlan:
        """Return the decisions that `to_json` has written."""
        found = {"policy": Policy.from_json(values["policy"]), "reason": note_from_json(values["reason"])}
        return cls(**{**values, **found})


@dataclass(kw_only=True)
class Tuning:
    """A network with a fitted head, and what is to be tuned.

    Attributes:
        plan: what was decided.
        network: with the best head for its features.
        tuned: the part that trains; None where the head is all.
        train: training images, or maps of them.
        val: validation images, likewise; None where none are held out.
        score: validation score and negative loss of the head alone; `NO_SCORE` where there is no such head, or where
            there are no validation images.
        notes: what was found and decided, in sentences.
        seconds: spent, by phase.
        logits: of the head alone for the validation images; None where there is no linear head, or no such image.
        left_out: of training images, each by a head that has not seen it; None where there are none.
        strength: of the penalty of the head, see `FittedHead`.
        unseen: features and logits of images that the head has not learned from; None where there is no such head.
        minutes_left: of `max_minutes`, for the epochs.
    """

    plan: TuningPlan
    network: Network
    tuned: Tuned | None
    train: Labelled[Samples]
    val: Labelled[Samples] | None
    score: Score
    notes: list[str]
    seconds: dict[str, float]
    logits: NDArray[np.float32] | None
    left_out: LabelledOutputs | None
    strength: float | None
    unseen: Unseen | None
    minutes_left: float


@dataclass(kw_only=True)
class _Budget:
    """The time that `max_minutes` leaves.

    Attributes:
        until: when it ends, in seconds of the monotonic clock; infinite without a limit.
        measured: number of images that the result is going to be measured on.
        seconds_per_image: that the frozen part takes; known once there is a limit.
        seconds_per_measured: likewise for an image that measures the result, which is computed exactly.
    """

    until: float
    measured: int
    seconds_per_image: float = 0.0
    seconds_per_measured: float = 0.0

    @property
    def left(self) -> float:
        """Seconds for everything but the measurement of the result."""
        return self.until - current_group().now() - self.seconds_per_measured * self.measured


def prepare_tuning(
    plan: Plan, transfer: TransferPlan, save: Callable[[nn.Module], None], tell: Callable[[str], None]
) -> Tuning:
    """Do everything before the first step of fine-tuning.

    Args:
        plan: of the run.
        transfer: its part on transfer learning.
        save: called with the network as soon as it has a fitted head.
        tell: takes what a person should know.

    Raises:
        WeightsError: the weights cannot be had.
    """
    seconds, notes = dict[str, float](), list[str]()
    budget = _Budget(until=current_group().now() + 60 * plan.loop.max_minutes, measured=len(plan.measured.images))
    requested, group = plan, current_group()

    def note(text: str) -> None:
        notes.append(text)
        tell(marked(text) if isinstance(text, Caution) else text)

    with _clock(seconds, "loading weights"):
        network = pretrained_network(plan, transfer).to(plan.device)
        lower = feature_extractor(network, plan, transfer, transfer.lower, tell)
    score, head, below, logits, unseen = NO_SCORE, None, None, None, None
    if ALL in boundaries(network):
        with _clock(seconds, "frozen part"):
            whole = feature_extractor(network, plan, transfer, ALL, tell)
            images = learning_images(plan)
            direct = transfer.boundaries in ((ALL,), (NONE,)) or not group.agree(lambda: lower.room_for(images, 1))
            if math.isfinite(budget.left):
                budget.seconds_per_measured = group.agree(
                    lambda: _measuring_seconds(plan, network, ALL if direct else transfer.lower)
                )
            plan = _affordable(plan, whole if direct else lower, budget, note)
            features = compute_features(plan, network, None if direct else lower, whole)
        if group.first:  # the others get the head with the weights, and need no more of it
            with _clock(seconds, "linear head"), alone():
                head = fit_head(plan, transfer, network, features, note)
                if features.below is not None:
                    below = fitted(plan, features.below).score
            save(network)
            accuracy = ""
            if features.val is not None and plan.val is not None:
                logits = head_logits(network, features.val)
                score = validation_score(logits, plan, plan.val)
                accuracy = f": the head alone scores {score[0]:.1%} on the validation images"
            unseen = unseen_by_head(head, features, logits)
            tell(f"a first model is saved{accuracy}")
        first_score, first_loss = group.agree(lambda: score)
        score = (first_score, first_loss)
    evidence = Evidence(
        images=len(plan.train.images),
        classes=plan.classes,
        probe=None if head is None else head.score,
        probe_below=below,
        last_stages=transfer.lower,
    )
    late = plan is not requested or budget.left <= 0

    def decide() -> dict[str, Any]:
        if head is not None and late:
            return {"boundary": ALL, "reason": note_to_json(sentence("freeze.no_time"))}
        chosen = decide_freezing(evidence, transfer.boundaries)
        return {"boundary": chosen.boundary, "reason": note_to_json(chosen.reason)}

    agreed = group.agree(decide)
    decision = FreezeDecision(boundary=agreed["boundary"], reason=note_from_json(agreed["reason"]))
    note(decision.reason)
    train: Labelled[Samples] = plan.train
    val: Labelled[Samples] | None = plan.val
    views = 1 if decision.boundary == ALL else 0
    if decision.boundary not in (ALL, NONE):
        with _clock(seconds, "frozen part"):
            train, val, views = stored_maps(plan, lower, _affordable_views(plan, transfer, budget))
    few, from_maps = holds_norms(len(plan.train.images)), train is not plan.train
    made = TuningPlan(
        boundary=decision.boundary,
        views=views,
        policy=transfer.view_policy if views else plan.loop.policy,
        hold_norms=few,
        hold_depthwise=few and from_maps,
        reason=decision.reason,
    )
    return Tuning(
        plan=made,
        network=network,
        tuned=tuned_part(network, made) if made.tunes else None,
        train=train,
        val=val,
        score=score,
        notes=notes,
        seconds=seconds,
        logits=logits,
        left_out=None if head is None else left_out_by(head, plan.train.targets),
        strength=None if head is None else head.strength,
        unseen=unseen,
        minutes_left=budget.left / 60,
    )


def feature_extractor(
    network: Network, plan: Plan, transfer: TransferPlan, boundary: str, tell: Callable[[str], None]
) -> FeatureExtractor:
    """Return what computes the maps of the frozen part of a network at a boundary, and stores them.

    Args:
        network: with its initial weights.
        plan: of the run.
        transfer: its part on transfer learning.
        boundary: one of the network's.
        tell: takes what a person should know.
    """
    only_head = boundary == ALL or transfer.boundaries == (ALL,)
    return FeatureExtractor(
        network,
        plan.card,
        boundary,
        settings=ExtractorSettings(
            engine=EngineChoice.parse(transfer.engine),
            threads=plan.threads,
            expected_images=len(plan.train.images) * (1 if only_head else transfer.views),
            views=transfer.view_policy,
        ),
        tell=tell,
    )


def _affordable(plan: Plan, part: FeatureExtractor, budget: _Budget, note: Callable[[str], None]) -> Plan:
    """Return the plan with as many training images as the frozen part has time for: without a limit, all of them.

    The cost of an image is measured on the first ones of a random order, in which each class comes early.
    """
    n = len(plan.train.images)
    if math.isinf(budget.left) or n <= _TIMED:
        return plan
    order = permutation(n, plan.loop.seed)
    if plan.task.exclusive:
        first = np.unique(plan.train.targets[order], return_index=True)[1]
        order = np.concatenate([order[first], np.delete(order, first)])
    part.maps(plan.train.images.subset(order[:_WARM_UP]))
    started = current_group().now()
    part.maps(plan.train.images.subset(order[_WARM_UP:_TIMED]))
    budget.seconds_per_image = (current_group().now() - started) / (_TIMED - _WARM_UP)
    if budget.seconds_per_image * (n + len(plan.splits.val)) <= budget.left:
        return plan
    kept = np.sort(order[: max(_TIMED, int(budget.left / budget.seconds_per_image) - len(plan.splits.val))])
    note(Caution(sentence("note.fewer", kept=len(kept), n=n)))
    return replace(plan, train=Labelled(plan.train.images.subset(kept), plan.train.targets[kept]))


def _measuring_seconds(plan: Plan, network: Network, boundary: str) -> float:
    """Return the seconds that the frozen part takes for an image that measures the result; 0 if they are stored."""
    settings = ExtractorSettings(engine=EngineChoice("torch"), threads=plan.threads, exact=True)
    exact = FeatureExtractor(network, plan.card, boundary, settings=settings)
    if exact.has(plan.measured.images):
        return 0.0
    some = plan.train.images.subset(permutation(len(plan.train.images), plan.loop.seed)[:_WARM_UP])
    started = time.monotonic()
    exact.maps(some)
    return (time.monotonic() - started) / len(some)


def _affordable_views(plan: Plan, transfer: TransferPlan, budget: _Budget) -> int:
    """Return how many views of each image take no more than half of the time that is left; the first one is there."""
    if not budget.seconds_per_image:
        return transfer.views
    seconds_per_view = budget.seconds_per_image * len(plan.train.images)
    return min(transfer.views, 1 + max(0, int(budget.left / 2 / seconds_per_view)))


def tuned_part(network: Network, plan: TuningPlan) -> Tuned:
    """Return the part of a network that trains; the rest is frozen in place."""
    return Tuned(
        network,
        plan.boundary,
        from_maps=plan.views > 0,
        hold_norms=plan.hold_norms,
        hold_depthwise=plan.hold_depthwise,
    )


def stored_maps(
    plan: Plan, lower: FeatureExtractor, most: int
) -> tuple[Labelled[Samples], Labelled[Samples] | None, int]:
    """Return maps of the boundary and their number of views, as many as the cache has room for; else images and 0."""
    images = learning_images(plan)
    views = current_group().agree(
        lambda: next((number for number in range(most, 0, -1) if lower.room_for(images, number)), 0)
    )
    if not views:
        return plan.train, plan.val, 0
    train = Labelled(lower.maps(plan.train.images, views), plan.train.targets)
    val = None if plan.val is None else Labelled(lower.maps(plan.val.images), plan.val.targets)
    return train, val, views


@contextmanager
def _clock(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.monotonic() - started
