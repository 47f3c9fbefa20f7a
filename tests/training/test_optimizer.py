"""Fused steps against the formulae and torch's plain loops, and state that comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hubel.core.errors import CheckpointError
from hubel.nn.layers import channels_last
from hubel.training.eager import eager
from hubel.training.optimizer import OPTIMIZERS, load_tensors, make_optimizer, tensors
from hubel.training.plan import OptimizerSettings

X = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def network(*, last: bool = True) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(80, 4))
    return channels_last(made) if last else made


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        net(X).square().sum().backward()
        optimizer.step()


def parameters(net: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone().contiguous() for name, p in net.named_parameters()}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_only_weights_decay(kind: str) -> None:
    net = network()
    optimizer = make_optimizer(net, OptimizerSettings(name=kind, lr=0.1, weight_decay=0.3))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    got = {name: decay[id(p)] for name, p in net.named_parameters()}
    assert got == {"0.weight": 0.3, "0.bias": 0, "1.weight": 0, "1.bias": 0, "4.weight": 0.3, "4.bias": 0}


def test_frozen_parameters_are_left_out() -> None:
    net = network()
    net[0].requires_grad_(False)
    held = [
        p for group in make_optimizer(net, OptimizerSettings(name="sgd", lr=0.1)).param_groups for p in group["params"]
    ]
    assert len(held) == 4


@pytest.mark.parametrize("decayed", ["weights", "all"])
@pytest.mark.parametrize(("name", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("heavy_ball", 0.9)])
def test_sgd_is_as_written(name: str, momentum: float, decayed: str) -> None:
    """Nesterov's momentum steps along g + m v, Polyak's along v, where v = m v + g."""
    lr, decay, looks_ahead = 1e-3, 0.05, name == "sgd"
    net = network()
    settings = OptimizerSettings(name=name, lr=lr, momentum=momentum, weight_decay=decay, decayed=decayed)
    optimizer = make_optimizer(net, settings)
    expected = {name: value.numpy() for name, value in parameters(net).items()}
    velocity = dict.fromkeys(expected, 0.0)
    for _ in range(3):
        optimizer.zero_grad()
        net(X).square().sum().backward()
        for name, p in net.named_parameters():
            assert p.grad is not None
            gradient = p.grad.numpy() + (decay * expected[name] if p.ndim > 1 or decayed == "all" else 0)
            velocity[name] = momentum * velocity[name] + gradient
            step = gradient + momentum * velocity[name] if looks_ahead else velocity[name]
            expected[name] = expected[name] - lr * step
        optimizer.step()
    for name, value in parameters(net).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_fused_adamw_is_the_plain_one() -> None:
    net, plain = network(), network(last=False)
    train(net, make_optimizer(net, OptimizerSettings(name="adamw", lr=0.01, weight_decay=0.1)), 3)
    groups = [
        {"params": [p for p in plain.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in plain.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    train(plain, torch.optim.AdamW(groups, 0.01, fused=False, foreach=False), 3)
    for name, value in parameters(plain).items():
        # A gradient of nearly 0 (a bias before batch norm) is rounding, whose sign Adam makes a whole step of.
        if name != "0.bias":
            torch.testing.assert_close(parameters(net)[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("last", [True, False])
def test_state_comes_back_to_the_bit(kind: str, last: bool) -> None:
    settings = OptimizerSettings(name=kind, lr=1e-3)
    net = network(last=last)
    optimizer = make_optimizer(net, settings)
    train(net, optimizer, 2)
    weights = parameters(net)
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    state = {name: value.clone().contiguous() for name, value in tensors(optimizer).items()}  # as a file holds it
    train(net, optimizer, 3)

    other = network(last=last)
    other.load_state_dict(weights | buffers)
    resumed = make_optimizer(other, settings)
    load_tensors(resumed, state)
    train(other, resumed, 3)
    for name, value in parameters(net).items():
        assert torch.equal(parameters(other)[name], value), name


@pytest.mark.parametrize("key", ["99.momentum_buffer", "x.momentum_buffer", "momentum_buffer"])
def test_state_of_another_optimizer(key: str) -> None:
    with pytest.raises(CheckpointError, match=key):
        load_tensors(make_optimizer(network(), OptimizerSettings(name="sgd", lr=0.1)), {key: torch.zeros(1)})


def test_without_momentum_there_is_no_state() -> None:
    net = network()
    optimizer = make_optimizer(net, OptimizerSettings(name="sgd", lr=0.1, momentum=0.0))
    train(net, optimizer, 1)
    assert tensors(optimizer) == {}


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adadelta])
def test_eager_optimizers_compute_the_same(kind: type[torch.optim.Optimizer]) -> None:
    ours, theirs = network(), network()
    made = eager(kind)(ours.parameters(), lr=1e-3)
    train(ours, made, 3)
    train(theirs, kind(theirs.parameters(), lr=1e-3), 3)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert all(not value.requires_grad for value in tensors(made).values())


def test_lamb_is_as_written() -> None:
    """You et al. 2019, Algorithm 2; a tensor that does not decay takes Adam's step."""
    lr, decay, eps = 0.01, 0.1, 1e-6
    net = network()
    optimizer = make_optimizer(net, OptimizerSettings(name="lamb", lr=lr, weight_decay=decay))
    expected = {name: value.double().numpy() for name, value in parameters(net).items()}
    first, second = dict.fromkeys(expected, 0.0), dict.fromkeys(expected, 0.0)
    for step in range(1, 4):
        optimizer.zero_grad()
        net(X).square().sum().backward()
        for name, p in net.named_parameters():
            gradient = p.grad.double().numpy()
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            update = first[name] / (1 - 0.9**step) / (np.sqrt(second[name] / (1 - 0.999**step)) + eps)
            ratio = 1.0
            if p.ndim > 1:
                update = update + decay * expected[name]
                ratio = np.linalg.norm(expected[name]) / np.linalg.norm(update)
            expected[name] = expected[name] - lr * ratio * update
        optimizer.step()
    for name, value in parameters(net).items():
        if name != "0.bias":  # before a batch norm: its gradient is rounding
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("decayed", ["weights", "all"])
def test_biases_of_norms_learn_at_their_own_rate(decayed: str) -> None:
    net, lr, decay = network(), 1e-3, 0.05
    settings = OptimizerSettings(name="sgd", lr=lr, momentum=0.0, weight_decay=decay, decayed=decayed, norm_bias_lr=64)
    optimizer = make_optimizer(net, settings)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]  # as the trainer sets it
    before = parameters(net)
    net(X).square().sum().backward()
    optimizer.step()
    for name, p in net.named_parameters():
        small = decay if decayed == "all" else 0.0
        scale = 64 if name == "1.bias" else 1
        step = lr * scale * p.grad + lr * (decay if p.ndim > 1 else small) * before[name]
        torch.testing.assert_close(before[name] - p.detach(), step, rtol=1e-3, atol=1e-6)
