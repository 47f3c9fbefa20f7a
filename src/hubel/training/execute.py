"""Execute a plan: from a plan to a trained and calibrated model file."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.audit.drifting.observe import Answers, observe_reference
from hubel.core.errors import CheckpointError
from hubel.core.group import alone, current_group
from hubel.core.language import sentence
from hubel.core.notes import note_from_json, note_to_json
from hubel.core.random import scalar
from hubel.core.stopping import listening
from hubel.data.loading import Images
from hubel.data.samples import Labelled, Samples, network_input
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores
from hubel.models.neighbours import Neighbours
from hubel.nn.dense import DenseNetwork
from hubel.nn.freezing import ALL, NONE
from hubel.nn.torch_defaults import torch_defaults
from hubel.tasks.task import LabelledOutputs
from hubel.training.checkpoint import Checkpoint, load_newest, save
from hubel.training.cross_fit import cross_fit
from hubel.training.distillation.objective import TaughtObjective
from hubel.training.distillation.teach import student_of, teach
from hubel.training.first_layer import fit_first_layer
from hubel.training.frozen_backbone import freeze_backbone
from hubel.training.loop import EpochSelection, Loop
from hubel.training.novelty import Unseen, add_novelty, unseen_by
from hubel.training.plan import Plan, TransferPlan
from hubel.training.processes.fast import FastTrainer
from hubel.training.processes.ranks import Ranks
from hubel.training.processes.sharded import ShardedTrainer
from hubel.training.processes.state import share_weights, shared_checkpoint
from hubel.training.recipe import Recipe
from hubel.training.run_folder import RunFolder
from hubel.training.trainer import Trainer
from hubel.training.transfer import TuningPlan, prepare_tuning
from hubel.weights.card import ModelCard
from hubel.weights.create import load_backbone
from hubel.weights.model_file import load_model, save_model
from hubel.weights.own_module import with_answer

__all__ = ["OnEpoch", "TrainedModel", "build_trainer", "execute", "training_context"]

#: Called after each epoch with its row of `metrics.csv`.
OnEpoch = Callable[[Mapping[str, float]], object]

_LEAST_MINUTES = 1e-9
_PART = "network."  # before the names of weights of what is tuned as a part of a network
_ENOUGH_TO_COMPARE = 1000  # validation images that can tell one epoch of fine-tuning from the next


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained and calibrated model file.

    Attributes:
        path: the file.
        history: a row an epoch.
        minutes: time spent on training.
        stopped_by: the number of the signal that stopped the training; 0 when it came to its end.
        notes: what was found and decided on the way, in sentences.
        seconds: spent, by phase.
        tuning: what transfer learning decided; None from scratch.
        logits: of the model for the validation images, where they are known: where only the head was trained.
        left_out: of training images, each by a head that has not seen it, where only the head was trained; by networks
            that have not, where few images all train.
        strength: of the penalty of the linear head that was fitted to the frozen features, if one was.
        unseen: features and logits of images that it, or the network that stands in for it, has not learned from.
    """

    path: Path
    history: list[dict[str, float]] = field(default_factory=list)
    minutes: float = 0.0
    stopped_by: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    tuning: TuningPlan | None = None
    logits: NDArray[np.float32] | None = None
    left_out: LabelledOutputs | None = None
    strength: float | None = None
    unseen: Unseen | None = None

    @property
    def frozen(self) -> str:
        """The boundary up to which the network is as it was before; "none" where all of it was trained."""
        return NONE if self.tuning is None else self.tuning.boundary

    def to_json(self) -> dict[str, Any]:
        """Return as plain JSON values what a measurement needs that the files of the run do not say."""
        return {
            "history": self.history,
            "minutes": self.minutes,
            "notes": [note_to_json(note) for note in self.notes],
            "seconds": self.seconds,
            "tuning": None if self.tuning is None else self.tuning.to_json(),
            "strength": self.strength,
        }

    @classmethod
    def from_json(cls, path: Path, values: Mapping[str, Any]) -> TrainedModel:
        """Return the trained model of a file, given what `to_json` has written."""
        tuning = values["tuning"]
        return cls(
            path=path,
            history=values["history"],
            minutes=values["minutes"],
            notes=[note_from_json(note) for note in values["notes"]],
            seconds=values["seconds"],
            tuning=None if tuning is None else TuningPlan.from_json(tuning),
            strength=values["strength"],
        )


def execute(
    plan: Plan, path: Path, *, quiet: bool = True, spent: float = 0.0, on_epoch: OnEpoch | None = None
) -> TrainedModel:
    """Train as planned, from the checkpoint in the folder `path` if there is one, and calibrate the best epoch.

    Args:
        plan: of the run.
        path: its folder.
        quiet: print nothing, and keep no log.
        spent: minutes of the plan's `max_minutes` that are used already.
        on_epoch: called after each epoch with its row of `metrics.csv`.

    Raises:
        DivergedError: the loss is no longer finite.
    """
    first = current_group().first  # which writes; the others only train
    folder = RunFolder(path, quiet=quiet or not first)
    plan = _with_minutes(plan, plan.loop.max_minutes - spent)
    with training_context(plan):
        torch.manual_seed(scalar(plan.loop.seed))
        if plan.transfer is not None:
            trained = _fine_tune(plan, plan.transfer, folder, on_epoch)
        else:
            trained = _train_from_scratch(plan, folder, on_epoch)
        if first and not trained.stopped_by:
            with alone():
                trained = _finished(trained, plan, folder)
    return trained


def _with_minutes(plan: Plan, left: float) -> Plan:
    """Return the plan with this limit of its time; one step is always taken."""
    return dataclasses.replace(plan, loop=dataclasses.replace(plan.loop, max_minutes=max(_LEAST_MINUTES, left)))


@contextmanager
def training_context(plan: Plan) -> Iterator[None]:
    """Set threads, gradients, random numbers and torch's defaults as training needs them; restore the caller's."""
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        with (
            torch_defaults(),
            torch.random.fork_rng(devices=[plan.device] if plan.device.type == "cuda" else []),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            yield
    finally:
        torch.set_num_threads(before)


def build_trainer(plan: Plan, network: nn.Module) -> Trainer:
    """Return the trainer of a plan for a network on its device."""
    objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, plan.device)
    if plan.distillation is not None:
        objective = TaughtObjective(objective=objective, plan=plan.distillation, classes=plan.classes)
    fresh = plan.transfer is None and plan.backbone is None and plan.module is None  # whose weights may be pretrained
    ranks, sharding = current_group(), plan.sharding
    if sharding is None or not isinstance(ranks, Ranks):
        return Trainer(network, objective, plan.optimizer, plan.precision, fresh=fresh)
    if sharding.fast:
        return FastTrainer(network, objective, plan.optimizer, plan.precision, fresh=fresh, ranks=ranks)
    shards = sharding.shards
    return ShardedTrainer(network, objective, plan.optimizer, plan.precision, fresh=fresh, ranks=ranks, shards=shards)


def _train_from_scratch(plan: Plan, folder: RunFolder, on_epoch: OnEpoch | None) -> TrainedModel:
    card, started = plan.card, current_group().now()
    network = plan.create()
    if plan.backbone is not None:
        load_backbone(network, plan.backbone.name, plan.backbone.weights, card.preprocess)
    network = network.to(plan.device)
    fit_first_layer(network, plan.train.images)
    if isinstance(network, DenseNetwork) and plan.backbone is not None and plan.backbone.freeze != NONE:
        return _train_above_backbone(plan, network, folder, on_epoch)
    if isinstance(network, Neighbours):
        card = dataclasses.replace(card, options=_memorise(network, plan.train))
        _save(folder, network.state_dict(), card)
        return TrainedModel(path=folder.model, minutes=(current_group().now() - started) / 60)

    def keep(weights: Mapping[str, Tensor]) -> None:
        _save(folder, _of_network(network, weights), card)

    train, seconds = _with_teacher(plan, folder)
    minutes = sum(seconds.values()) / 60
    loop = _open_loop(
        _with_minutes(plan, plan.loop.max_minutes - minutes),
        folder,
        student_of(plan, network),
        train,
        EpochSelection(val=plan.val if plan.task.compared else None),
        keep,
        on_epoch,
    )
    with listening() as stop:
        finished = loop.run(stop)
    return TrainedModel(
        path=folder.model,
        history=loop.progress.history,
        minutes=minutes + loop.progress.minutes,
        stopped_by=0 if finished else stop.asked,
        seconds=seconds,
    )


def _with_teacher(plan: Plan, folder: RunFolder) -> tuple[Labelled[Samples], dict[str, float]]:
    """Return the samples to train on, with the answers of a teacher if there is one, and the seconds for these."""
    if plan.distillation is None:
        return plan.train, {}
    started = time.monotonic()
    taught = teach(plan, folder.tell)
    return taught, {"teacher": time.monotonic() - started}


def _of_network(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a network among those of what trains, which may have more: a regressor of hints."""
    names = network.state_dict().keys()
    plain = {name if name in names else name.removeprefix(_PART): value for name, value in weights.items()}
    return {name: value for name, value in plain.items() if name in names}


def _train_above_backbone(
    plan: Plan, network: DenseNetwork, folder: RunFolder, on_epoch: OnEpoch | None
) -> TrainedModel:
    """Train a dense network above the part of its backbone that stays frozen."""
    started = current_group().now()
    frozen = freeze_backbone(plan, network)
    folder.tell(frozen.plan.reason)
    minutes = (current_group().now() - started) / 60

    def keep(weights: Mapping[str, Tensor]) -> None:
        _save(folder, {name.removeprefix(_PART): value for name, value in weights.items()}, plan.card)

    left = _with_minutes(plan, plan.loop.max_minutes - minutes)
    selection = EpochSelection(val=frozen.val)
    loop = _open_loop(left, folder, frozen.tuned, frozen.train, selection, keep, on_epoch)
    with listening() as stop:
        finished = loop.run(stop)
    return TrainedModel(
        path=folder.model,
        history=loop.progress.history,
        minutes=minutes + loop.progress.minutes,
        stopped_by=0 if finished else stop.asked,
        seconds={"frozen part": minutes * 60},
        tuning=frozen.plan,
    )


def _memorise(network: Neighbours, train: Labelled[Images]) -> dict[str, int]:
    """Show the network every training image once; return the options of what results."""
    pixels = train.images.pixels(np.arange(len(train.images)))
    return network.fit(network_input(pixels, train.images.preprocess), torch.from_numpy(train.targets))


def _fine_tune(plan: Plan, transfer: TransferPlan, folder: RunFolder, on_epoch: OnEpoch | None) -> TrainedModel:
    """Fit a head to pretrained features; then tune the stages that are freed, if they make it better."""

    def keep(weights: Mapping[str, Tensor], frozen: str) -> None:
        # The weights of a file may have learned from these images themselves.
        known = {} if isinstance(transfer.weights, Path) else {"frozen": frozen}
        card = dataclasses.replace(plan.card, provenance={**plan.card.provenance, **known})
        _save(folder, {name.removeprefix(_PART): value for name, value in weights.items()}, card)

    begun = current_group().agree(lambda: load_newest(folder.checkpoints) is not None)

    def save_head(network: nn.Module) -> None:
        if not begun:  # a run that goes on has a model already, perhaps a better one
            keep(network.state_dict(), ALL)

    # Once tuning has begun, it is not for the clock to decide what is tuned.
    tuning = prepare_tuning(_with_minutes(plan, math.inf) if begun else plan, transfer, save_head, folder.tell)
    minutes = sum(tuning.seconds.values()) / 60
    trained = TrainedModel(
        path=folder.model,
        minutes=minutes,
        notes=tuning.notes,
        seconds=tuning.seconds,
        tuning=tuning.plan,
        strength=tuning.strength,
    )
    if tuning.tuned is None:
        return dataclasses.replace(trained, logits=tuning.logits, left_out=tuning.left_out, unseen=tuning.unseen)
    # Only what is better than the head alone replaces it. The last epochs, whose learning rates are the lowest, are the
    # best ones; few images cannot tell which.
    few = len(plan.splits.val) < _ENOUGH_TO_COMPARE
    selection = EpochSelection(val=tuning.val, floor=tuning.score, latest=few)
    train, spent = (tuning.train, {}) if plan.distillation is None else _with_teacher(plan, folder)
    teacher_minutes = sum(spent.values()) / 60
    minutes += teacher_minutes
    left = _with_minutes(plan, min(plan.loop.max_minutes, tuning.minutes_left) - teacher_minutes)
    keep_tuned = partial(keep, frozen=tuning.plan.boundary)
    loop = _open_loop(left, folder, tuning.tuned, train, selection, keep_tuned, on_epoch)
    with listening() as stop:
        finished = loop.run(stop)
    if head_kept := finished and loop.progress.best_epoch == 0:
        tuning.notes.append(sentence("note.head_alone"))
        folder.tell(tuning.notes[-1])
    trained = dataclasses.replace(
        trained,
        history=loop.progress.history,
        minutes=minutes + loop.progress.minutes,
        stopped_by=0 if finished else stop.asked,
        seconds={**tuning.seconds, **spent, "fine-tuning": loop.progress.minutes * 60},
        left_out=tuning.left_out if head_kept else None,
    )
    if finished and not head_kept and _none_is_held_out(plan) and current_group().first:
        with alone():
            trained = _cross_fitted(trained, plan, transfer, tuning.plan, folder)
    return trained


def _none_is_held_out(plan: Plan) -> bool:
    """Return whether few images all train, those that were to validate included, and there is time to cross-fit."""
    few = bool(plan.card.provenance["val_taught"]) and plan.task.calibrates(plan.card)
    return few and plan.distillation is None and math.isinf(plan.loop.max_minutes)


def _cross_fitted(
    trained: TrainedModel, plan: Plan, transfer: TransferPlan, tuning: TuningPlan, folder: RunFolder
) -> TrainedModel:
    """Return the model with what networks that were tuned on half of the images say of the other half."""
    folder.tell(sentence("note.cross_fit"))
    started = time.monotonic()
    with listening() as stop:
        found = cross_fit(plan, transfer, tuning, stop)
    if found is None:
        return dataclasses.replace(trained, stopped_by=stop.asked)
    unseen, left_out = found
    seconds = {**trained.seconds, "cross-fitting": time.monotonic() - started}
    minutes = trained.minutes + seconds["cross-fitting"] / 60
    return dataclasses.replace(trained, unseen=unseen, left_out=left_out, seconds=seconds, minutes=minutes)


def _save(folder: RunFolder, weights: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write the model file of a run; of several processes, rank 0 does."""
    if current_group().first:
        save_model(folder.model, weights, card.marked_unfinished(True))


def _open_loop(
    plan: Plan,
    folder: RunFolder,
    network: nn.Module,
    train: Labelled[Samples],
    selection: EpochSelection,
    keep: Callable[[dict[str, Tensor]], None],
    on_epoch: OnEpoch | None,
) -> Loop:
    """Return the loop over a network, at the newest checkpoint of the run if there is one."""
    first = current_group().first

    def tell(row: dict[str, float]) -> None:
        if not first:
            return
        folder.write_history(loop.progress.history)
        measured = best = ""
        if selection.val is not None:
            names = [name for name in row if name.startswith("val_") and name != "val_loss"]
            scores = "".join(f", {name.removeprefix('val_')} {row[name]:.1%}" for name in names)
            measured = f"   validation loss {row['val_loss']:.4f}{scores}"
            best = "  best so far" if loop.progress.best_epoch == row["epoch"] else ""
        folder.tell(
            f"epoch {row['epoch']:>3.0f}/{loop.progress.epochs}   loss {row['train_loss']:.4f}{measured}   "
            f"{row['images_per_second']:,.0f} images/s{best}"
        )
        if on_epoch is not None:
            on_epoch(dict(row))

    def save_checkpoint(step: int, checkpoint: Checkpoint) -> None:
        if first:
            save(folder.checkpoints, step, checkpoint)

    share_weights(network)
    trainer = build_trainer(plan, network)
    after = len(plan.measured.images) + len(plan.splits.val)  # those of the result, and those of the calibration
    loop = Loop(trainer, train, plan.loop, selection, images_after=after, keep=keep, save=save_checkpoint, tell=tell)
    checkpoint = shared_checkpoint(folder.checkpoints)
    if checkpoint is not None:
        _check_same_recipe(plan.pinned, checkpoint.progress.get("recipe", {}), folder)
        loop.restore(checkpoint)
        folder.tell(f"resuming after epoch {loop.progress.epoch}, step {loop.progress.step}")
    loop.progress.recipe = plan.pinned.to_json()
    return loop


def _check_same_recipe(now: Recipe, begun: Mapping[str, Any], folder: RunFolder) -> None:
    """Refuse to go on with other settings than a run was begun with; those of the machine may be others.

    Raises:
        CheckpointError: config.json has been edited.
    """
    if not begun:
        return
    before, after = (Recipe.from_json({**values, "machine": {}}).settings() for values in (begun, now.to_json()))
    edited = [name for name in after if after[name] != before[name]]
    if edited:
        was = ", ".join(f"{name} was {before[name]!r} and is {after[name]!r}" for name in edited)
        config = folder.path / "config.json"
        raise CheckpointError(f"{config} has been edited since the run began ({was:.200}): undo it, or start a new run")


def _finished(trained: TrainedModel, plan: Plan, folder: RunFolder) -> TrainedModel:
    """Calibrate the scores of a model file and its prediction sets; give it its rule for unknown images, its reference.

    Images that have trained the network tell nothing of how confident it may be, nor of how new other images are. So
    the scores are calibrated on the validation images; sets and rule on these, and on training images in
    cross-validation where only a head was trained. Where few images all train, those of cross-validation serve alone.
    """
    started, task = time.monotonic(), plan.task
    network, card = load_model(trained.path, model=plan.module)
    network, card = network.to(plan.device), card.marked_unfinished(False)
    logits, unseen, reject = trained.logits, trained.unseen, plan.recipe.network.reject
    own = None  # of the validation images, by the network itself; an engine of the frozen part may have rounded
    if plan.val is not None and logits is None and (task.calibrates(card) or (task.knows_novelty and reject)):
        own = unseen = unseen_by(network, plan.val.images)
        logits = unseen.logits
    if task.calibrates(card):
        card = _calibrated(card, plan, trained, logits)
    if plan.val is not None:
        card = task.choose_shown(network, card, plan.val.images)
    measured = time.monotonic()
    card, said = add_novelty(network, card, task, unseen, reject=reject, seed=plan.loop.seed)
    if said:
        folder.tell(said)
    seconds = {"calibration": measured - started, "novelty": time.monotonic() - measured}
    card = dataclasses.replace(card, reference=_reference(network, card, plan, own))
    if card.own is not None:
        card = dataclasses.replace(card, own=with_answer(card.own, network, card.preprocess))
    save_model(trained.path, network.state_dict(), card)
    notes = [*trained.notes, *([said] if said and card.novelty is None else [])]
    return dataclasses.replace(trained, notes=notes, seconds={**trained.seconds, **seconds})


def _calibrated(card: ModelCard, plan: Plan, trained: TrainedModel, logits: NDArray[np.float32] | None) -> ModelCard:
    """Return the card with scores and prediction sets calibrated, given the logits of the validation images."""
    held_out = [] if trained.left_out is None else [trained.left_out]
    if plan.val is None and trained.left_out is not None:
        card = plan.task.calibrate(trained.left_out.outputs, trained.left_out.targets, card)
    elif plan.val is not None and logits is not None:
        card = plan.task.calibrate(logits, plan.val.targets, card)
        held_out.append(LabelledOutputs(outputs=logits, targets=plan.val.targets))
    if not held_out:
        return card
    together = LabelledOutputs(
        outputs=np.concatenate([part.outputs for part in held_out]),
        targets=np.concatenate([part.targets for part in held_out]),
    )
    return plan.task.calibrate_sets(together, card)


def _reference(network: nn.Module, card: ModelCard, plan: Plan, known: Unseen | None) -> dict[str, Any]:
    """Return what new images are to be compared with; see `hubel.audit.drift`.

    Args:
        network: that was trained.
        card: of it.
        plan: of the run.
        known: what the network says of the validation images; None computes it.
    """
    predictor = Predictor(network, card) if card.output == "vector" else None
    held_out = None if plan.val is None else plan.val.images
    answers = None if known is None else Answers(scores=scores(known.logits, card), features=known.features)
    reference = observe_reference(predictor, card.preprocess, shown=plan.train.images, held_out=held_out, known=answers)
    return reference.to_json()
