"""A frozen part and what learns above it are the whole network, and what is frozen does not move by one bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hubel
from hubel.core.errors import UnknownNameError
from hubel.data.augment import POLICIES
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch, Labelled
from hubel.models.catalogue import build_model
from hubel.nn.freezing import ALL, NONE, Tuned, between, boundaries, frozen_part, last_linear, last_stages
from hubel.nn.network import Network
from hubel.tasks.classify import ClassificationObjective
from hubel.tasks.losses import LossSettings
from hubel.training.loop import EpochSelection, Loop
from hubel.training.optimizer import make_optimizer, tensors
from hubel.training.plan import LoopSettings, OptimizerSettings
from hubel.training.schedule import Schedule
from hubel.training.trainer import Trainer

CLASSES = 4
# Small networks of each family; the side of their input in pixels, and their number of stages.
SMALL = {"resnet20": (16, 3), "nin_cifar10": (16, 3), "densenet_bc_100": (16, 3), "mobilenet_v1_025": (32, 5)}
SMALL |= {"efficientnet_lite0": (32, 7), "googlenet_bn_tv": (32, 3), "mobilenet_v3_small": (32, 5)}
BATCH_NORMS = ("running_mean", "running_var", "num_batches_tracked")
ADAMW = OptimizerSettings(name="adamw", lr=0.01)
LOOP = LoopSettings(epochs=2, batch_size=4, policy=POLICIES["none"], schedule=Schedule(name="constant", warmup=0.0))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make(name: str = "resnet20", side: int = 0) -> Network:
    """A network with batch norms that have something to say."""
    torch.manual_seed(0)
    side = side or SMALL[name][0]
    network = hubel.create_model(name, num_classes=CLASSES, input_size=(side, side))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.num_batches_tracked.fill_(7)
    assert isinstance(network, Network)
    return network.eval()


def images(n: int = 4, side: int = 16) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def meta(name: str) -> Network:
    with torch.device("meta"):
        network = build_model(name)
    assert isinstance(network, Network)
    return network


def step(tuned: Tuned, x: Tensor, optimizer: torch.optim.Optimizer) -> None:
    tuned.train()
    optimizer.zero_grad()
    nn.functional.cross_entropy(tuned(x), torch.arange(len(x)) % CLASSES).backward()
    optimizer.step()


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


# Boundaries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stages", "linear"),
    [
        ("resnet50", 4, True),
        ("vgg11", 5, True),
        ("nin_cifar10", 3, False),
        ("densenet121", 4, True),
        ("efficientnet_lite0", 7, True),
        ("lenet5_modern", 3, True),
        ("convnet", 3, True),
    ],
)
def test_the_boundaries_of_a_network(name: str, stages: int, linear: bool) -> None:
    network = meta(name)
    assert len(network.stages) == stages, "this test's own table"
    middle = [f"stage{number}" for number in range(1, stages + 1)]
    assert boundaries(network) == [NONE, *middle, *([ALL] if linear else [])]
    layer = last_linear(network)
    if linear:
        assert layer is [m for m in network.modules() if isinstance(m, nn.Linear)][-1]
    else:
        assert layer is None


@pytest.mark.parametrize("name", SMALL)
def test_the_parts_compose_to_the_network(name: str) -> None:
    network, side = make(name), SMALL[name][0]
    x = images(2, side)
    with torch.inference_mode():
        whole = network(x)
        named = network.maps(x)
        for boundary in boundaries(network):
            below = frozen_part(network, boundary)(x)
            if boundary not in (NONE, ALL):
                assert torch.equal(below, named[boundary]), boundary
            tuned = Tuned(network, boundary, from_maps=True, hold_norms=False).eval()
            assert torch.equal(tuned(below), whole), boundary
            if boundary == ALL:
                layer = last_linear(network)
                assert layer is not None
                assert torch.equal(below @ layer.weight.T + layer.bias, whole)
    assert torch.equal(Tuned(network, "stage1", from_maps=False, hold_norms=False).eval()(x), whole)
    assert whole.std() > 0


def test_between_two_boundaries_lies_the_rest() -> None:
    network, x = make("efficientnet_lite0"), images(2, 32)
    known = boundaries(network)
    with torch.inference_mode():
        made = {boundary: frozen_part(network, boundary)(x) for boundary in known}
        for lower in known:
            for upper in known[known.index(lower) :]:
                assert torch.equal(between(network, lower, upper)(made[lower]), made[upper]), (lower, upper)


def test_a_part_is_the_network_s_own() -> None:
    network = make()
    held = {id(p) for p in frozen_part(network, "stage2").parameters()}
    expected = [network.stem, *network.stages[:2]]
    assert held == {id(p) for part in expected for p in part.parameters()}


@pytest.mark.parametrize("boundary", ["stage4", "stage0", "head", ""])
def test_unknown_boundaries_are_refused(boundary: str) -> None:
    network = make()
    for call in (
        lambda: frozen_part(network, boundary),
        lambda: between(network, NONE, boundary),
        lambda: between(network, boundary, ALL),
        lambda: Tuned(network, boundary, from_maps=False, hold_norms=False),
    ):
        with pytest.raises(UnknownNameError, match=f"no boundary to freeze up to is called '{boundary}'"):
            call()


def test_no_linear_layer_no_all() -> None:
    with pytest.raises(UnknownNameError, match="'all'"):
        frozen_part(make("nin_cifar10"), ALL)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("efficientnet_lite0", "stage5"), ("resnet50", "stage3"), ("resnet20", "stage2"), ("mobilenet_v2", "stage4")],
)
def test_the_last_stages_are_those_of_the_last_resolution(name: str, expected: str) -> None:
    # Of a large network the numbers do not matter.
    network = meta(name).to_empty(device="cpu").eval() if name == "resnet50" else make(name, 32)
    x, sides = torch.zeros(1, 3, 64, 64), []
    with torch.no_grad():
        assert last_stages(network, x) == expected
        for part in (network.stem, *network.stages):
            sides.append((x := part(x)).shape[2])
    cut = int(expected.removeprefix("stage"))
    assert sides[cut] > sides[cut + 1] == sides[-1]


def test_where_no_stage_is_smaller_the_last_one_learns() -> None:
    class Same(Network):
        pass

    stages = [nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)) for _ in range(3)]
    network = Same(nn.Identity(), stages, nn.Linear(3, 2))
    assert last_stages(network, torch.zeros(1, 3, 8, 8)) == "stage2"
    assert last_stages(Same(nn.Identity(), stages[:1], nn.Linear(3, 2)), torch.zeros(1, 3, 8, 8)) == NONE


# Learning -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", [NONE, "stage1", "stage2", "stage3", ALL])
def test_frozen_layers_get_no_gradients_and_no_state(boundary: str) -> None:
    network = make()
    network.requires_grad_(requires_grad=False)  # whatever it was before
    tuned = Tuned(network, boundary, from_maps=False, hold_norms=True)
    frozen = {id(p) for p in frozen_part(network, boundary).parameters()}
    optimizer = make_optimizer(tuned, ADAMW)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted({id(p) for p in network.parameters()} - frozen)
    before = copied(network)
    step(tuned, images(), optimizer)
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None) == (id(parameter) not in frozen), name
        assert torch.equal(parameter, before[name]) == (id(parameter) in frozen), name
    assert {key.split(".")[0] for key in tensors(optimizer)} == {str(number) for number in range(len(held))}


@pytest.mark.parametrize("hold_norms", [True, False])
@pytest.mark.parametrize("from_maps", [True, False])
@pytest.mark.parametrize("name", ["resnet20", "efficientnet_lite0"])
def test_frozen_batch_norm_does_not_drift(name: str, from_maps: bool, hold_norms: bool) -> None:
    network, boundary = make(name), "stage2" if name == "resnet20" else "stage5"
    tuned = Tuned(network, boundary, from_maps=from_maps, hold_norms=hold_norms)
    x = images(4, SMALL[name][0])
    if from_maps:
        with torch.no_grad():
            x = frozen_part(network, boundary)(x)
    optimizer, before = make_optimizer(tuned, ADAMW), copied(network)
    for _ in range(3):
        step(tuned, x, optimizer)
    below = {id(b) for b in frozen_part(network, boundary).buffers()}
    seen = {True: 0, False: 0}
    for key, buffer in network.named_buffers():
        if key.endswith(BATCH_NORMS):
            moved = not torch.equal(buffer, before[key])
            assert moved == (id(buffer) not in below and not hold_norms), key
            seen[id(buffer) in below] += 1
    assert min(seen.values()) > 3, "there are batch norms on both sides"


def test_depthwise_kernels_can_be_held_too() -> None:
    network = make("efficientnet_lite0")
    tuned = Tuned(network, "stage5", from_maps=False, hold_norms=True, hold_depthwise=True)
    frozen = {id(p) for p in frozen_part(network, "stage5").parameters()}
    # A depthwise kernel sees one map: its weights are (channels, 1, k, k), k > 1.
    held = {id(p) for p in network.parameters() if p.ndim == 4 and p.shape[1] == 1 and p.shape[2] > 1}
    assert len(held - frozen) == 5
    optimizer, before = make_optimizer(tuned, ADAMW), copied(network)
    step(tuned, images(4, 32), optimizer)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]) == (id(parameter) in frozen | held), name


def test_modes_of_the_parts() -> None:
    network = make("efficientnet_lite0")
    tuned = Tuned(network, "stage5", from_maps=False, hold_norms=False)
    frozen = {module for layer in frozen_part(network, "stage5") for module in layer.modules()}
    for _ in range(2):
        assert tuned.train() is tuned
        assert not any(module.training for module in frozen)
        assert all(module.training for module in network.head.modules())
        assert all(module.training for stage in network.stages[5:] for module in stage.modules())
        assert tuned.training
        tuned.eval()
        assert not any(module.training for module in tuned.modules())
    held = Tuned(network, "stage5", from_maps=False, hold_norms=True).train()
    assert network.head.training
    assert not any(module.training for module in held.modules() if isinstance(module, nn.BatchNorm2d))


def test_dropout_is_active_above_the_boundary_only() -> None:
    network = make("nin_cifar10")
    x = images()
    tuned = Tuned(network, "stage3", from_maps=False, hold_norms=False).train()
    assert torch.equal(tuned(x), tuned(x))
    tuned = Tuned(network, "stage1", from_maps=False, hold_norms=False).train()
    assert not torch.equal(tuned(x), tuned(x))


# Levels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", [NONE, "stage1", "stage2", "stage3", ALL])
def test_levels_go_down_from_the_head(boundary: str) -> None:
    network = make()
    levels = Tuned(network, boundary, from_maps=False, hold_norms=True).levels()
    parts = [network.head, network.stages[2], network.stages[1], network.stages[0], network.stem]
    free = {NONE: 5, "stage1": 3, "stage2": 2, "stage3": 1, ALL: 1}[boundary]
    expected = [[id(p) for p in part.parameters()] for part in parts[:free]]
    assert [[id(p) for p in level] for level in levels] == expected


def test_deeper_stages_learn_more_slowly_and_later() -> None:
    tuned = Tuned(make(), NONE, from_maps=False, hold_norms=True)
    recipe = replace(ADAMW, lr=0.4, layer_decay=0.5, gradual_unfreeze=0.3, weight_decay=0.1)
    groups = make_optimizer(tuned, recipe).param_groups
    by_id = {id(p): group for group in groups for p in group["params"]}
    for depth, level in enumerate(tuned.levels()):
        for parameter in level:
            group = by_id[id(parameter)]
            assert group["lr_scale"] == pytest.approx(0.5**depth)
            assert group["starts"] == pytest.approx(min(0.3 * depth, 0.9))
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
    assert max(group["starts"] for group in groups) == 0.9, "of five levels the last one would never learn"


def test_without_levels_all_learn_at_once() -> None:
    recipe = replace(ADAMW, lr=0.4, layer_decay=0.5, gradual_unfreeze=0.3)
    groups = make_optimizer(make(), recipe).param_groups
    assert {(group["lr"], group["lr_scale"], group["starts"]) for group in groups} == {(0.4, 1.0, 0.0)}


class Noise:
    """Sixteen pictures without sense, four a batch."""

    preprocess = Preprocess(16, 16)

    def __len__(self) -> int:
        return 16

    def network_input(self, pixels: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        return torch.from_numpy(pixels).to(device)

    def in_sequence(self, batch_size: int) -> list[Batch]:
        return [Batch(np.arange(16), images(16).numpy())]

    def epoch(self, seed: int, epoch: int, batch_size: int, what: object, *, start: int = 0) -> list[Batch]:
        return [Batch(np.arange(i, i + 4), images(16)[i : i + 4].numpy()) for i in range(4 * start, 16, 4)]


def loop_of(tuned: Tuned, settings: OptimizerSettings) -> Loop:
    data = Labelled(Noise(), np.arange(16) % CLASSES)
    objective = ClassificationObjective.of(LossSettings(name="cross_entropy"), data.targets, torch.device("cpu"))
    trainer = Trainer(tuned, objective, settings, torch.float32)
    return Loop(trainer, data, LOOP, EpochSelection(val=data))


def test_a_stage_has_no_gradient_before_it_begins() -> None:
    network = make()
    tuned = Tuned(network, "stage1", from_maps=False, hold_norms=True)
    recipe = replace(ADAMW, gradual_unfreeze=0.3, layer_decay=0.5)
    loop = loop_of(tuned, recipe)
    parts = [network.head, network.stages[2], network.stages[1]]
    frozen = [network.stem, network.stages[0]]
    done = 0
    for _ in range(2):
        for batch in Noise().epoch(0, 0, 4, None):
            share = (done + 0.5) / 8
            loop.trainer.unfreeze(share)
            loop.trainer.step(loop.train, batch, loop.learning_rate(loop.progress.step), done)
            for depth, part in enumerate(parts):
                begun = share >= 0.3 * depth
                assert all(p.requires_grad == begun for p in part.parameters()), (done, depth)
                assert all((p.grad is not None) == begun for p in part.parameters()), (done, depth)
                in_state = [p in loop.trainer.optimizer.state for p in part.parameters()]
                assert all(held == begun for held in in_state), (done, depth)
            assert not any(p.requires_grad or p.grad is not None for part in frozen for p in part.parameters())
            assert [group["lr"] for group in loop.trainer.optimizer.param_groups[::2]] == pytest.approx(
                [0.01, 0.005, 0.0025]
            )
            done += 1


def test_a_resumed_loop_knows_what_has_begun() -> None:
    tuned = Tuned(make(), "stage1", from_maps=False, hold_norms=True)
    loop = loop_of(tuned, replace(ADAMW, gradual_unfreeze=0.3))
    for step_number, learning in ((0, 1), (7, 3), (2, 2), (0, 1)):
        loop.trainer.unfreeze((step_number + 0.5) / 8)
        assert len(tuned.levels()) == learning
