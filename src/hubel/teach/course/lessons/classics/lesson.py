"""LeNet-5, AlexNet and VGG: shapes and costs of each layer, response normalisation, where weights and work sit."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from hubel.models.catalogue import find
from hubel.models.vgg import VGGLayout
from hubel.nn.layers import response_norm
from hubel.teach.convolution.alternatives import list_alternatives
from hubel.teach.convolution.arithmetic import ConvolutionSettings, make_convolution
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.classics.drawing import DrawnLayer, drawn_layers

__all__ = ["LESSON", "NETWORKS"]

NETWORKS = ("lenet5", "lenet5_modern", "alexnet", "vgg11", "vgg16", "vgg19")
_SEEN = 7  # pixels that three 3x3 convolutions see each way


def _data() -> Mapping[str, Any]:
    layers = {name: drawn_layers(name) for name in NETWORKS}
    return {
        "networks": {name: _network(name, drawn) for name, drawn in layers.items()},
        "lenet": _lenet(layers["lenet5"], layers["lenet5_modern"]),
        "alexnet": _alexnet(layers["alexnet"], drawn_layers("alexnet_one_tower")),
        "norm": _norm(),
        "stages": _stages(layers["vgg16"]),
        "stack": _stack(),
    }


def _network(name: str, layers: list[DrawnLayer]) -> Mapping[str, Any]:
    """Return the layers of a network, and how much of it the fully connected ones are."""
    params, macs = (sum(getattr(layer, what) for layer in layers) for what in ("params", "macs"))
    dense = [layer for layer in layers if layer.kind in ("dense", "distances")]
    return {
        "input": find(name)[1].shape,
        "layers": [layer.to_json() for layer in layers],
        "params": params,
        "macs": macs,
        "neurons": sum(layer.neurons for layer in layers),
        "weighted": sum(layer.macs > 0 and layer.params > 0 for layer in layers),
        "dense_params": 100 * sum(layer.params for layer in dense) / params,
        "dense_macs": 100 * sum(layer.macs for layer in dense) / macs,
    }


def _lenet(paper: list[DrawnLayer], modern: list[DrawnLayer]) -> Mapping[str, Any]:
    """Compare the sparse third layer and the trainable pooling of the paper with the popular form."""
    own, popular = ({layer.label: layer for layer in layers} for layers in (paper, modern))
    c1, s2, c3 = own["C1"], own["S2"], own["C3"]
    maps, side, _ = c1.shape
    window = c1.kernel[0] * c1.kernel[1]
    pairs = (c3.params - c3.shape[0]) // window  # of connected maps: a kernel each, and a bias for each map
    return {
        "c1": {
            "maps": maps,
            "side": side,
            "kernel": c1.kernel[0],
            "params": c1.params,
            "no_bias": c1.params - maps,
            "dense": c1.neurons * (find("lenet5")[1].shape.height ** 2 + 1),
            "connections": c1.neurons * (window + 1),
        },
        "s2": s2.params,
        "s4": own["S4"].params,
        "c3": {
            "params": c3.params,
            "full": popular["C3"].params,
            "pairs": pairs,
            "all_pairs": maps * c3.shape[0],
            "maps": c3.shape[0],
            "below": maps,
        },
    }


def _alexnet(towers: list[DrawnLayer], one: list[DrawnLayer]) -> Mapping[str, Any]:
    """Compare the two towers, which see half of each other's maps, with one tower."""
    grouped = [
        {"number": two.number, "towers": two.params, "one": whole.params}
        for two, whole in zip(towers, one, strict=True)
        if two.params != whole.params
    ]
    return {
        "grouped": grouped,
        "macs": sum(layer.macs for layer in towers),
        "macs_one": sum(layer.macs for layer in one),
        "neurons": [layer.neurons for layer in towers if layer.neurons],
    }


def _norm() -> Mapping[str, Any]:
    """Return response normalisation with the paper's constants, of three maps at one position."""
    layer = response_norm()
    example = [1.0, 4.0, 2.0]
    normalised = layer(torch.tensor(example).view(1, -1, 1, 1)).flatten().tolist()
    return {
        "example": example,
        "normalised": normalised,
        "k": layer.k,
        "n": layer.size,
        "alpha": layer.alpha / layer.size,  # torch takes the mean of the squares where the paper takes their sum
        "beta": layer.beta,
        "torch_alpha": layer.alpha,
    }


def _stages(layers: list[DrawnLayer]) -> list[Mapping[str, Any]]:
    """Return one 3x3 convolution within each stage of VGG-16: as many maps out of it as into it."""
    inside = {}
    for before, layer in pairwise(layers):
        if layer.kind == "conv" and before.shape[0] == layer.shape[0]:
            inside[layer.shape] = layer
    return [
        {
            "channels": layer.shape[0],
            "side": layer.shape[1],
            "values": layer.neurons,
            "params": layer.params,
            "macs": layer.macs,
        }
        for layer in inside.values()
    ]


def _stack() -> Mapping[str, Any]:
    """Compare a large kernel with stacked 3x3 ones of the same receptive field."""
    channels = VGGLayout().widths[0]
    settings = ConvolutionSettings(kernel_size=(_SEEN,), padding="same")
    size = (2 * _SEEN, 2 * _SEEN)
    found = list_alternatives(make_convolution(channels, channels, size, settings), size)
    large, stacked = found[0], next(one for one in found if len(one.layers) == _SEEN // 2)
    return {
        "channels": channels,
        "seen": _SEEN,
        "layers": len(stacked.layers),
        "large": large.weights,
        "stacked": stacked.weights,
        "more": 100 * (large.weights / stacked.weights - 1),
    }


LESSON = Lesson(name="classics", data=_data)
