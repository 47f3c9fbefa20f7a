"""From a plan to a trained and calibrated model file."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.random import scalar
from hubel.core.stopping import listening
from hubel.data.loading import Labelled, Samples
from hubel.inference.device import pick_device
from hubel.inference.forward import outputs
from hubel.metrics.calibration import fit_temperature
from hubel.models.neighbours import Neighbours
from hubel.nn.freezing import ALL, NONE
from hubel.training.checkpoint import load_newest, save
from hubel.training.folder import RunFolder
from hubel.training.loop import NOTHING, Loop
from hubel.training.neighbours import remember
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.transfer import prepare
from hubel.weights.model_file import load_model, save_model

__all__ = ["Fitted", "fit_model", "own_settings"]

_CHOOSERS = 1000  # validation images that can tell one epoch of fine-tuning from the next
_SCORES = {"val_top1": "right", "val_exact": "exactly right"}


@dataclass(frozen=True)
class Fitted:
    """A trained and calibrated model file.

    Attributes:
        model: the file.
        history: a row an epoch.
        minutes: time spent on training.
        stopped_by: the number of the signal that stopped the training; 0 when it came to its end.
        notes: what was found and decided on the way, in sentences.
        seconds: spent, by phase.
        frozen: the boundary up to which the network is as it was before; "none" where all of it has learnt.
        logits: of the model for the validation images, where they are known: where only the head has learnt.
    """

    model: Path
    history: list[dict[str, float]]
    minutes: float
    stopped_by: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    frozen: str = NONE
    logits: NDArray[np.float32] | None = None


def fit_model(plan: Plan, path: Path, *, quiet: bool = True) -> Fitted:
    """Train what a plan describes, from the checkpoint in the folder `path` if there is one, and calibrate the best.

    Raises:
        DivergedError: the loss is no longer finite.
    """
    folder = RunFolder(path, quiet=quiet)
    device = pick_device(plan.recipe.device)
    with own_settings(plan.recipe.threads, device):
        fitted = _fit(plan, folder, device)
        # Images that have taught the network say nothing of how sure it may be.
        if not fitted.stopped_by and not plan.keeps_last:
            _calibrate(folder.model, plan, fitted.logits)
    return fitted


@contextmanager
def own_settings(threads: int, device: torch.device) -> Iterator[None]:
    """Threads, gradients and random numbers as training needs them; afterwards they are as the caller had them."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            yield
    finally:
        torch.set_num_threads(before)


def _fit(plan: Plan, folder: RunFolder, device: torch.device) -> Fitted:
    card, recipe, started = plan.card, plan.recipe, time.monotonic()
    torch.manual_seed(scalar(recipe.seed))
    if plan.weights is not None:
        return _transfer(plan, folder, device)
    network = card.create().to(device)
    if isinstance(network, Neighbours):
        card = dataclasses.replace(card, options=remember(network, plan.train))
        save_model(folder.model, network.state_dict(), card)
        return Fitted(folder.model, [], (time.monotonic() - started) / 60)

    def keep(weights: Mapping[str, Tensor]) -> None:
        save_model(folder.model, weights, card)

    loop = _loop(folder, network, plan.train, plan.val, recipe, keep)
    with listening() as stop:
        finished = loop.run(stop)
    return Fitted(folder.model, loop.progress.history, loop.progress.minutes, 0 if finished else stop.asked)


def _transfer(plan: Plan, folder: RunFolder, device: torch.device) -> Fitted:
    """A head on pretrained features; then the stages that the policy frees, if they make it better."""

    def keep(weights: Mapping[str, Tensor]) -> None:
        prefix = "network."  # of what is tuned as a part
        save_model(folder.model, {name.removeprefix(prefix): value for name, value in weights.items()}, plan.card)

    def keep_head(network: nn.Module) -> None:
        if load_newest(folder.checkpoints) is None:  # a run that goes on has a model already, perhaps a better one
            keep(network.state_dict())

    tuning = prepare(plan, device, keep_head, folder.tell)
    minutes = sum(tuning.seconds.values()) / 60
    if tuning.tuned is None:
        return Fitted(folder.model, [], minutes, 0, tuning.notes, tuning.seconds, ALL, tuning.logits)
    # The last epochs, whose learning rates are the lowest, are the best ones; few images cannot tell which.
    few = len(plan.val.images) < _CHOOSERS
    # Only what is better than the head alone replaces it; images that teach cannot tell.
    floor = NOTHING if plan.keeps_last else tuning.score
    val = None if plan.keeps_last else tuning.val
    loop = _loop(folder, tuning.tuned, tuning.train, val, tuning.recipe, keep, floor=floor, keep_last=few)
    with listening() as stop:
        finished = loop.run(stop)
    seconds = {**tuning.seconds, "fine-tuning": loop.progress.minutes * 60}
    if finished and loop.progress.best_epoch == 0:
        tuning.notes.append("fine-tuning made nothing better on the validation images: the head alone is kept")
        folder.tell(tuning.notes[-1])
    minutes, stopped_by = minutes + loop.progress.minutes, 0 if finished else stop.asked
    frozen, history = tuning.tuned.boundary, loop.progress.history
    return Fitted(folder.model, history, minutes, stopped_by, tuning.notes, seconds, frozen)


def _loop(
    folder: RunFolder,
    network: nn.Module,
    train: Labelled[Samples],
    val: Labelled[Samples] | None,
    recipe: Recipe,
    keep: Callable[[dict[str, Tensor]], None],
    *,
    floor: tuple[float, float] = NOTHING,
    keep_last: bool = False,
) -> Loop:
    def tell(row: dict[str, float]) -> None:
        folder.write_history(loop.progress.history)
        measured = best = ""
        if val is not None:
            scores = "".join(f", {row[name]:.1%} {words}" for name, words in _SCORES.items() if name in row)
            measured = f"   validation {row['val_loss']:.4f}{scores}"
            best = "  best so far" if loop.progress.best_epoch == row["epoch"] else ""
        folder.tell(
            f"epoch {row['epoch']:>3.0f}/{loop.progress.epochs}   loss {row['train_loss']:.4f}{measured}   "
            f"{row['images_per_second']:,.0f} images/s{best}"
        )

    loop = Loop(
        network, train, val, recipe,
        keep=keep, save=lambda step, checkpoint: save(folder.checkpoints, step, checkpoint), tell=tell,
        floor=floor, keep_last=keep_last,
    )  # fmt: skip
    checkpoint = load_newest(folder.checkpoints)
    if checkpoint is not None:
        loop.restore(checkpoint)
        folder.tell(f"going on after epoch {loop.progress.epoch}, step {loop.progress.step}")
    return loop


def _calibrate(model: Path, plan: Plan, logits: NDArray[np.float32] | None) -> None:
    """Store the temperature that suits the validation images."""
    network, card = load_model(model)
    if card.scores == "softmax":
        if logits is None:
            logits = outputs(network.to(pick_device(plan.recipe.device)), plan.val.images)
        temperature = round(fit_temperature(logits, plan.val.targets), 6)
        save_model(model, network.state_dict(), dataclasses.replace(card, temperature=temperature))
