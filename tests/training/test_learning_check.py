"""Runs that did not learn say so; their learning rate and their first weights suit the network as it is built."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hubel.data.sources.builtin import XO
from hubel.metrics.advice import advice
from hubel.metrics.classification import measure_classification
from hubel.models.catalogue import build_model
from hubel.nn.layers import needs_small_steps
from hubel.training.execute import build_trainer, execute
from hubel.training.learning_check import constant_loss, did_not_learn
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.training.train import train

pytestmark = pytest.mark.usefixtures("cache")

SMALL = XO(size=9, count=120)
PLAIN = {"filters": "4,4,4", "average": "false", "batch_norm": "false"}


def small_plan(**settings: object) -> Plan:
    fixed = {"model": "convnet", "epochs": 2, "threads": 1, "precision": "float32", "loading_threads": 0}
    return plan_training("xo", Recipe(**(fixed | settings)), xo=SMALL)


@pytest.mark.parametrize(("loss", "scale"), [("cross_entropy", 1.0), ("bce", 2.0)])
def test_the_best_constant_has_the_entropy_of_the_classes(loss: str, scale: float) -> None:
    plan = small_plan(loss=loss)
    p = np.bincount(plan.train.targets) / len(plan.train.targets)
    objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
    entropy = -(p * np.log(p)).sum()  # of two classes; each of two outputs has it in binary cross-entropy
    assert constant_loss(objective, torch.from_numpy(plan.train.targets), torch.Size([2])) == pytest.approx(
        scale * entropy, abs=1e-4
    )


def test_the_best_constant_image_is_the_mean() -> None:
    plan = small_plan(task="reconstruct", model="autoencoder_28")
    objective = plan.task.objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
    images = torch.from_numpy(plan.train.images.pixels(np.arange(64)).transpose(0, 3, 1, 2) / 255).float()
    mean = torch.logit(images.mean(0, keepdim=True).clamp(1e-6, 1 - 1e-6)).expand(images.shape)
    found = constant_loss(objective, images, images.shape[1:])
    assert found == pytest.approx(float(objective.losses(mean, images).mean()), rel=1e-3)


def test_a_dead_run_says_so_first_and_blames_no_labels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = Recipe(model="convnet", options=PLAIN, loss="bce", lr=50.0, clip=1.0, epochs=3, threads=1)
    result = train("xo", recipe, out=tmp_path / "run", xo=SMALL)
    said = next(line for line in capsys.readouterr().err.splitlines() if "images are classified" in line)
    assert said.startswith("The network did not learn: its training loss, ")
    assert "Try --lr 5, more epochs, or a network with batch norm." in said
    assert not result.advice
    assert "The network did not learn" in result.report.read_text()


def test_a_run_that_learns_is_left_alone(tmp_path: Path) -> None:
    plan = small_plan(epochs=4)
    trained = execute(plan, tmp_path)
    assert did_not_learn(plan, trained, plan.card.create()) == ""
    worse = dataclasses.replace(trained, history=[*trained.history, {"train_loss": 0.7}])
    said = did_not_learn(plan, worse, plan.card.create())
    assert said.startswith("The network did not learn")
    assert "batch norm" not in said  # it has one


def test_steps_suit_the_network_that_is_built() -> None:
    def lr(model: str, **options: str) -> float:
        return small_plan(model=model, options=options, size="32").optimizer.lr

    assert lr("convnet") == lr("convnet", batch_norm="false", filters="4", repeat="2") == 0.1
    assert lr("convnet", **PLAIN) == 0.01
    assert lr("vgg11") == lr("vgg11", batch_norm="true") == lr("vgg11_bn") < 0.01  # two hidden layers of 4,096 units
    assert lr("convnet", dense="512") == lr("convnet", average="false", dense="512") == 0.1
    assert lr("convnet", dense="128,64") == lr("convnet", average="false", dense="256,256") == 0.01
    small = {"alexnet", "googlenet", "lenet5", "nin", "vgg16", "vgg16_bn"}
    usual = {"convnet", "googlenet_bn_tv", "knn", "lenet5_modern", "linear", "mlp", "resnet20", "mobilenet_v3_large"}
    with torch.device("meta"):
        assert {name for name in small | usual if needs_small_steps(build_model(name))} == small


def test_weights_suit_the_logistic_function() -> None:
    torch.manual_seed(0)
    options = {"filters": "32,32", "repeat": "4", "pool": "1", "pool_stride": "1", "batch_norm": "false"}
    network = build_model("convnet", options=options | {"activation": "sigmoid"}).eval()
    maps: list[torch.Tensor] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _layer, _inputs, output: maps.append(output[..., 8:-8, 8:-8]))
    with torch.no_grad():
        network(torch.randn(8, 3, 32, 32))
    assert all(0.3 < float(values.std()) < 5 and abs(float(values.mean())) < 1 for values in maps)


@pytest.mark.parametrize(("right", "labels"), [(8, True), (6, False)])
def test_labels_are_doubted_where_the_network_is_good_enough_to_judge_them(right: int, *, labels: bool) -> None:
    targets = np.repeat([0, 1], 10)
    predicted = np.where(np.arange(20) % 10 < right, targets, 1 - targets)
    metrics = measure_classification(np.eye(2)[predicted] * 0.9 + 0.05, targets, ("a", "b"))
    lines = [line for line in advice(metrics, {"a": 10, "b": 10}) if "is predicted as" in line]
    assert len(lines) == 2
    assert all(("check the labels" in line) == labels for line in lines)


@pytest.mark.parametrize(("images", "words"), [(1, "with 1 training image"), (1234, "with 1,234 training images")])
def test_advice_counts_training_images(images: int, words: str) -> None:
    targets, predicted = np.repeat([0, 1], 4), np.array([0, 0, 0, 0, 1, 1, 0, 0])
    metrics = measure_classification(np.eye(2)[predicted], targets, ("a", "b"))
    weak = advice(metrics, {"a": 10, "b": images})[0]
    assert weak == f"more images of b would help most: its recall is 50.0%, {words}"


def test_the_rate_of_deep_networks_falls_with_the_batch() -> None:
    def lr(model: str, batch_size: int) -> float:
        return small_plan(model=model, batch_size=batch_size, size="32").optimizer.lr

    assert [lr("resnet18", size) for size in (16, 64, 256)] == [0.0125, 0.05, 0.1]
    assert [lr("mobilenet_v2", 16), lr("convnet", 16)] == [0.0125, 0.1]
    assert [lr("vgg11_bn", size) for size in (32, 128, 256)] == [0.005, 0.01, 0.01]
    assert [lr("lenet5", size) for size in (8, 32, 128)] == [0.0025, 0.005, 0.01]


def test_lenet5_learns_in_small_batches() -> None:
    """Its logits are squares: at 0.01, the loss came to 1.1 and rose to 34 to 46 within eight epochs (3 of 3 seeds)."""
    plan = plan_training("digits", Recipe(model="lenet5", images=100, threads=1))
    assert plan.loop.batch_size == 8
    trainer = build_trainer(plan, plan.create())
    losses = [
        np.mean([trainer.step(plan.train, batch, plan.optimizer.lr, 0).loss_sum / 8 for batch in batches])
        for batches in (plan.train.images.epoch(0, epoch, 8, plan.loop.policy) for epoch in range(9))
    ]
    assert max(losses) < 4  # at a constant rate
    assert min(losses) < 1.5


def test_running_statistics_of_a_few_steps_are_their_means() -> None:
    plan = small_plan(batch_size=16, epochs=1, options={"filters": "4"})
    network = plan.create()
    trainer = build_trainer(plan, network)
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().mean((0, 2, 3))))
    for batch in list(plan.train.images.epoch(0, 0, 16, plan.loop.policy))[:3]:
        trainer.step(plan.train, batch, 0.1, 0)
    torch.testing.assert_close(norm.running_mean, torch.stack(seen).mean(0))
    norm.num_batches_tracked.fill_(50)  # as in a run that goes on
    before = norm.running_mean.clone()
    build_trainer(plan, network).step(plan.train, batch, 0.0, 0)
    torch.testing.assert_close(norm.running_mean, 0.9 * before + 0.1 * seen[-1])
