"""The training loop: forward, backward and step are written once, here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hubel.core.errors import DivergedError
from hubel.core.progress import bar
from hubel.core.random import scalar
from hubel.core.stopping import Stop
from hubel.data.augment import find_policy
from hubel.data.loading import Batch, Labelled, Samples, steps_per_epoch, suited
from hubel.inference.device import device_of, pick_precision
from hubel.inference.forward import output_batches
from hubel.nn.layers import channels_last
from hubel.tasks.objective import OBJECTIVES, weighted_outputs, weighted_targets
from hubel.training.checkpoint import Checkpoint
from hubel.training.optimizer import load_tensors, make_optimizer, tensors
from hubel.training.recipe import Recipe
from hubel.training.schedule import factor
from hubel.training.state import Progress

__all__ = ["NOTHING", "Loop"]


NOTHING = (-1.0, 0.0)  # score and negative loss that every network reaches
_UNKNOWN = (0.0, 0.0)  # those of an epoch that nothing has measured


def _ignore(*_: object) -> None:
    """For whoever only wants the steps."""


class Loop:
    """One network being trained.

    Args:
        network: with fresh weights; it is trained in place.
        train: what it learns from.
        val: what chooses the best epoch; None where nothing can: then `keep_last` goes without saying.
        recipe: how; its batch size is decided.
        keep: called with the weights whenever an epoch is the best so far.
        floor: validation score and negative loss that an epoch must exceed to be kept at all.
        keep_last: each epoch that exceeds the floor counts as better than the one before.
        save: called with a number that grows over the run, and a checkpoint.
        tell: called with each finished epoch's row.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Labelled[Samples],
        val: Labelled[Samples] | None,
        recipe: Recipe,
        *,
        keep: Callable[[dict[str, Tensor]], None] = _ignore,
        save: Callable[[int, Checkpoint], None] = _ignore,
        tell: Callable[[dict[str, float]], None] = _ignore,
        floor: tuple[float, float] = NOTHING,
        keep_last: bool = False,
    ) -> None:
        self.floor, self.keep_last = floor, keep_last or val is None
        self.train, self.val, self.recipe = train, val, recipe
        self._keep, self._save, self._tell = keep, save, tell
        self.device = device_of(network)
        self.network = channels_last(network)
        self.optimizer = make_optimizer(self.network, recipe)
        self.average = (
            AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)  # type: ignore[no-untyped-call]
            if recipe.ema > 0
            else None
        )
        self.precision = pick_precision(recipe.precision, self.device)
        p = train.images.preprocess
        named = find_policy(recipe.augment, channels=p.channels, size=min(p.height, p.width))
        self.policy = suited(named, train.images)
        self.steps = steps_per_epoch(len(train.images), recipe.batch_size)
        self.progress = Progress(recipe.epochs)
        self.objective = OBJECTIVES[recipe.task](recipe, train.targets, self.device)

    def run(self, stop: Stop) -> bool:
        """Train until the end, or until somebody asks to stop; whether it came to the end.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        progress, recipe = self.progress, self.recipe
        saved = time.monotonic()
        while not self._over():
            title = f"epoch {progress.epoch + 1}/{progress.epochs}"
            batches = self.train.images.epoch(
                recipe.seed, progress.epoch, recipe.batch_size, self.policy, start=progress.step
            )
            with bar(title, self.steps, done=progress.step) as shown:
                clock = time.monotonic()
                for batch in batches:
                    if self._out_of_time():
                        break
                    self.learn_from(batch)
                    now = time.monotonic()
                    progress.seconds += now - clock
                    progress.minutes += (now - clock) / 60
                    clock = now
                    shown.step(note=self._note())
                    if stop.asked or (now - saved) / 60 >= recipe.checkpoint_minutes:
                        self.checkpoint()
                        saved = clock = time.monotonic()
                        if stop.asked:
                            return False
            finished = self._finish_epoch(stop)
            self.checkpoint()
            saved = time.monotonic()
            if not finished or (stop.asked and progress.epoch < progress.epochs):
                return False
        return True

    def checkpoint(self) -> None:
        """Save where the run stands. A state that is not finite is never saved."""
        self._check_weights()
        groups: dict[str, dict[str, Tensor]] = {
            "network": self.network.state_dict(),
            "optimizer": tensors(self.optimizer),
        }
        if self.average is not None:
            groups["average"] = self.average.state_dict()
        # The end of an epoch counts as a step: no two checkpoints of a run have the same number.
        number = self.progress.epoch * (self.steps + 1) + self.progress.step
        self._save(number, Checkpoint(groups, asdict(self.progress)))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same recipe and data."""
        self.network.load_state_dict(dict(checkpoint.tensors["network"]))
        load_tensors(self.optimizer, checkpoint.tensors["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(dict(checkpoint.tensors["average"]))
        self.progress = Progress(**checkpoint.progress)
        if self.progress.best is not None:
            self.progress.best = (self.progress.best[0], self.progress.best[1])

    def learn_from(self, batch: Batch) -> None:
        """One step on one batch; when memory runs out, the same step in smaller parts."""
        while True:
            try:
                loss, right = self._step(batch)
                break
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error) or 2 * self.progress.divisor > len(batch.positions):
                    raise
                self.progress.divisor *= 2
        self._check_finite(loss, "loss")
        self.progress.loss_sum += loss
        self.progress.right += right
        self.progress.seen += len(batch.positions)
        self.progress.step += 1

    def _step(self, batch: Batch) -> tuple[float, int]:
        """Forward, backward, step; the sum of the samples' losses, and how many were named rightly."""
        progress, recipe = self.progress, self.recipe
        self._set_learning_rates(progress.step)
        # Dropout draws from torch's generator: its state must be a function of the step, too.
        torch.manual_seed(scalar(recipe.seed, progress.epoch, progress.step))
        self.network.train()
        self.optimizer.zero_grad()
        n, total, right = len(batch.positions), 0.0, 0
        for some in np.array_split(np.arange(n), progress.divisor):
            part = batch.part(some)
            x = self.train.images.network_input(part.pixels, self.device)
            answers = [(share, t.to(self.device)) for share, t in weighted_targets(self.objective, self.train, part)]
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                outputs = weighted_outputs(self.network, x)
            losses = [weight * share * self.objective.losses(o, t) for weight, o in outputs for share, t in answers]
            loss = torch.stack(losses).sum()
            (loss / n).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
            right += int(self.objective.right(outputs[0][1].detach(), answers[0][1]).sum())
        if recipe.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return total, right

    def _set_learning_rates(self, step: int) -> None:
        """Those of the middle of a step of the epoch under way; what learns only later needs no gradients yet."""
        done = min(1.0, (self.progress.epoch * self.steps + step + 0.5) / (self.progress.epochs * self.steps))
        now = factor(self.recipe.schedule, done, self.recipe.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest_lr"] * now
            if group["begins"]:
                for parameter in group["params"]:
                    parameter.requires_grad_(done >= group["begins"])

    def _finish_epoch(self, stop: Stop) -> bool:
        """Validate, remember the row, keep the weights if they are the best; False when asked to stop before that."""
        progress = self.progress
        network = self._averaged()
        started = time.monotonic()
        value, measured = _UNKNOWN, dict[str, float]()
        if self.val is None:
            self._check_weights()
        else:
            found = self._validate(network, self.val, stop)
            if found is None:
                return False
            loss, score = found
            self._check_finite(loss, "validation loss")
            value, measured = (score, -loss), self.objective.row("val", loss, score)
        self._set_learning_rates(progress.step - 1)  # a run that is resumed just here has made no step yet
        row = {
            "epoch": progress.epoch + 1,
            **self.objective.row("train", progress.loss_sum / progress.seen, progress.right / progress.seen),
            **measured,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "images_per_second": round(self._rate(), 1),
        }
        if value > (self.floor if self.keep_last or progress.best is None else progress.best):
            progress.best, progress.best_epoch = value, progress.epoch + 1
            self._keep(network.state_dict())
        progress.history.append(row)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.right, progress.seen, progress.seconds = 0.0, 0, 0, 0.0
        progress.minutes += (time.monotonic() - started) / 60
        self._fit_into_time()
        self._tell(row)
        return True

    def _averaged(self) -> nn.Module:
        """The network whose weights count; a mean of whole numbers, which torch rounds down, means nothing."""
        if self.average is None:
            return self.network
        for mean, now in zip(self.average.module.buffers(), self.network.buffers(), strict=True):
            if not mean.is_floating_point():
                mean.copy_(now)
        return self.average.module

    def _validate(self, network: nn.Module, val: Labelled[Samples], stop: Stop) -> tuple[float, float] | None:
        """Mean loss of validation images, and the share that is right; None when asked to stop before the end."""
        losses, right = [], []
        for batch, outputs in output_batches(network, val.images):
            if stop.asked:
                return None
            said, targets = torch.from_numpy(outputs), self.objective.targets(val, batch)
            losses.append(self.objective.plain_losses(said, targets))
            right.append(self.objective.right(said, targets))
        return float(torch.cat(losses).double().mean()), float(torch.cat(right).double().mean())

    def _fit_into_time(self) -> None:
        """After the first epoch, plan as many as there is time for: the learning rate still falls to its end."""
        if self.recipe.max_minutes and self.progress.epoch == 1:
            affordable = int(self.recipe.max_minutes / self.progress.minutes)
            self.progress.epochs = max(1, min(self.progress.epochs, affordable))

    def _over(self) -> bool:
        """Whether all is done; an epoch that has begun is brought to its end, in a resumed run, too."""
        if self.progress.step:
            return False
        return self.progress.epoch >= self.progress.epochs or self._out_of_patience() or self._out_of_time()

    def _out_of_time(self) -> bool:
        return bool(self.recipe.max_minutes) and self.progress.minutes >= self.recipe.max_minutes

    def _out_of_patience(self) -> bool:
        waited = self.progress.epoch - self.progress.best_epoch
        return bool(self.recipe.patience) and waited >= self.recipe.patience

    def _note(self) -> str:
        p = self.progress
        loss, *right = self.objective.row("train", p.loss_sum / p.seen, p.right / p.seen).values()
        return "  ".join([f"loss {loss:.3f}", *(f"{share:.1%}" for share in right), f"{self._rate():,.0f} images/s"])

    def _rate(self) -> float:
        # A resumed epoch has time only for what this checkpoint has seen: both are saved together.
        return self.progress.seen / self.progress.seconds if self.progress.seconds else 0.0

    def _check_weights(self) -> None:
        self._check_finite(sum(float(p.detach().sum()) for p in self.network.parameters()), "sum of the weights")

    def _check_finite(self, value: float, name: str) -> None:
        if not math.isfinite(value):
            group, progress = self.optimizer.param_groups[0], self.progress
            raise DivergedError(
                f"the {name} became {value} in epoch {progress.epoch + 1}, after step {progress.step} of {self.steps}; "
                f"the learning rate was {group['lr']:.3g}: try --lr {group['highest_lr'] / 10:g}, or --clip 1"
            )


def _is_out_of_memory(error: BaseException) -> bool:
    """CUDA has an error of its own; MPS and the CPU's allocator only have words, which differ between systems."""
    words = ("DefaultCPUAllocator", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)
