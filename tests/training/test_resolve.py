"""A plan leaves nothing open, says what it does, and resolves to itself when it is written down."""

from __future__ import annotations

import dataclasses
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hubel.core.errors import OptionError, UnknownNameError
from hubel.features import views as features_views
from hubel.tasks.catalogue import find_task
from hubel.tasks.task import Task
from hubel.training.execute import execute
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.recipe_file import modern
from hubel.training.resolve import plan_training
from hubel.training.run_report import TrainingInput, training_input

pytestmark = pytest.mark.usefixtures("cache")

ROOT = Path(__file__).parents[2]
# What "decide" was called once, and still may be on a command line.
OPEN = {None, "auto", 0, -1}


def arrays(n: int = 30, side: int = 16, channels: int = 3, classes: int = 2) -> tuple[np.ndarray, list[str]]:
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, channels), np.uint8)
    return (pixels if channels == 3 else pixels[..., 0]), [f"class {i % classes}" for i in range(n)]


SHAPES = "shapes:count=8,size=32"
COMBINATIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "digits": ("digits", {}),
    "digits from scratch": ("digits", {"model": "lenet5_modern"}),
    "xo": ("xo", {"model": "convnet", "loss": "bce"}),
    "reconstruct": ("xo", {"task": "reconstruct"}),
    "autoencoder": ("xo", {"model": "autoencoder_28", "optimizer": "sgd"}),
    "colour": (arrays(), {}),
    "colour from scratch": (arrays(), {"weights": "none"}),
    "large images": (arrays(side=96), {"freeze": "all"}),
    "grey": (arrays(channels=1), {"freeze": "none", "augment": "none"}),
    "many classes": (arrays(40, classes=8), {"freeze": "stage3", "views": 3}),
    "neighbours": ("digits", {"model": "knn"}),
    "boxes from scratch": (SHAPES, {"task": "detect", "weights": "none"}),
    "masks from scratch": (SHAPES, {"task": "segment", "weights": "none"}),
    "everything given": (
        arrays(),
        {
            "model": "convnet", "epochs": 2, "batch_size": 4, "optimizer": "adamw", "lr": 0.01, "ema": 0.5,
            "size": "20", "resize": "pad", "augment": "strong", "threads": 1, "precision": "float32", "device": "cpu",
            "patience": 3,
            "clip": 1.0, "max_minutes": 5.0, "label_smoothing": 0.2, "loading_threads": 0, "cache": "ram",
        },
    ),
}  # fmt: skip


@pytest.fixture(params=COMBINATIONS.values(), ids=COMBINATIONS)
def combination(request: pytest.FixtureRequest) -> tuple[Any, Recipe]:
    data, settings = request.param
    return data, Recipe(**{"threads": 1, **settings})


def decisions(plan: Plan) -> dict[str, Any]:
    """Everything that the plan decides, by its path."""
    found: dict[str, Any] = {"device": plan.device, "precision": plan.precision, "threads": plan.threads}
    parts = {"optimizer": plan.optimizer, "loss": plan.loss, "loop": plan.loop, "preprocess": plan.card.preprocess}
    if plan.transfer is not None:
        parts["transfer"] = plan.transfer
    for name, part in parts.items():
        found |= {f"{name}.{field.name}": getattr(part, field.name) for field in dataclasses.fields(part)}
    found |= {"task": plan.task.name, "model": plan.card.model, "scores": plan.card.scores}
    return found


# Zero is the decision itself where something is off, and the first seed.
ZERO_MEANS_OFF = {
    "optimizer.gradual_unfreeze",
    "optimizer.ema",
    "optimizer.lookahead",
    "loss.label_smoothing",
    "loop.seed",
    "loop.sampling",
}
# The fastest engine can only be told by timing the network itself; the candidates are named.
TIMED = {"transfer.engine"}


def test_no_field_of_a_plan_is_open(combination: tuple[Any, Recipe]) -> None:
    plan = plan_training(*combination)
    for name, value in decisions(plan).items():
        if isinstance(value, bool | np.ndarray) or name in TIMED:
            continue
        if value == 0 and name in ZERO_MEANS_OFF:
            continue
        hashable = value if isinstance(value, str | int | float | type(None)) else id(value)
        assert hashable not in OPEN, name
    assert plan.loop.epochs >= 1
    assert plan.loop.batch_size >= 1
    assert 0 < plan.optimizer.lr < math.inf
    assert isinstance(plan.device, torch.device)
    assert isinstance(plan.precision, torch.dtype)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.threads = 3  # type: ignore[misc]


def test_a_plan_written_down_resolves_to_itself(combination: tuple[Any, Recipe]) -> None:
    data, recipe = combination
    plan = plan_training(data, recipe)
    again = plan_training(data, plan.pinned.to_json())
    assert decisions(again) == decisions(plan)
    assert again.card == plan.card
    for rows, other in ((plan.splits.train, again.splits.train), (plan.splits.val, again.splits.val)):
        assert np.array_equal(rows, other)


@pytest.mark.parametrize("task", [find_task("detect"), find_task("segment")], ids=lambda task: task.name)
def test_a_dense_network_that_nothing_has_taught_is_one_that_learns_fast(task: Task) -> None:
    assert task.from_scratch is not None
    fresh, named = (
        plan_training(SHAPES, Recipe(task=task.name, weights="none", threads=1, model=model))
        for model in (None, task.default_model)
    )
    assert fresh.card.options == dict(task.from_scratch.options)
    assert named.card.options == {}  # whoever names a network gets it as the catalogue has it
    assert fresh.optimizer.lr == pytest.approx(task.from_scratch.lr * named.optimizer.lr)
    assert fresh.loop.epochs == task.from_scratch.longer * named.loop.epochs
    own = {"backbone": "resnet18"}
    chosen = plan_training(SHAPES, Recipe(task=task.name, weights="none", threads=1, options=own))
    assert chosen.card.options == own
    taught = plan_training(SHAPES, Recipe(task=task.name, threads=1))
    assert taught.backbone is not None
    assert taught.loop.epochs == min(task.most_epochs, named.loop.epochs)
    assert taught.card.options == {"backbone_options": ("same_padding=True",)}


def test_small_images_that_are_seen_as_they_are_are_not_interpolated() -> None:
    def policy(data: str, **settings: Any) -> str | None:
        return plan_training(data, Recipe(task="detect", weights="none", threads=1, **settings)).pinned.data.augment

    assert policy(SHAPES) == policy("shapes:count=8,size=128") == "light"
    assert policy(SHAPES, augment="none") == "none"
    assert policy("shapes:count=8,size=160") == "scene"  # not small
    assert policy("shapes:count=8,size=160", size="96") == policy("shapes:count=8,size=80") == "scene"  # resized


def unequal(*counts: int) -> tuple[np.ndarray, list[str]]:
    labels = [f"class {i}" for i, n in enumerate(counts) for _ in range(n)]
    return np.random.default_rng(0).integers(0, 256, (len(labels), 16, 16, 3), np.uint8), labels


def test_unequal_classes_are_adjusted_and_equal_ones_are_left_alone() -> None:
    equal = plan_training(unequal(20, 20), Recipe(threads=1))
    assert (equal.loss.balance, equal.loop.sampling) == ("none", False)
    assert "balance" not in equal.card.provenance
    assert not [note for note in equal.notes if "unequal" in note]
    found = plan_training(unequal(80, 20), Recipe(threads=1))
    assert found.loss.balance == found.pinned.optimization.balance == "logit_adjustment"
    assert found.loss.label_smoothing == 0.0
    counts = np.bincount(found.train.targets).tolist()
    assert found.card.provenance["balance"] == {"method": "logit_adjustment", "counts": counts}
    (note,) = [note for note in found.notes if "unequal" in note]
    assert f"from {counts[1]} training images of class 1 to {counts[0]} of class 0" in note
    assert "--balance none" in note
    left = plan_training(unequal(80, 20), Recipe(threads=1, balance="none"))
    assert left.loss.balance == "none"
    assert not [note for note in left.notes if "unequal" in note]
    assert plan_training(unequal(80, 20), Recipe(threads=1, balance="sampling", weights="none")).loop.sampling
    for settings in ({"loss": "bce"}, {"model": "knn"}):
        assert plan_training(unequal(80, 20), Recipe(threads=1, **settings)).loss.balance == "none"


def test_the_weights_of_the_release_before_are_the_inverse_ones() -> None:
    assert modern({"class_weights": True}) == {"balance": "inverse"}
    assert modern({"optimization": {"class_weights": False, "epochs": 3}}) == {"balance": "none", "epochs": 3}


def test_one_place_resolves() -> None:
    found = subprocess.run(
        ["git", "grep", "-nE", r"[^_.a-z]resolve\(", "--", "src"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode > 1:
        pytest.skip("this is no git checkout")
    # A search resolves the recipe of each of its trials, and has no other way to a plan.
    calls = [line for line in found.stdout.splitlines() if "def resolve(" not in line and ".py:" in line]
    lines = [line for line in calls if not line.startswith("src/hubel/training/search/")]
    assert len(lines) == 1, lines
    assert "return resolve(recipe, dataset, task, module)" in lines[0]


def test_the_network_and_its_optimizer_suit_the_images() -> None:
    def decided(side: int, **settings: Any) -> tuple[str, str, float]:
        plan = plan_training(arrays(20, side), Recipe(threads=1, **settings))
        return plan.card.model, plan.optimizer.name, plan.optimizer.lr

    assert decided(16, weights="none") == ("convnet", "sgd", 0.1)
    assert decided(16, weights="none", optimizer="adamw") == ("convnet", "adamw", 0.002)
    assert decided(16) == ("efficientnet_lite0", "adamw", 5e-4)
    assert decided(16, optimizer="sgd") == ("efficientnet_lite0", "sgd", 0.002)
    assert decided(96) == ("efficientnet_lite0", "adamw", 5e-4)
    assert decided(96, model="convnet") == ("convnet", "sgd", 0.1)
    assert decided(32, model="vgg11", size="32") == ("vgg11", "sgd", 0.0025)  # in batches of 8
    assert plan_training("xo", Recipe(task="reconstruct", threads=1)).optimizer.lr == 0.02


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"task": "reconstruct", "model": "resnet20"},
            "resnet20 is not for the task reconstruct; .*: autoenc",
        ),
        ({"task": "classify", "model": "autoencoder_28"}, r"autoencoder_28 is not for the task classify; .*convnet.*"),
        ({"task": "reconstruct", "loss": "mse"}, "loss has no meaning for the task reconstruct"),
        ({"task": "reconstruct", "label_smoothing": 0.1}, "label_smoothing has no meaning"),
        ({"task": "reconstruct", "balance": "inverse"}, "balance has no meaning"),
        ({"task": "multi_label", "loss": "mse"}, "the task multi_label has the loss bce, not mse"),
        ({"model": "nin_cifar10", "freeze": "all"}, "nothing of it can be frozen without weights"),
    ],
)
def test_contradictions(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        plan_training("xo", Recipe(**settings))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"task": "clasify"}, "task"),
        ({"model": "lenet55"}, "model"),
        ({"augment": "stong"}, "augmentation policy"),
        ({"freeze": "stage9"}, "part to freeze"),
        ({"engine": "openvin"}, "engine"),
    ],
)
def test_names_that_do_not_exist(settings: dict[str, Any], kind: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no {kind} is called"):
        plan_training(arrays(), Recipe(**settings))


def test_a_step_of_one_image_needs_maps_of_more_than_one_pixel() -> None:
    def planned(**settings: Any) -> Plan:
        return plan_training(arrays(11, side=32), Recipe(threads=1, test_share=0.0, **settings))

    scratch = {"weights": "none", "model": "resnet18"}
    with pytest.raises(OptionError, match="9 images in batches of 1 make a step of one image"):
        planned(**scratch, size="32", batch_size=1)
    assert planned(**scratch, size="32", batch_size=8).loop.batch_size == 8, "a step of four and one of five"
    for settings in ({**scratch, "size": "64"}, {"model": "knn"}):
        assert planned(batch_size=1, **settings).loop.batch_size == 1
    tuned = planned(model="efficientnet_lite0", size="32", batch_size=1)
    assert tuned.transfer is not None, "few images leave the statistics of pretrained batch norms alone"


# What the network trained on -------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for name, level in (("dark", 60), ("light", 180)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = (level + rng.normal(0, 20, (40, 40, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i:02}.png")
    return tmp_path / "photos"


REGIMES: dict[str, tuple[dict[str, Any], TrainingInput, set[int]]] = {
    "only the head": (
        {"freeze": "all"},
        TrainingInput(views=1, caption="The images, unchanged but for their size."),
        {0},
    ),
    "upper stages": (
        {"freeze": "stage5", "views": 3},
        TrainingInput(views=3, caption="Each image in 3 fixed views, which take turns here."),
        {0, 1, 2},
    ),
    "upper stages, not augmented": (
        {"freeze": "stage5", "augment": "none"},
        TrainingInput(views=1, caption="The images, unchanged but for their size."),
        {0},
    ),
    "all weights": (
        {"freeze": "none"},
        TrainingInput(views=0, caption="The images as augmented in the first epoch."),
        {0},
    ),
}


@pytest.mark.parametrize(("settings", "expected", "views"), REGIMES.values(), ids=REGIMES)
def test_the_caption_says_what_the_frozen_part_saw(
    settings: dict[str, Any],
    expected: TrainingInput,
    views: set[int],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plain_reports: dict[str, Any],
) -> None:
    seen: set[int] = set()
    view = features_views.view

    def recorded(pixels: Any, preprocess: Any, number: int, *rest: Any) -> Any:
        seen.add(number)
        return view(pixels, preprocess, number, *rest)

    monkeypatch.setattr("hubel.features.extractor.view", recorded)
    recipe = Recipe(
        model="efficientnet_lite0",
        size="32",
        epochs=1,
        engine="torch",
        threads=1,
        precision="float32",
        loading_threads=0,
    )
    plan = plan_training(photos, recipe.with_settings(**settings))
    trained = execute(plan, tmp_path / "run")
    assert seen == views, "what the frozen part processed"
    assert training_input(plan, trained) == expected
    (*_, sheet) = plain_reports["hubel.training.run_report._drawings"](plan, trained)
    assert (sheet.name, sheet.caption) == ("training", expected.caption)
