"""Every network that another library has too computes what theirs computes, with their weights under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import peers
from hubel.models.catalogue import build_model, find
from hubel.weights.foreign import Varying, fit_weights, renamed

pytestmark = pytest.mark.peer
Peer = tuple[str, dict[str, Any]]  # their name, our options that make ours the same

_EPS_5, _SAME = {"norm_eps": 1e-5}, {"same_padding": True}

TORCHVISION: dict[str, Peer] = {
    "alexnet_tv": ("alexnet", {}),
    **{name: (name, {}) for n in (11, 13, 16, 19) for name in (f"vgg{n}", f"vgg{n}_bn")},
    "googlenet_bn_tv": ("googlenet", {}),
    "inception_v3": ("inception_v3", {}),
    **{f"resnet{n}": (f"resnet{n}", {}) for n in (18, 34, 50, 101, 152)},
    "mobilenet_v2": ("mobilenet_v2", {}),
    "mobilenet_v3_large": ("mobilenet_v3_large", {}),
    "mobilenet_v3_small": ("mobilenet_v3_small", {}),
    **{f"densenet{n}": (f"densenet{n}", {}) for n in (121, 161, 169, 201)},
    **{f"convnext_{size}": (f"convnext_{size}", {}) for size in ("tiny", "small", "base", "large")},
    # torchvision keeps torch's epsilon up to b4.
    **{f"efficientnet_b{n}": (f"efficientnet_b{n}", _EPS_5 if n < 5 else {}) for n in range(8)},
}
TIMM: dict[str, Peer] = {
    **{name: (name, {}) for n in (11, 13, 16, 19) for name in (f"vgg{n}", f"vgg{n}_bn")},
    "inception_v3": ("inception_v3", {"auxiliary": False}),
    **{f"resnet{n}": (f"resnet{n}", {}) for n in (18, 34, 50, 101, 152)},
    "mobilenet_v1": ("mobilenetv1_100", {"activation": "relu6"}),
    "mobilenet_v2": ("mobilenetv2_100", {}),
    "mobilenet_v2_140": ("mobilenetv2_140", {}),
    "mobilenet_v3_large": ("mobilenetv3_large_100", _EPS_5),
    "mobilenet_v3_small": ("mobilenetv3_small_100", _EPS_5),
    **{f"densenet{n}": (f"densenet{n}", {}) for n in (121, 161, 169, 201)},
    **{f"convnext_{size}": (f"convnext_{size}", {}) for size in ("tiny", "small", "base", "large")},
    **{f"efficientnet_b{n}": (f"tf_efficientnet_b{n}", _SAME) for n in range(8)},
    "efficientnet_lite0": ("efficientnet_lite0", _EPS_5),
    **{f"efficientnet_lite{n}": (f"tf_efficientnet_lite{n}", _SAME) for n in range(1, 5)},
}
# Of each library the ones that are compared by default; the others are slow.
QUICK = {
    "alexnet_tv", "vgg11_bn", "googlenet_bn_tv", "inception_v3", "resnet18", "resnet50", "mobilenet_v1", "mobilenet_v2",
    "mobilenet_v3_small", "densenet121", "efficientnet_b0", "efficientnet_lite0", "convnext_tiny",
}  # fmt: skip


def cases() -> list[Any]:
    found = [
        pytest.param(library, ours, *peer, id=f"{library}-{ours}", marks=() if ours in QUICK else pytest.mark.slow)
        for library, table in (("torchvision", TORCHVISION), ("timm", TIMM))
        for ours, peer in table.items()
    ]
    assert len(found) >= 60
    return found


def their_network(library: str, name: str) -> nn.Module:
    if library == "torchvision":
        extra = {"init_weights": False, "aux_logits": True} if name in ("googlenet", "inception_v3") else {}
        network = getattr(peers.torchvision().models, name)(weights=None, **extra)
    else:
        network = peers.timm().create_model(name, pretrained=False)
    assert isinstance(network, nn.Module)
    return network


def randomise(network: nn.Module) -> None:
    """Weights that keep signals of about their size through any depth, and statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (1.5 / fan_in) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0, 0.1, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.8, 1.2, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.8, 1.2, generator=generator)
            elif isinstance(module, nn.LayerNorm):
                module.weight.uniform_(0.8, 1.2, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
        for name, parameter in network.named_parameters():
            if name.endswith(("gamma", "layer_scale")):  # which start so small that a block does nothing
                parameter.uniform_(0.5, 1, generator=generator)


@pytest.fixture(autouse=True)
def no_initial_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights are replaced; to draw initial ones of large networks took a third of the time."""
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_", "xavier_uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def same_numbers(model: str, options: dict[str, Any], theirs: nn.Module, side: int) -> None:
    randomise(theirs)
    ours = build_model(model, options=options)
    varying = Varying(lambda n, c: build_model(model, num_classes=n, in_channels=c, options=options))
    assert fit_weights(ours, renamed(model, ours, theirs.state_dict()), varying) == []
    ours.eval()
    theirs.eval()
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    results = []
    for network in (ours, theirs):
        images = x.clone().requires_grad_()
        logits = network(images)
        logits.square().mean().backward()
        results.append((logits.detach(), images.grad, {n: p.grad for n, p in network.named_parameters()}))
    assert results[1][0].std() > 0
    assert relative(results[0][0], results[1][0]) <= 1e-4
    assert relative(results[0][1], results[1][1]) <= 1e-3
    gradients = renamed(model, ours, results[1][2])
    for name, gradient in results[0][2].items():
        if not name.startswith("auxiliary."):
            assert relative(gradient, gradients[name].reshape(gradient.shape)) <= 1e-3, name


@pytest.mark.parametrize(("library", "model", "peer", "options"), cases())
def test_same_outputs_and_gradients(library: str, model: str, peer: str, options: dict[str, Any]) -> None:
    side = 299 if "inception" in model else 224 if model.startswith(("vgg", "alexnet")) else 128
    same_numbers(model, options, their_network(library, peer), side)


def multiply_adds(network: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        network.eval()(x)
    return counter.get_total_flops() // 2


@pytest.mark.slow  # what is compared changes only with a fact or a version of a peer
@pytest.mark.parametrize(("library", "model", "peer", "options"), [p.values for p in cases()])
def test_published_macs_are_those_of_the_peer(library: str, model: str, peer: str, options: dict[str, Any]) -> None:
    """Torch's own counter on the peer's network, at the size of ours; nothing is computed."""
    variant = find(model)[1]
    if options.get("same_padding") and find(model)[1].shape[1] % 32:
        pytest.skip("TensorFlow's padding makes maps of another size")
    with torch.device("meta"):
        theirs = their_network(library, peer)
        assert multiply_adds(theirs, torch.empty(1, *variant.shape)) == variant.published.macs
