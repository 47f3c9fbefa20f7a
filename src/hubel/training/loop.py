"""The epochs of a training run: validation, the best weights, checkpoints, patience, the time limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.errors import CheckpointError, DivergedError
from hubel.core.group import Group, current_group
from hubel.core.progress import bar
from hubel.core.stopping import Stop
from hubel.data.loading import Images, with_principal_axes
from hubel.data.samples import Labelled, Samples, steps_per_epoch
from hubel.data.shares import step_sizes
from hubel.inference.forward import output_batches
from hubel.tasks.task import validation_mean
from hubel.training.checkpoint import Checkpoint
from hubel.training.optimizer import load_tensors, tensors
from hubel.training.plan import LoopSettings
from hubel.training.progress import NO_SCORE, TrainingProgress
from hubel.training.trainer import StepResult, Trainer

__all__ = ["EpochSelection", "Loop", "gather_batches"]


_LACKING = 0.1  # of the last epoch, for which there may be no time
_LEAST_PACE = 1e-9  # minutes
_UNMEASURED = (0.0, 0.0)  # score and negative loss of an epoch without validation


def gather_batches(own: Sequence[NDArray[np.float64]], asked: int, group: Group) -> tuple[Tensor, Tensor] | int:
    """Return losses and scores of all images, in order, from those of the batches of each rank.

    Where a rank was asked to stop, by a signal, return the signal's number instead.

    Args:
        own: of each batch of this rank, float64 `(2, b)`: all batches in turn are dealt to the ranks.
        asked: the number of the signal by which this rank was asked to stop; 0 for none.
        group: the ranks.
    """
    sizes = np.array([asked, len(own), *(batch.shape[1] for batch in own)], np.int64)
    signals, of_ranks = [0], []
    for part in group.gather(sizes.tobytes() + b"".join(batch.tobytes() for batch in own)):
        signal, count = np.frombuffer(part, np.int64, 2).tolist()
        ends = 2 * np.cumsum(np.frombuffer(part, np.int64, count, sizes.itemsize * 2))
        values = np.frombuffer(part, np.float64, offset=sizes.itemsize * (2 + count))
        signals.append(signal)
        of_ranks.append([batch.reshape(2, -1) for batch in np.split(values, ends[:-1])] if count else [])
    if any(signals):
        return max(signals)
    in_turn = [batch for batches in zip_longest(*of_ranks) for batch in batches if batch is not None]
    losses, correct = torch.from_numpy(np.concatenate(in_turn, 1))
    return losses, correct


def _ignore(*_: object) -> None:
    """Do nothing: for whoever only wants the steps."""


@dataclass(frozen=True, kw_only=True)
class EpochSelection:
    """Selection of the best epoch.

    Attributes:
        val: validation images; None where none are held out: then the last epoch is kept.
        floor: validation score and negative loss that an epoch must exceed to be kept at all.
        latest: each epoch that exceeds the floor replaces the one before.
    """

    val: Labelled[Samples] | None = None
    floor: tuple[float, float] = NO_SCORE
    latest: bool = False


class Loop:
    """One network being trained.

    Args:
        trainer: takes the steps.
        train: the training images, or maps of them.
        settings: of the epochs.
        selection: how the best epoch is selected.
        images_after: images that are measured after the last epoch, within the time limit.
        keep: called with the weights whenever an epoch is the best so far.
        save: called with a number that grows over the run, and a checkpoint.
        tell: called with each finished epoch's row.
    """

    def __init__(
        self,
        trainer: Trainer,
        train: Labelled[Samples],
        settings: LoopSettings,
        selection: EpochSelection,
        *,
        images_after: int = 0,
        keep: Callable[[dict[str, Tensor]], None] = _ignore,
        save: Callable[[int, Checkpoint], None] = _ignore,
        tell: Callable[[dict[str, float]], None] = _ignore,
    ) -> None:
        self.trainer, self.train, self.settings, self.selection = trainer, train, settings, selection
        self._keep, self._save, self._tell = keep, save, tell
        self._images_after, self._minutes_after = images_after, 0.0
        self.policy = with_principal_axes(settings.policy, train.images)
        self.steps = steps_per_epoch(len(train.images), settings.batch_size)
        self.progress = TrainingProgress(epochs=settings.epochs)
        self._resized: dict[tuple[int, int], Labelled[Samples]] = {}

    def run(self, stop: Stop) -> bool:
        """Train until the end, or until somebody asks to stop; return whether it came to the end.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        progress, settings, trainer = self.progress, self.settings, self.trainer
        sizes = step_sizes(len(self.train.images), self.steps)
        met = trainer.meet(stop.asked)
        saved = met.now
        while not self._over():
            title = f"epoch {progress.epoch + 1}/{progress.epochs}"
            train = self._train_images()
            batches = train.images.epoch(
                settings.seed,
                progress.epoch,
                settings.batch_size,
                self.policy,
                start=progress.step,
                order=settings.order(self.train.targets, progress.epoch),
                share=trainer.share,
            )
            with bar(title, self.steps, done=progress.step) as shown:
                clock = trainer.meet(stop.asked).now
                for take in trainer.steps(train, batches, sizes[progress.step :]):
                    if self._out_of_time() or self._out_of_steps():
                        break
                    trainer.unfreeze(self._done(progress.step))
                    lr = self.learning_rate(progress.step)
                    result = take(lr, settings.seed, progress.epoch, progress.step)
                    met = trainer.meet(stop.asked, result)
                    self._count(met.result)
                    self._look_ahead()
                    progress.seconds += met.now - clock
                    progress.minutes += (met.now - clock) / 60
                    clock = met.now
                    shown.step(note=self._note())
                    if met.asked or (met.now - saved) / 60 >= settings.checkpoint_minutes:
                        self.checkpoint()
                        saved = clock = trainer.meet(stop.asked).now
                        if met.asked:
                            stop.asked = met.asked
                            return False
            finished = self._finish_epoch(stop)
            self.checkpoint()
            met = trainer.meet(stop.asked)
            saved = met.now
            if not finished or (met.asked and progress.epoch < progress.epochs):
                stop.asked = met.asked
                return False
        return True

    def learning_rate(self, step: int) -> float:
        """Return the learning rate in the middle of a step of the epoch under way."""
        return self.trainer.settings.lr * self.settings.schedule.factor(self._done(step))

    def checkpoint(self) -> None:
        """Save where the run stands. A state that is not finite is never saved."""
        self._check_weights()
        trainer = self.trainer
        groups: dict[str, dict[str, Tensor]] = {
            "network": trainer.network.state_dict(),
            "optimizer": tensors(trainer.optimizer),
        }
        if trainer.average is not None:
            groups["average"] = trainer.average.state_dict()
        # The end of an epoch counts as a step: no two checkpoints of a run have the same number.
        number = self.progress.epoch * (self.steps + 1) + self.progress.step
        self.progress.parts = trainer.parts
        self._save(number, Checkpoint(groups, asdict(self.progress)))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same plan.

        Raises:
            CheckpointError: it is one of another plan.
        """
        trainer = self.trainer
        try:
            trainer.network.load_state_dict(dict(checkpoint.tensors["network"]))
            load_tensors(trainer.optimizer, checkpoint.tensors["optimizer"])
            if trainer.average is not None:
                trainer.average.load_state_dict(dict(checkpoint.tensors["average"]))
            self.progress = TrainingProgress(**checkpoint.progress)
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            # What torch says of a network has a line for each weight.
            found = " ".join(" ".join(str(error).splitlines()[:2]).split())
            raise CheckpointError(f"the checkpoint is of another training ({found:.200}); start a new run") from None
        trainer.parts = self.progress.parts
        if self.progress.best is not None:
            self.progress.best = (self.progress.best[0], self.progress.best[1])

    def _done(self, step: int) -> float:
        """Return the share of all steps that is done in the middle of a step of the epoch under way."""
        progress = self.progress
        steps = min(progress.epochs * self.steps, self.settings.steps)
        return min(1.0, (progress.epoch * self.steps + step + 0.5) / steps)

    def _train_images(self) -> Labelled[Samples]:
        """Return the training images at the size of the epoch under way."""
        sizes, progress = self.settings.train_sizes, self.progress
        if not sizes or not isinstance(self.train.images, Images):
            return self.train
        size = sizes[progress.epoch * len(sizes) // progress.epochs]
        if size not in self._resized:
            preprocess = replace(self.train.images.preprocess, height=size[0], width=size[1])
            self._resized[size] = Labelled(self.train.images.at(preprocess), self.train.targets)
        return self._resized[size]

    def _look_ahead(self) -> None:
        progress = self.progress
        steps = progress.epoch * self.steps + progress.step
        self.trainer.look_ahead(steps, steps / min(progress.epochs * self.steps, self.settings.steps))

    def _count(self, result: StepResult | None) -> None:
        assert result is not None, "a step has been taken"
        self._check_finite(result.loss_sum, "loss")
        self.progress.loss_sum += result.loss_sum
        self.progress.correct += result.correct
        self.progress.seen += result.samples
        self.progress.step += 1

    def _finish_epoch(self, stop: Stop) -> bool:
        """Validate, record the row, keep the weights if they are the best; return False if asked to stop before."""
        progress, objective, selection = self.progress, self.trainer.objective, self.selection
        network = self.trainer.averaged()
        started = self.trainer.meet(stop.asked).now
        value, measured = _UNMEASURED, dict[str, float]()
        if selection.val is None:
            self._check_weights()
        else:
            found = self._validate(network, selection.val, stop)
            if found is None:
                return False
            loss, score = found
            self._check_finite(loss, "validation loss")
            value, measured = (score, -loss), objective.row("val", loss, score)
        row = {
            "epoch": progress.epoch + 1,
            **objective.row("train", progress.loss_sum / progress.seen, progress.correct / progress.seen),
            **measured,
            "learning_rate": self.learning_rate(progress.step - 1),
            "images_per_second": round(progress.images_per_second, 1),
        }
        latest = selection.latest or selection.val is None
        if value > (selection.floor if latest or progress.best is None else progress.best):
            progress.best, progress.best_epoch = value, progress.epoch + 1
            self._keep(network.state_dict())
        progress.history.append(row)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.correct, progress.seen, progress.seconds = 0.0, 0.0, 0, 0.0
        minutes = (self.trainer.meet(stop.asked).now - started) / 60
        progress.minutes += minutes
        if selection.val is not None:
            self._minutes_after = minutes * self._images_after / len(selection.val.images)
        self._fit_into_time()
        self._tell(row)
        return True

    def _validate(self, network: nn.Module, val: Labelled[Samples], stop: Stop) -> tuple[float, float] | None:
        """Return mean loss and score on validation images; None if asked to stop before the end."""
        objective, group = self.trainer.objective, current_group()
        found = []
        # Whole batches are divided over the ranks, so that each image has the outputs that one process computes.
        for batch, outputs in output_batches(network, val.images, finite=False, first=group.rank, every=group.world):
            if stop.asked:
                break
            predicted, targets = torch.from_numpy(outputs), objective.targets(val, batch)
            measured = objective.validation_losses(predicted, targets), objective.correct(predicted, targets)
            found.append(torch.stack([values.double() for values in measured]).numpy())
        of_all = gather_batches(found, stop.asked, group)
        if isinstance(of_all, int):
            stop.asked = of_all
            return None
        losses, correct = of_all
        weights = objective.validation_weights(val.targets)
        return validation_mean(losses, weights), validation_mean(correct, weights)

    def _fit_into_time(self) -> None:
        """Plan as many epochs as there is time for, so that the learning rate falls to its end when time is up.

        The first epoch decodes and fills caches, and programs come and go: what the later ones took counts. Epochs are
        added in the first half only, where the learning rate is high in any case. A last epoch may lack its last tenth.
        """
        progress, settings = self.progress, self.settings
        if not math.isfinite(settings.max_minutes):
            return
        if progress.epoch == 1:
            progress.first_minutes = progress.minutes
        later = progress.epoch - 1
        pace = (progress.minutes - progress.first_minutes) / later if later else progress.minutes
        left = settings.max_minutes - self._minutes_after - progress.minutes
        affordable = progress.epoch + max(0, int(left / max(pace, _LEAST_PACE) + _LACKING))
        most = settings.epochs if 2 * progress.epoch < progress.epochs or later < 2 else progress.epochs
        progress.epochs = max(1, min(most, affordable))

    def _over(self) -> bool:
        """Return whether all is done; an epoch that has begun is brought to its end, in a resumed run, too."""
        if self.progress.step:
            return False
        done = self.progress.epoch >= self.progress.epochs or self._out_of_steps()
        return done or self._out_of_patience() or self._out_of_time()

    def _out_of_time(self) -> bool:
        return self.progress.minutes >= self.settings.max_minutes - self._minutes_after

    def _out_of_steps(self) -> bool:
        return self.progress.epoch * self.steps + self.progress.step >= self.settings.steps

    def _out_of_patience(self) -> bool:
        return self.progress.epoch - self.progress.best_epoch >= self.settings.patience

    def _note(self) -> str:
        p = self.progress
        loss, *accuracy = self.trainer.objective.row("train", p.loss_sum / p.seen, p.correct / p.seen).values()
        shares = [f"{share:.1%}" for share in accuracy]
        return "  ".join([f"loss {loss:.3f}", *shares, f"{p.images_per_second:,.0f} images/s"])

    def _check_weights(self) -> None:
        self._check_finite(self.trainer.weight_sum(), "sum of the weights")

    def _check_finite(self, value: float, name: str) -> None:
        if not math.isfinite(value):
            progress, highest = self.progress, self.trainer.settings.lr
            lr = self.learning_rate(progress.step)
            raise DivergedError(
                f"the {name} became {value} in epoch {progress.epoch + 1}, after step {progress.step} of {self.steps}; "
                f"the learning rate was {lr:.3g}: try --lr {highest / 10:g}, or --clip 1"
            )
