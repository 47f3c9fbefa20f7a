"""The loop: what a resumed run shares with one left alone, and what it does when things go wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.errors import CheckpointError
from hubel.core.stopping import Stop
from hubel.data.loading import Images
from hubel.data.samples import Labelled, network_input
from hubel.tasks.catalogue import find_task
from hubel.training import loop as module
from hubel.training.checkpoint import Checkpoint
from hubel.training.loop import EpochSelection, Loop
from hubel.training.plan import Plan
from hubel.training.schedule import Schedule
from hubel.training.trainer import Trainer

MakeRun = Callable[..., Any]
MakePlan = Callable[..., Plan]

SETTINGS = {
    "sgd": {},
    "adamw": {"optimizer": "adamw"},
    "ema": {"ema": 0.9},
    "dropout": {"options": {"filters": "4,8", "repeat": "1", "dropout": "0.3", "dense": "8"}},
    "clip": {"clip": 0.1, "schedule": "cosine"},
    "shifted": {"augment": "strong", "label_smoothing": 0.1, "balance": "inverse"},
    "bfloat16": {"precision": "bfloat16"},
}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_resumed_run_is_the_same_run(run_of: MakeRun, settings: dict[str, Any]) -> None:
    whole = run_of(**settings)
    assert whole.go()
    for k in (5, 7):  # of 5 steps an epoch: between two epochs, and within one
        first = run_of(**settings)
        assert not first.go(stop_after=k)
        second = run_of(**settings)
        second.loop.restore(first.saved[-1][1])
        assert second.go()
        assert same(second.state(), whole.state())
        assert second.numbers() == whole.numbers()
        assert same((first.kept + second.kept)[-1], whole.kept[-1])


def test_a_run_resumed_at_every_step_is_the_same_run(run_of: MakeRun) -> None:
    whole = run_of(ema=0.9, checkpoint_minutes=0)
    whole.go()
    numbers = [number for number, _ in whole.saved]
    assert numbers == sorted(set(numbers)) == list(range(1, 19))  # 5 steps and the end, three times
    for _, checkpoint in whole.saved[:-1]:
        other = run_of(ema=0.9)
        other.loop.restore(checkpoint)
        other.go()
        assert same(other.state(), whole.state())
        assert other.numbers() == whole.numbers()


@pytest.mark.parametrize("damage", ["shape", "network", "average", "progress"])
def test_a_checkpoint_of_another_training_is_refused(run_of: MakeRun, damage: str) -> None:
    run = run_of(epochs=1, ema=0.9)
    run.loop.run(Stop())
    _, saved = run.saved[-1]
    tensors, progress = {name: dict(group) for name, group in saved.tensors.items()}, dict(saved.progress)
    if damage == "shape":
        tensors["network"] = {name: torch.zeros(7) for name in tensors["network"]}
    elif damage == "progress":
        progress["unheard_of"] = 1
    else:
        del tensors[damage]
    with pytest.raises(CheckpointError, match=r"of another training .*start a new run$"):
        run_of(epochs=1, ema=0.9).loop.restore(Checkpoint(tensors, progress))


def test_accumulation_goes_on_after_a_resume(run_of: MakeRun) -> None:
    def parts(run: Any) -> Any:
        run.trainer.parts = 3
        return run

    whole, first = parts(run_of()), parts(run_of())
    whole.go()
    first.go(stop_after=4)
    second = run_of()
    second.loop.restore(first.saved[-1][1])
    assert second.trainer.parts == 3
    second.go()
    assert same(second.state(), whole.state())


def test_stops_where_it_is_asked_to(run_of: MakeRun) -> None:
    for k in (1, 4, 5, 6, 13):
        run = run_of()
        assert not run.go(stop_after=k)
        progress = run.saved[-1][1].progress
        assert progress["epoch"] * 5 + progress["step"] == k
    run = run_of()
    assert not run.go(stop_after=15)  # the last step: what follows is measured by the run that goes on
    other = run_of()
    other.loop.restore(run.saved[-1][1])
    assert other.go()


@pytest.mark.parametrize("epochs", [1, 3])
def test_asked_while_an_epoch_is_validated(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    run, validate = run_of(epochs=epochs), module.output_batches

    def interrupted(*args: Any, **settings: Any) -> Any:
        run.stop.asked = 2
        return validate(*args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(module, "output_batches", interrupted)
        assert not run.go()
    progress = run.saved[-1][1].progress
    assert (progress["epoch"], progress["step"], progress["history"]) == (0, 5, [])
    other, straight = run_of(epochs=epochs), run_of(epochs=epochs)
    other.loop.restore(run.saved[-1][1])
    assert other.go()
    assert straight.go()
    assert other.numbers() == straight.numbers()
    assert all(torch.equal(value, straight.state()[name]) for name, value in other.state().items())


def test_threads_and_memory_change_nothing(plan_of: MakePlan, run_of: MakeRun) -> None:
    expected = run_of()
    expected.go()
    for threads in (0, 2, 4):
        run = run_of()
        images = run.loop.train.images
        streaming = Images(images.source, images.index, images.rows, images.preprocess, threads=threads, cache="off")
        run.loop.train = Labelled(streaming, run.loop.train.targets)
        run.go()
        assert same(run.state(), expected.state())


def test_another_seed_is_another_run(run_of: MakeRun) -> None:
    runs = [run_of(seed=seed) for seed in (0, 0, 1)]
    for run in runs:
        run.go()
    assert same(runs[0].state(), runs[1].state())
    assert not same(runs[0].state(), runs[2].state())


def test_every_image_counts_once_and_the_last_batch_counts(run_of: MakeRun) -> None:
    run = run_of(batch_size=31)
    seen: list[int] = []
    step = run.trainer.step

    def watched(data: Any, batch: Any, *rest: Any) -> Any:
        seen.extend(batch.positions.tolist())
        return step(data, batch, *rest)

    run.trainer.step = watched
    run.loop.run(Stop())
    n = len(run.loop.train.images)
    assert n % 31
    for epoch in range(3):
        assert sorted(seen[epoch * n : (epoch + 1) * n]) == list(range(n))
    assert seen[:n] != seen[n : 2 * n]


@pytest.mark.parametrize("balance", ["none", "inverse", "logit_adjustment"])
def test_validation_is_exact(run_of: MakeRun, balance: str) -> None:
    run = run_of(epochs=1, label_smoothing=0.2, balance=balance)
    run.go()
    loop, network, val = run.loop, run.trainer.network.eval(), run.loop.selection.val
    row = loop.progress.history[-1]
    losses, right = [], []
    for position, target in enumerate(val.targets.tolist()):
        pixels = val.images.pixels(np.array([position]))
        with torch.no_grad():
            z = network(network_input(pixels, val.images.preprocess))[0].double().numpy()
        losses.append(np.log(np.exp(z).sum()) - z[target])
        right.append(z.argmax() == target)
    groups = [np.arange(len(losses))] if balance == "none" else [np.flatnonzero(val.targets == c) for c in (0, 1)]
    score = "val_top1" if balance == "none" else "val_macro_recall"
    assert row["val_loss"] == pytest.approx(np.mean([np.mean(np.array(losses)[own]) for own in groups]), rel=1e-5)
    assert row[score] == pytest.approx(np.mean([np.mean(np.array(right)[own]) for own in groups]))


def test_training_loss_is_the_mean_over_samples(run_of: MakeRun) -> None:
    run = run_of(epochs=1, batch_size=31)
    step, sums = run.trainer.step, []
    run.trainer.step = lambda *rest: sums.append(step(*rest)) or sums[-1]
    run.go()
    assert run.loop.progress.history[0]["train_loss"] == pytest.approx(
        sum(one.loss_sum for one in sums) / len(run.loop.train.images)
    )
    assert run.loop.progress.history[0]["train_top1"] == sum(one.correct for one in sums) / len(run.loop.train.images)


def test_learning_rates_of_the_steps(run_of: MakeRun) -> None:
    run = run_of(lr=0.3)
    step, rates = run.trainer.step, []

    def watched(*rest: Any) -> Any:
        loss = step(*rest)
        rates.append({group["lr"] for group in run.trainer.optimizer.param_groups})
        return loss

    run.trainer.step = watched
    run.go()
    assert rates == [{0.3 * Schedule().factor((i + 0.5) / 15)} for i in range(15)]
    assert [row["learning_rate"] for row in run.loop.progress.history] == [max(rates[i]) for i in (4, 9, 14)]


def test_the_average_is_the_one_of_its_formula(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = itertools.count()
    # Every epoch is the best so far.
    monkeypatch.setattr(Loop, "_validate", lambda *_: (1.0, float(next(scores))))
    run = run_of(ema=0.8)
    step, average = run.trainer.step, {}

    def watched(*rest: Any) -> Any:
        loss = step(*rest)
        for name, value in run.trainer.network.state_dict().items():
            now = value.double().clone()
            average[name] = now if name not in average else 0.8 * average[name] + 0.2 * now
        return loss

    run.trainer.step = watched
    run.go()
    for name, value in run.trainer.average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), average[name], rtol=1e-4, atol=1e-6)
    assert same(run.kept[-1], dict(run.trainer.average.module.state_dict()))


def test_the_best_epoch_is_kept(run_of: MakeRun) -> None:
    run = run_of(epochs=6)
    states = []
    run.loop._tell = lambda row: states.append({k: v.clone() for k, v in run.trainer.network.state_dict().items()})
    run.go()
    rows = run.loop.progress.history
    best = max(range(6), key=lambda i: (rows[i]["val_top1"], -rows[i]["val_loss"]))
    assert run.loop.progress.best_epoch == best + 1
    assert same(run.kept[-1], states[best])


def test_patience(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.7, 0.6, 0.65, 0.69, 0.9])
    monkeypatch.setattr(Loop, "_validate", lambda *_: (1.0, next(scores)))
    run = run_of(epochs=6, patience=3)
    assert run.go()
    assert run.loop.progress.epoch == 5
    assert run.loop.progress.best_epoch == 2
    other = run_of(epochs=6, patience=3)
    other.loop.restore(run.saved[-1][1])
    assert other.go()
    assert other.loop.progress.epoch == 5


def test_class_weights_reach_the_loss(run_of: MakeRun) -> None:
    run = run_of(balance="inverse")
    counts = np.bincount(run.loop.train.targets)
    np.testing.assert_allclose(run.trainer.objective.losses.weights, counts.sum() / (2 * counts), rtol=1e-6)
    assert run_of().trainer.objective.losses.weights is None


def test_several_classes_an_image(plan_of: MakePlan) -> None:
    plan = plan_of(loss="bce", epochs=8)
    hot = [Labelled(part.images, np.eye(2, dtype=np.float32)[part.targets]) for part in (plan.train, plan.val)]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(81, 2))
    objective = find_task("multi_label").objective(plan.loss, plan.card, hot[0].targets, plan.device)
    trainer = Trainer(network, objective, plan.optimizer, plan.precision)
    loop = Loop(trainer, hot[0], plan.loop, EpochSelection(val=hot[1]))
    assert loop.run(Stop())
    assert loop.progress.history[-1]["val_exact"] > 0.9


@pytest.mark.parametrize("batch_size", [32, 67])
def test_a_run_ends_at_its_steps_in_the_middle_of_an_epoch(run_of: MakeRun, batch_size: int) -> None:
    whole = run_of(epochs=None, max_steps=8, batch_size=batch_size)
    per_epoch = whole.loop.steps
    taken = []
    step = whole.trainer.step

    def watched(*rest: Any) -> Any:
        taken.append(rest[2])
        return step(*rest)

    whole.trainer.step = watched
    assert whole.go()
    schedule, lr = Schedule(), whole.trainer.settings.lr
    assert taken == pytest.approx([lr * schedule.factor((i + 0.5) / 8) for i in range(8)])
    assert len(whole.loop.progress.history) == -(-8 // per_epoch)

    stopped = run_of(epochs=None, max_steps=8, batch_size=batch_size)
    assert not stopped.go(stop_after=7)
    resumed = run_of(epochs=None, max_steps=8, batch_size=batch_size)
    resumed.loop.restore(stopped.saved[-1][1])
    assert resumed.go()
    assert same(resumed.state(), whole.state())
    assert resumed.numbers() == whole.numbers()


def test_the_smaller_of_epochs_and_steps_counts(run_of: MakeRun) -> None:
    assert run_of(epochs=2, max_steps=10**6).loop.progress.epochs == 2
    assert run_of(epochs=50, max_steps=1).loop.progress.epochs == 1
