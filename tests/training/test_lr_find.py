"""The range test: its arithmetic on curves with a known answer, and that it is the training's own loop."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hubel.cli import main
from hubel.core.errors import DivergedError, OptionError
from hubel.data.augment import POLICIES
from hubel.data.samples import network_input
from hubel.training.lr_find import RangeTest, find_lr, range_test, smoothed, train_command
from hubel.training.recipe import Recipe
from hubel.training.trainer import StepResult, Trainer

MakePlan = Callable[..., Any]


def test_smoothing_is_a_weighted_mean() -> None:
    losses = np.random.default_rng(0).random(101)
    expected = [np.average(losses[: k + 1], weights=0.9 ** np.arange(k, -1, -1)) for k in range(101)]
    np.testing.assert_allclose(smoothed(np.geomspace(1e-7, 10, 101), losses), expected, rtol=1e-9)


@pytest.mark.parametrize("centre", [-4.0, -3.0, -2.2])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_steepest_point_of_a_known_curve(centre: float, noise: float) -> None:
    """A logistic fall, steepest at its centre, and an explosion two decades above."""
    rates = np.geomspace(1e-7, 10, 100)
    decades = np.log10(rates)
    losses = 0.3 + 2 / (1 + np.exp(3 * (decades - centre))) + np.exp(8 * (decades - centre - 2))
    losses += noise * np.random.default_rng(1).standard_normal(100)
    test = RangeTest(rates, losses, exploded=True)
    assert abs(np.log10(test.suggestion) - centre) < (0.3 if noise else 0.1)
    assert test.steepest < test.lowest
    assert float(f"{test.suggestion:.2g}") == test.suggestion


def test_a_loss_that_never_falls() -> None:
    rates = np.geomspace(1e-7, 10, 100)
    noise = [2 + 0.1 * np.random.default_rng(seed).standard_normal(100) for seed in range(9)]
    for losses in (np.full(100, 2.0), np.linspace(2, 9, 100), *noise):
        with pytest.raises(DivergedError, match="the loss fell at no learning rate from 1e-07 to 10"):
            _ = RangeTest(rates, losses, exploded=False).suggestion
    with pytest.raises(DivergedError):
        _ = RangeTest(rates[:1], np.array([2.0]), exploded=True).suggestion


def test_of_few_steps_the_first_is_what_the_loss_falls_from() -> None:
    test = RangeTest(np.geomspace(1e-3, 1e-1, 7), np.array([2.0, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75]), exploded=False)
    assert test.rates[0] < test.suggestion < test.rates[-1]


def test_each_step_is_that_of_plain_torch(plan_of: MakePlan) -> None:
    """SGD with the rates written out by hand, on the same batches."""
    plan = plan_of(augment="none", momentum=0.0, weight_decay=0.0, batch_size=64)
    rates = np.geomspace(1e-3, 0.3, 7)
    torch.manual_seed(3)
    network, twin = plan.card.create(), plan.card.create()
    twin.load_state_dict(network.state_dict())
    found = range_test(plan, network, plan.train, rates)
    batches = [batch for epoch in (0, 1, 2) for batch in plan.train.images.epoch(0, epoch, 64, POLICIES["none"])]
    assert len(batches) > 7
    twin.train()
    expected = []
    for rate, batch in zip(rates, batches, strict=False):
        x = network_input(batch.pixels, plan.train.images.preprocess)
        loss = torch.nn.functional.cross_entropy(twin(x), torch.from_numpy(plan.train.targets[batch.positions]))
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= rate * gradient
        expected.append(loss.item())
    np.testing.assert_allclose(found.losses, expected, rtol=2e-4)
    np.testing.assert_allclose(found.rates, rates)
    assert not found.exploded


def test_groups_keep_their_proportions(plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    seen = []
    step = Trainer.step

    def watched(trainer: Trainer, *rest: Any) -> StepResult:
        trainer.optimizer.param_groups[1]["lr_scale"] = 0.1
        result = step(trainer, *rest)
        seen.append([group["lr"] for group in trainer.optimizer.param_groups])
        return result

    monkeypatch.setattr(Trainer, "step", watched)
    rates = np.geomspace(1e-4, 1e-2, 5)
    range_test(plan, plan.card.create(), plan.train, rates)
    np.testing.assert_allclose(seen, np.stack([rates, rates / 10], 1), rtol=1e-6)


def test_it_stops_when_the_loss_explodes(plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    losses = iter([1.0] * 20 + [0.5] * 10 + [3.0] * 30)

    def step(*_: object) -> StepResult:
        return StepResult(loss_sum=next(losses), correct=0, samples=1)

    monkeypatch.setattr(Trainer, "step", step)
    found = range_test(plan, plan.card.create(), plan.train, np.geomspace(1e-7, 10, 60))
    assert found.exploded
    final = found.smooth
    assert final[-1] > 4 * final.min()
    assert (final[:-1] <= 4 * np.minimum.accumulate(final[:-1])).all()

    losses = iter([1.0] * 7 + [float("nan")])
    found = range_test(plan, plan.card.create(), plan.train, np.geomspace(1e-7, 10, 60))
    assert (found.exploded, len(found.losses), len(found.rates)) == (True, 7, 7)


def test_from_data_to_a_picture(tmp_path: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(11)
    state = torch.get_rng_state()
    recipe = replace(tiny, model="mlp", options={}).with_settings(processes=2)
    found = find_lr("digits", recipe, steps=60)
    assert "--processes is for the training alone" in found.notes[-1]
    assert "--processes 2" in found.command
    assert torch.equal(torch.get_rng_state(), state)
    assert found.folder == Path("runs/lr-find-digits-1")
    assert {path.name for path in found.folder.glob("[!.]*")} == {"lr_find.csv", "lr_find.png"}
    rows = list(csv.DictReader((found.folder / "lr_find.csv").read_text().splitlines()))
    np.testing.assert_allclose([float(row["loss"]) for row in rows], found.test.losses, rtol=1e-5)
    assert float(rows[0]["learning_rate"]) == 1e-7
    with Image.open(found.folder / "lr_find.png") as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 100
    assert 1e-4 < found.test.suggestion < 1


def test_the_command_trains_with_the_same_settings() -> None:
    recipe = Recipe(model="resnet20", options={"width": "8"}, balance="inverse", size="48x64", lr=0.3, batch_size=16)
    words = shlex.split(train_command("my photos", recipe, 0.0125))
    assert words == [
        "hubel", "train", "my photos", "--size", "48x64", "--model", "resnet20", "--options.width", "8",
        "--batch-size", "16", "--balance", "inverse", "--lr", "0.0125",
    ]  # fmt: skip
    assert train_command(("images", "labels"), Recipe(), 0.1) == "hubel train PHOTOS --lr 0.1"


def test_settings_that_cannot_work(plan_of: MakePlan) -> None:
    for settings in ({"steps": 5}, {"lowest": 0.0}, {"lowest": 1.0, "highest": 0.5}, {"highest": float("nan")}):
        with pytest.raises(OptionError, match=r"--steps|--lowest|--highest"):
            find_lr("digits", **settings)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="stores the images"):
        find_lr("digits", Recipe(model="knn", threads=1))


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)

    def call(*words: str, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        assert ended.value.code == code
        return capsys.readouterr()

    return call


def test_on_the_command_line(answer: Any, tmp_path: Path) -> None:
    settings = ["--options.filters", "4,8", "--options.repeat", "1", "--batch-size", "64", "--threads", "1"]
    said = answer("lr-find", "xo", *settings, "--steps", "80").out
    assert "loss falls fastest at" in said
    command = said.splitlines()[-1].removeprefix("use it   ")
    assert command.startswith("hubel train xo --options.filters 4,8 ")
    numbers = json.loads(answer("lr-find", "xo", *settings, "--steps", "80", "--json").out)
    assert numbers["command"] == command
    assert command.endswith(f"--lr {numbers['suggestion']:g}")
    assert numbers["falls_fastest_at"] <= numbers["lowest_at"]
    (tmp_path / "config.json").write_text(json.dumps({"recipe": {"batch_size": 16, "threads": 1, "model": "mlp"}}))
    command = json.loads(answer("lr-find", "xo", "--config", "config.json", "--steps", "40", "--json").out)["command"]
    assert command.startswith("hubel train xo --model mlp --batch-size 16 --threads 1 --lr ")
    assert "--steps is at least 20" in answer("lr-find", "xo", "--steps", "3", code=2).err
    assert "name the images: hubel lr-find PHOTOS" in answer("lr-find", code=2).err


def test_data_and_settings_of_a_run(answer: Any, tmp_path: Path) -> None:
    run = {"data": "xo", "xo": {"size": 12, "noise": 0.05}, "recipe": {"batch_size": 16, "threads": 1, "model": "mlp"}}
    (tmp_path / "config.json").write_text(json.dumps(run))
    command = json.loads(answer("lr-find", "--config", "config.json", "--steps", "40", "--json").out)["command"]
    start, end = "hubel train xo --model mlp --batch-size 16 --threads 1 ", " --xo.size 12 --xo.noise 0.05"
    assert command.startswith(f"{start.rstrip()}{end} --lr ")
    other = answer("lr-find", "digits", "--config", "config.json", "--steps", "40", "--json").out
    assert json.loads(other)["command"].startswith("hubel train digits --model mlp ")
