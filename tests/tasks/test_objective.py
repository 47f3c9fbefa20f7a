"""What is learnt: labels or the image itself, and what auxiliary classifiers add."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.data.index import scan
from hubel.data.loading import Batch, Images, Labelled, network_input
from hubel.data.preprocess import Preprocess
from hubel.data.sources import ArraySource, open_source
from hubel.nn.network import Network
from hubel.tasks.objective import OBJECTIVES, Classification, Reconstruction, weighted_outputs
from hubel.training.plan import make_plan, with_task
from hubel.training.recipe import Recipe

MakeRun = Callable[..., Any]
CPU = torch.device("cpu")


def tiny_network(weight: float = 0.4) -> Network:
    """Two stages for 9x9 pixels and two classes, and an auxiliary classifier that looks at the first."""
    torch.manual_seed(2)
    stages = [nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU()), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())]
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(features, 2)) for features in (100, 3)]
    reduced = nn.Sequential(nn.AdaptiveAvgPool2d(1), heads[1])
    return Network(nn.Identity(), stages, heads[0], {"stage1.block2": reduced}, weight)


@pytest.mark.parametrize("divisor", [1, 3])
def test_auxiliary_classifiers_add_their_weighted_loss(run_of: MakeRun, divisor: int) -> None:
    network = tiny_network()
    expected = copy.deepcopy(network)
    run = run_of(network, augment="none", ema=0.9)
    run.loop.progress.divisor = divisor
    batch = next(run.loop.train.images.epoch(0, 0, 32, run.loop.policy))
    loss, right = run.loop._step(batch)

    x = network_input(batch.pixels, run.loop.train.images.preprocess)
    targets = torch.from_numpy(run.loop.train.targets[batch.positions])
    middle = expected.stages[0](x)
    logits, other = expected.head(expected.stages[1](middle)), expected.auxiliary["stage1_block2"](middle)
    by_hand = F.cross_entropy(logits, targets) + 0.4 * F.cross_entropy(other, targets)
    by_hand.backward()
    assert loss == pytest.approx(len(targets) * by_hand.item(), rel=1e-5)
    assert right == int((logits.argmax(1) == targets).sum())
    for one, two in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)


def test_validation_knows_no_auxiliary_classifier(run_of: MakeRun) -> None:
    losses = []
    for weight in (0.4, 0.0):
        run = run_of(tiny_network(weight), epochs=1, lr=1e-30)  # too small a rate to change anything
        assert run.go()
        losses.append({k: v for k, v in run.loop.progress.history[0].items() if k.endswith("loss")})
    assert losses[0]["val_loss"] == losses[1]["val_loss"]
    assert losses[0]["train_loss"] > losses[1]["train_loss"]


def test_networks_of_other_makers_have_one_output() -> None:
    x = torch.randn(3, 4)
    ((weight, outputs),) = weighted_outputs(nn.Identity(), x)
    assert (weight, outputs is x) == (1.0, True)


@pytest.fixture
def pictures() -> Labelled:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    pixels[0] = 255
    pixels[1] = 0
    source = ArraySource(pixels, ["a", "b"] * 3)
    as_it_is = Preprocess(5, 4, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Labelled(Images(source, scan(source), np.arange(6), as_it_is), np.array([0, 1] * 3))


def test_the_image_is_its_own_target(pictures: Labelled) -> None:
    objective = OBJECTIVES["reconstruct"](Recipe(), pictures.targets, CPU)
    assert isinstance(objective, Reconstruction)
    positions = np.array([4, 0, 1])
    targets = objective.targets(pictures, Batch(positions, pictures.images.pixels(positions)))
    assert targets.shape == (3, 3, 5, 4)
    np.testing.assert_allclose(targets, pictures.images.pixels(positions).transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    assert (targets[1].unique().tolist(), targets[2].unique().tolist()) == ([1.0], [0.0])
    z = torch.randn(targets.shape, generator=torch.Generator().manual_seed(1))
    p, x = 1 / (1 + np.exp(-z.double().numpy())), targets.double().numpy()
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).mean((1, 2, 3))
    np.testing.assert_allclose(objective.losses(z, targets), expected, rtol=1e-5)
    assert torch.equal(objective.plain_losses(z, targets), objective.losses(z, targets))
    assert not objective.right(z, targets).any()
    assert objective.row("val", 0.3, 0.0) == {"val_loss": 0.3}


def test_labels(pictures: Labelled) -> None:
    objective = OBJECTIVES["auto"](Recipe(label_smoothing=0.1, class_weights=True), pictures.targets, CPU)
    assert isinstance(objective, Classification)
    targets = objective.targets(pictures, Batch(np.array([3, 2]), np.empty((2, 5, 4, 3), np.uint8)))
    assert targets.tolist() == [1, 0]
    z = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert objective.right(z, targets).tolist() == [True, False]
    assert not torch.equal(objective.losses(z, targets), objective.plain_losses(z, targets))
    assert objective.row("train", 0.3, 0.5) == {"train_loss": 0.3, "train_top1": 0.5}
    several = OBJECTIVES["classify"](Recipe(loss="sigmoid"), np.eye(2, dtype=np.float32), CPU)
    assert several.right(z, torch.tensor([[0.0, 1.0], [1.0, 1.0]])).tolist() == [True, False]
    assert several.row("val", 0.3, 0.5) == {"val_loss": 0.3, "val_exact": 0.5}


def test_what_auto_stands_for() -> None:
    def task(**settings: Any) -> tuple[str, str]:
        recipe = with_task(Recipe(**settings))
        assert with_task(recipe) == recipe
        return recipe.task, recipe.model

    # Which network names classes depends on the images.
    assert task() == task(task="classify") == ("classify", "auto")
    assert task(model="resnet20") == ("classify", "resnet20")
    assert task(task="reconstruct") == ("reconstruct", "autoencoder_28")
    assert task(model="autoencoder_28_transposed") == ("reconstruct", "autoencoder_28_transposed")


def test_the_network_and_its_optimizer_suit_the_images() -> None:
    def decided(pixels: np.ndarray, **settings: Any) -> tuple[str, str, float]:
        recipe = make_plan(open_source((pixels, ["a", "b"] * 10)), Recipe(**settings)).recipe
        return recipe.model, recipe.optimizer, recipe.lr

    small, large = (np.random.default_rng(0).integers(0, 256, (20, n, n, 3), np.uint8) for n in (16, 96))
    assert decided(small, weights="none") == ("convnet", "sgd", 0.0)  # the usual one
    assert decided(small, weights="none", optimizer="adamw") == ("convnet", "adamw", 0.0)
    assert decided(small) == ("efficientnet_lite0", "adamw", 5e-4)
    assert decided(large) == ("efficientnet_lite0", "adamw", 5e-4)
    assert decided(large, model="convnet") == ("convnet", "sgd", 0.0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "resnet20"}, "resnet20 cannot reconstruct images; those that can: autoencoder_28, autoencoder_28_"),
        ({"loss": "mse"}, "loss has no meaning where a network makes images"),
        ({"label_smoothing": 0.1}, "label_smoothing has no meaning"),
        ({"class_weights": True}, "class_weights has no meaning"),
    ],
)
def test_contradictions(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        with_task(replace(Recipe(task="reconstruct"), **settings))


def test_an_autoencoder_does_not_classify() -> None:
    with pytest.raises(OptionError, match=r"autoencoder_28 cannot classify images; those that can: .*convnet.*"):
        with_task(Recipe(task="classify", model="autoencoder_28"))
