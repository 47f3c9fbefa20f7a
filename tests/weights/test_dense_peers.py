"""Dense networks that torchvision has too compute what theirs compute, with their weights under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import peers
from hubel.models.catalogue import build_model, find
from hubel.nn.dense import DenseNetwork
from hubel.weights.foreign import Varying, fit_weights, renamed

pytestmark = pytest.mark.peer
NAMES = {"lraspp_mobilenet_v3_large": {}, "fcn_resnet50": {"aux_loss": True}}


def their_network(name: str) -> nn.Module:
    network: nn.Module = getattr(peers.torchvision().models.segmentation, name)(
        weights=None, weights_backbone=None, **NAMES[name]
    )
    return network


def randomise(network: nn.Module) -> None:
    """Weights that keep signals of about their size, and statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.ndim == 4:
                tensor.normal_(0, (1.5 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.8, 1.2, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.1, generator=generator)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm().detach() / theirs.norm().detach())


@pytest.mark.parametrize("name", NAMES)
def test_same_outputs_and_gradients(name: str) -> None:
    theirs = their_network(name).eval()
    randomise(theirs)
    ours = build_model(name).eval()
    assert isinstance(ours, DenseNetwork)
    varying = Varying(lambda n, c: build_model(name, num_classes=n, in_channels=c))
    assert fit_weights(ours, renamed(name, ours, theirs.state_dict()), varying) == []
    x = torch.randn(2, 3, 97, 64, generator=torch.Generator().manual_seed(1))
    results: list[tuple[dict[str, Tensor], Any]] = []
    for network in (ours, theirs):
        images = x.clone().requires_grad_()
        if isinstance(network, DenseNetwork):
            outputs = network.outputs(images)
            found = {"out": outputs.logits} | {
                name.replace("stage3", "aux"): y for name, y in outputs.auxiliary.items()
            }
        else:
            found = dict(network(images))
        sum(output.square().mean() for output in found.values()).backward()  # type: ignore[union-attr]
        results.append((found, images.grad))
    assert results[0][0].keys() == results[1][0].keys()
    for key, output in results[1][0].items():
        assert output.std() > 0
        assert relative(results[0][0][key], output) <= 1e-4
    assert relative(results[0][1], results[1][1]) <= 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_published_numbers_are_those_of_the_peer(name: str) -> None:
    """Torch's own counter on the peer's network, nothing of which is computed; without the head for training."""
    published, shape = find(name)[1].published, find(name)[1].shape
    with torch.device("meta"):
        theirs = their_network(name).eval()
        assert sum(p.numel() for p in theirs.parameters()) == published.params
        theirs.aux_classifier = None
        with FlopCounterMode(display=False) as counter:
            theirs(torch.empty(1, *shape))
    assert counter.get_total_flops() // 2 == published.macs
    assert published.params_without_auxiliary in (None, sum(p.numel() for p in theirs.parameters()))
