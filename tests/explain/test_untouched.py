"""Every function restores modes, requires_grad, gradients, buffers, hooks and outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import CLASSES, noise, pixels, predictor, stranger
from torch import Tensor, nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.dataset import open_dataset
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.explain.activation_maximisation import maximise_activation
from hubel.explain.comparison import compare_methods
from hubel.explain.embedding import embed
from hubel.explain.explanation import explain
from hubel.explain.faithfulness import CONTROLS, deletion, insertion
from hubel.explain.feature_maps import activation_maps
from hubel.explain.filters import draw_filters, first_filters
from hubel.explain.images import PreparedImage
from hubel.explain.layers import default_layer, section_names
from hubel.explain.methods import METHODS
from hubel.explain.templates import class_templates, linear_weights
from hubel.explain.units import Unit, peak_activations, receptive_field, top_patches
from hubel.inference.predictor import Predictor
from hubel.weights.card import ModelCard

X, TARGETS = noise(), torch.tensor([0, 2, 1])
PREPROCESS = Preprocess(16, 16)
IMAGE = PreparedImage(name="", pixels=pixels()[0], aspect=1.0)


def as_predictor(network: nn.Module) -> Predictor:
    made = object.__new__(Predictor)  # its constructor puts weights in another memory order, which is not at stake here
    made.network, made.card = network, ModelCard("convnet", CLASSES, PREPROCESS)
    return made


def layer_of(network: nn.Module) -> str:
    return "stage1" if hasattr(network, "stages") else "5"


def images() -> Images:
    return open_dataset((pixels(6), np.array([0, 1, 2, 0, 1, 2]))).images(PREPROCESS, threads=0)


def methods() -> Iterator[tuple[str, Callable[[nn.Module], Any]]]:
    for name, method in {**METHODS, **CONTROLS}.items():
        yield name, lambda net, method=method: method(net, X, TARGETS, None)
        yield f"{name} at a layer", lambda net, method=method: _try(method, net, layer_of(net))


def _try(method: Any, network: nn.Module, layer: str) -> None:
    with suppress(OptionError):  # CAM where it cannot be: what fails leaves nothing behind either
        method(network, X, TARGETS, layer)


FUNCTIONS: dict[str, Callable[[nn.Module], Any]] = {
    **dict(methods()),
    "default_layer": lambda net: default_layer(net, X),
    "section_names": lambda net: section_names(net, X),
    "insertion": lambda net: insertion(net, X, TARGETS, X.mean(1), steps=4),
    "deletion": lambda net: deletion(net, X, TARGETS, X.mean(1), steps=4),
    "explain": lambda net: list(explain(as_predictor(net), pixels())),
    "compare_methods": lambda net: compare_methods(as_predictor(net), pixels(2), methods=["gradcam"]),
    "activation_maps": lambda net: activation_maps(as_predictor(net), IMAGE),
    "peak_activations": lambda net: peak_activations(as_predictor(net), [IMAGE], Unit(layer_of(net), 1)),
    "top_patches": lambda net: top_patches(as_predictor(net), pixels(), Unit(layer_of(net), 1)),
    "receptive_field": lambda net: receptive_field(net, X[0], layer_of(net), 1, 1),
    "first_filters": first_filters,
    "maximise a class": lambda net: maximise_activation(net, PREPROCESS, [0, 1], steps=3),
    "maximise a unit": lambda net: maximise_activation(net, PREPROCESS, [0, 1], layer_of(net), steps=3),
    "draw_filters": lambda net: draw_filters(as_predictor(net), units=1),
    "class_templates": lambda net: class_templates(as_predictor(net), ["a"]),
    "linear_weights": lambda net: linear_weights(net, (3, 16, 16)),
    "embed": lambda net: embed(net, images()),
}


def frozen(network: nn.Module) -> nn.Module:
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


def training(network: nn.Module) -> nn.Module:
    """Return the network in training mode except for its norms, with gradients, a frozen weight and user hooks."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    network(X.clone()).sum().backward()
    next(network.parameters()).requires_grad_(False)
    network.register_forward_hook(lambda module, args, output: None)
    next(network.children()).register_forward_pre_hook(lambda module, args: None)
    return network


def fresh(network: nn.Module) -> nn.Module:
    return network.train()


KINDS = {
    "stranger, frozen": lambda: frozen(stranger()),
    "stranger, training": lambda: training(stranger()),
    "ours, frozen": lambda: frozen(predictor().network),
    "ours, training": lambda: training(predictor().network),
    "ours, fresh": lambda: fresh(predictor().network),
}
HOOKS = [name for name in vars(nn.Module()) if name.endswith("_hooks")]


def outputs(network: nn.Module) -> Tensor:
    with torch.inference_mode():
        return copy.deepcopy(network).eval()(X.clone())


def state(network: nn.Module) -> dict[str, Any]:
    modules = dict(network.named_modules())
    return {
        "modules": {name: id(module) for name, module in modules.items()},
        "modes": {name: module.training for name, module in modules.items()},
        "hooks": {(name, kind): dict(getattr(m, kind)) for name, m in modules.items() for kind in HOOKS},
        "parameters": {n: (id(p), p.requires_grad, p._version) for n, p in network.named_parameters()},
        "gradients": {
            n: (id(p.grad), None if p.grad is None else p.grad.tolist()) for n, p in network.named_parameters()
        },
        "buffers": {name: (id(b), b.tolist()) for name, b in network.named_buffers()},
        "weights": {name: value.tolist() for name, value in network.state_dict().items()},
        "outputs": outputs(network).tolist(),
    }


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_network_is_left_as_it_was(make: Callable[[], nn.Module], function: Callable[[nn.Module], Any]) -> None:
    network = make()
    x, before = X.clone(), state(network)
    function(network)
    after = state(network)
    assert {key for key in before if before[key] != after[key]} == set()
    assert torch.equal(X, x)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode, nullcontext])
@pytest.mark.parametrize("name", METHODS)
def test_whatever_the_caller_has_switched_off(name: str, caller: Callable[[], AbstractContextManager[None]]) -> None:
    expected = METHODS[name](stranger(), X, TARGETS, None)
    with caller():
        network = stranger().train()  # in inference mode, its tensors can take part in no backward pass
        found = METHODS[name](network, X.clone(), TARGETS.clone(), None)
        assert network.training
    torch.testing.assert_close(found.clone(), expected)
    assert not found.requires_grad


def test_gradients_that_are_on_do_not_grow() -> None:
    network = stranger()
    found = METHODS["integrated_gradients"](network, X.clone().requires_grad_(), TARGETS, None)
    assert not found.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_failure_leaves_nothing_behind(make: Callable[[], nn.Module]) -> None:
    network = make()
    before = state(network)
    for method in METHODS.values():
        with pytest.raises((OptionError, RuntimeError)):
            method(network, X, torch.tensor([0, 3, 0]), None)
        with pytest.raises((RuntimeError, OptionError)):
            method(network, X[:, :2], TARGETS, None)
    with pytest.raises(UnknownNameError):
        METHODS["gradcam"](network, X, TARGETS, "nowhere")
    assert state(network) == before
