"""One training step: the losses of auxiliary classifiers; lookahead after it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.data.samples import network_input
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


def test_the_first_image_stands_for_a_batch_where_scoring_takes_long(
    run_of: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tiny_network(), augment="none")
    batch = next(run.loop.train.images.epoch(0, 0, 32, run.loop.policy))
    answers = run.trainer.objective.targets(run.loop.train, batch)
    scored: list[int] = []

    def right(_: Any, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        scored.append(len(outputs))
        assert torch.equal(targets, answers[: len(outputs)])
        return torch.full((len(outputs),), 0.5)

    monkeypatch.setattr(type(run.trainer.objective), "correct", right)
    monkeypatch.setattr(type(run.trainer.objective), "sampled", True)
    result = run.trainer.step(run.loop.train, batch, 0.1, 0)
    assert scored == [1]
    assert result.correct == 0.5 * len(batch.positions) == 0.5 * result.samples


def test_validation_ignores_auxiliary_classifiers(run_of: MakeRun) -> None:
    losses = []
    for weight in (0.4, 0.0):
        run = run_of(tiny_network(weight), epochs=1, lr=1e-30)  # too small a rate to change anything
        assert run.go()
        losses.append({k: v for k, v in run.loop.progress.history[0].items() if k.endswith("loss")})
    assert losses[0]["val_loss"] == losses[1]["val_loss"]
    assert losses[0]["train_loss"] > losses[1]["train_loss"]


def test_lookahead_is_as_written(run_of: MakeRun) -> None:
    """Every second step both become d average + (1 - d) weights, with d = 0.9^2 done^3."""
    run = run_of(tiny_network(), ema=0.9, lookahead=2)
    trainer = run.trainer
    weights = trainer.network.head[1].weight
    mean, now = weights.detach().double().numpy().copy(), None
    draw = np.random.default_rng(0)
    for step in range(1, 9):
        now = draw.normal(size=mean.shape)
        with torch.no_grad():
            weights.copy_(torch.from_numpy(now))
        trainer.look_ahead(step, step / 8)
        if step % 2 == 0:
            decay = 0.9**2 * (step / 8) ** 3
            mean = now = decay * mean + (1 - decay) * now
        np.testing.assert_allclose(weights.detach().numpy(), now, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(trainer.averaged().head[1].weight.detach().numpy(), mean, rtol=1e-5, atol=1e-6)


def test_a_run_with_lookahead_goes_on_where_it_stopped(run_of: MakeRun) -> None:
    whole = run_of(ema=0.9, lookahead=3)
    whole.go()
    stopped = run_of(ema=0.9, lookahead=3)
    stopped.go(stop_after=7)
    resumed = run_of(ema=0.9, lookahead=3)
    resumed.loop.restore(stopped.saved[-1][1])
    resumed.go()
    states = whole.state(), resumed.state()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    plain = run_of(ema=0.9)
    plain.go()
    assert any(not torch.equal(value, states[0][name]) for name, value in plain.state().items())


def test_lookahead_needs_an_average(run_of: MakeRun) -> None:
    with pytest.raises(OptionError, match="give its decay, such as --ema"):
        run_of(lookahead=3, ema=0)


def test_images_grow_over_the_epochs(run_of: MakeRun) -> None:
    run = run_of(epochs=3, train_size="6,8")
    step, sizes = run.trainer.step, []

    def watched(data: Any, batch: Any, *rest: Any) -> Any:
        sizes.append(batch.pixels.shape[1:3])
        assert data.images.preprocess.height == sizes[-1][0]
        return step(data, batch, *rest)

    run.trainer.step = watched
    run.go()
    steps = run.loop.steps
    assert sizes == [(6, 6)] * (2 * steps) + [(8, 8)] * steps
    assert run.loop.selection.val.images.preprocess.height == 9
