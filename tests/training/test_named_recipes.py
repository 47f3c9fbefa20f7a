"""Recipes of the package: each resolves, keeps its paper's numbers, and says what a flag has changed of its claim."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import hubel
from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.data.augment import POLICIES
from hubel.training import Claim, find_recipe, list_recipes, plan_training
from hubel.training.recipe import Recipe
from hubel.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("cache")


def photos(n: int = 40, side: int = 32) -> tuple[np.ndarray, list[str]]:
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)
    return pixels, [f"class {i % 4}" for i in range(n)]


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_resolves_and_has_a_claim(name: str) -> None:
    found = find_recipe(name)
    claim = found.claim
    assert claim.summary
    assert claim.source
    assert claim.data
    assert claim.network == found.settings["model"]
    assert (claim.accuracy is None) == (claim.runs == 0)
    assert (claim.spread is None) == (claim.runs < 2)
    assert bool(claim.machine) == (claim.runs > 0) == (claim.minutes is not None)
    plan = plan_training(photos(), Recipe.named(name, threads=1))
    asked, decided = Recipe.named(name).settings(), plan.pinned.settings()
    assert all(decided[setting] == asked[setting] for setting in found.settings if setting not in ("epochs", "augment"))
    assert plan.pinned.origin == name
    assert plan.notes[0].startswith(f"recipe {name}: ")


def test_resnet_cifar_is_section_4_2() -> None:
    plan = plan_training(photos(), Recipe.named("resnet-cifar", threads=1))
    loop, optimizer = plan.loop, plan.optimizer
    assert (loop.batch_size, loop.steps) == (128, 64_000)
    assert (optimizer.name, optimizer.lr, optimizer.momentum) == ("heavy_ball", 0.1, 0.9)
    assert (optimizer.weight_decay, optimizer.decayed, optimizer.ema) == (1e-4, "all", 0)
    assert [loop.schedule.factor(i / 64_000) for i in (0, 31_999, 32_000, 48_000)] == pytest.approx([1, 1, 0.1, 0.01])
    assert (plan.loss.name, plan.loss.label_smoothing) == ("cross_entropy", 0)
    assert plan.val is None
    assert loop.policy == POLICIES["light"]  # a mirror image, and 32 * 0.125 = 4 pixels
    assert math.isinf(optimizer.clip)


def test_what_differs_from_the_recipe_is_said() -> None:
    plan = plan_training(photos(), Recipe.named("resnet-cifar", epochs=1, lr=0.05, max_steps=64_000))
    assert plan.notes[1] == "its claim is not that of this run: lr 0.05 instead of 0.1"
    assert "its claim" not in "".join(plan_training(photos(), Recipe.named("resnet-cifar", seed=3)).notes)


def test_a_run_keeps_its_recipe_and_its_claim(tmp_path: Path) -> None:
    text = """
    [claim]
    summary = "two steps"
    data = "noise"
    accuracy = 0.9402
    spread = 0.0013
    runs = 5

    [augment]
    mirror = true

    [optimization]
    max_steps = 2
    """
    (tmp_path / "own.toml").write_text(text)
    recipe = Recipe.named(str(tmp_path / "own.toml"), model="linear", threads=1)
    result = hubel.train(photos(), recipe, out=tmp_path / "run", quiet=True)
    config = RunFolder(tmp_path / "run").config()
    assert config["claim"] == {"summary": "two steps", "data": "noise", "accuracy": 0.9402, "spread": 0.0013, "runs": 5}
    assert config["recipe"]["optimization"]["max_steps"] == 2
    assert config["augmentation"] == {"mirror": True}
    assert result.notes[0] == f"recipe {tmp_path / 'own.toml'}: two steps; 94.02 ± 0.13 % (5 runs) on noise"


def test_hubel_train_takes_a_name() -> None:
    assert Recipe.of("resnet-cifar") == Recipe.named("resnet-cifar")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[claim]\nacuracy = 1.0\n[optimization]\nlr = 1",
            "no entry of a claim is called 'acuracy'; did you mean accuracy",
        ),
        ("[claim]\naccuracy = '94 %'\n[optimization]\nlr = 1", "accuracy of a claim is a number, not '94 %'"),
        ("claim = 3\nlr = 1", "claim is a table, not 3"),
        ("[optimization]\nepoch = 3", "no setting is called 'epoch'; did you mean epochs"),
        ("[data]\nlr = 3", "lr belongs into the table optimization, not into data"),
        ("milestones = '0.5,0.2'", "milestones are shares of the run, rising from 0 to 1"),
        ("[augment]\nmiror = true", "no setting of an augmentation is called 'miror'; did you mean mirror"),
        ("", "holds no settings"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(HubelError, match=message):
        plan_training(photos(), Recipe.named(str(path)))


def test_names_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"no recipe is called 'resnet-cifer'; did you mean resnet-cifar"):
        Recipe.named("resnet-cifer")
    with pytest.raises(OptionError, match=r"--recipe no\.toml: no such file"):
        find_recipe("no.toml")


def test_a_claim_in_words() -> None:
    assert Claim(accuracy=0.9125, runs=1).measured == "91.25 % (1 run)"
    assert Claim().measured == ""


@pytest.mark.parametrize(
    "name",
    [
        "imagenet-progressive",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("imagenet-resnet50", "imagenet-a3")),
    ],
)
def test_imagenet_recipes_train_on_small_images(name: str, tmp_path: Path) -> None:
    """A few steps of a few small images, with every setting that needs no GPU."""
    small = {"model": "resnet20", "options": {"depths": "1,1,1", "widths": "4,8,8"}, "size": 16, "batch_size": 16}
    growing = {"train_size": "8,12"} if find_recipe(name).settings.get("train_size") else {}
    recipe = Recipe.named(name, **small, **growing, epochs=2, threads=1, precision="float32")
    result = hubel.train(photos(side=20), recipe, out=tmp_path / "run", quiet=True)
    config = RunFolder(tmp_path / "run").config()
    assert result.evaluation is not None
    assert np.isfinite(result.evaluation.metrics.nll)
    assert config["recipe"]["optimization"]["optimizer"] == find_recipe(name).settings["optimizer"]
    assert config["preprocess"]["height"] == 16
