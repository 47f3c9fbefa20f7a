"""One training step: the losses of auxiliary classifiers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hubel.data.loading import network_input
from hubel.nn.network import Network

MakeRun = Callable[..., Any]


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
    run.trainer.parts = divisor
    batch = next(run.loop.train.images.epoch(0, 0, 32, run.loop.policy))
    result = run.trainer.step(run.loop.train, batch, 0.1, 0)

    x = network_input(batch.pixels, run.loop.train.images.preprocess)
    targets = torch.from_numpy(run.loop.train.targets[batch.positions])
    middle = expected.stages[0](x)
    logits, other = expected.head(expected.stages[1](middle)), expected.auxiliary["stage1_block2"](middle)
    by_hand = F.cross_entropy(logits, targets) + 0.4 * F.cross_entropy(other, targets)
    by_hand.backward()
    assert result.loss_sum == pytest.approx(len(targets) * by_hand.item(), rel=1e-5)
    assert result.correct == int((logits.argmax(1) == targets).sum())
    for one, two in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)


def test_validation_ignores_auxiliary_classifiers(run_of: MakeRun) -> None:
    losses = []
    for weight in (0.4, 0.0):
        run = run_of(tiny_network(weight), epochs=1, lr=1e-30)  # too small a rate to change anything
        assert run.go()
        losses.append({k: v for k, v in run.loop.progress.history[0].items() if k.endswith("loss")})
    assert losses[0]["val_loss"] == losses[1]["val_loss"]
    assert losses[0]["train_loss"] > losses[1]["train_loss"]
