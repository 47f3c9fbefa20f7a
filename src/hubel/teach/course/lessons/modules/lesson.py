"""1x1, Inception, bottleneck, auxiliary classifiers, depthwise separable, dense concatenation, compound scaling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from hubel.analysis.summary import Layer, summary
from hubel.models.catalogue import build_model, find
from hubel.models.densenet import DenseNetLayout
from hubel.nn.network import Network
from hubel.nn.shapes_only import shapes_only
from hubel.teach.convolution.alternatives import list_alternatives
from hubel.teach.convolution.arithmetic import Convolution, ConvolutionSettings, make_convolution
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.modules.compound import ALPHA, BETA, GAMMA, scaled, scaled_by

__all__ = ["LESSON", "mix_maps"]

# Three maps of 2x2 pixels, and two 1x1 filters.
_MAPS = np.array([[[1, 2], [0, 3]], [[4, 0], [1, 1]], [[2, 2], [5, 0]]])
_FILTERS = np.array([[1, 0, 1], [2, -1, 0]])
_ROWS = {"3": "stages.0", "4": "stages.1", "5": "stages.2"}  # Inception modules 3a, 3b, 4a ...
_BRANCHES = ("branch1", "branch3", "branch5", "pool")
_PHIS = [round(0.1 * step, 1) for step in range(71)]
_PUBLISHED = tuple(f"efficientnet_b{number}" for number in range(8))


def mix_maps(maps: Any, filters: Any) -> Any:
    """Return the 1x1 convolution of maps `(c, h, w)` by filters `(k, c)`: at each pixel, sums over the maps."""
    return np.einsum("chw,kc->khw", maps, filters)


def _data() -> Mapping[str, Any]:
    modules = _modules()
    return {
        "mix": {"maps": _MAPS, "filters": _FILTERS, "mixed": mix_maps(_MAPS, _FILTERS)},
        "squeeze": _squeeze(modules["3a"]),
        "small": _small(),
        "modules": modules,
        "auxiliary": _auxiliary(),
        "bottleneck": _bottleneck(),
        "separable": _separable(),
        "dense": _dense(),
        "compound": _compound(),
    }


def _layer(channels: int, filters: int, kernel: int, side: int, groups: int = 1) -> Convolution:
    settings = ConvolutionSettings(kernel_size=(kernel,), padding="same", groups=groups)
    return make_convolution(channels, filters, (side, side), settings)


def _squeeze(module: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the multiplications of the 5x5 branch of module 3a, with its 1x1 reduction and without."""
    branch = module["branches"]["branch5"]
    channels, reduced, filters = module["channels"], branch[0]["out"], branch[1]["out"]
    size = (module["side"], module["side"])
    kernel = branch[1]["kernel"]
    found = list_alternatives(_layer(channels, filters, kernel, module["side"]), size, bottleneck=reduced)
    direct, narrow = found[0], found[1]
    first, second = (layer.multiplications(size) for layer in narrow.layers)
    return {
        "channels": channels,
        "side": module["side"],
        "kernel": kernel,
        "filters": filters,
        "reduced": reduced,
        "direct": direct.multiplications,
        "first": first,
        "second": second,
        "total": narrow.multiplications,
        "direct_weights": direct.weights,
        "total_weights": narrow.weights,
    }


def _small() -> Mapping[str, Any]:
    """Return the weights of a small 3x3 layer, with a bottleneck and without."""
    channels, filters, narrow, kernel = 32, 64, 16, 3
    direct, reduced = list_alternatives(_layer(channels, filters, kernel, kernel), (kernel, kernel), bottleneck=narrow)[
        :2
    ]
    return {
        "channels": channels,
        "filters": filters,
        "narrow": narrow,
        "kernel": kernel,
        "direct": direct.weights,
        "first": reduced.layers[0].weights,
        "second": reduced.layers[1].weights,
        "total": reduced.weights,
    }


def _modules() -> Mapping[str, Any]:
    """Return the branches of all nine Inception modules of GoogLeNet, as traced."""
    layers = [layer for layer in summary("googlenet").layers if layer.kind == "Conv2d"]
    found = {}
    for row, stage in _ROWS.items():
        numbers = sorted({layer.name.split(".")[2] for layer in layers if layer.name.startswith(f"{stage}.")})
        for letter, number in zip("abcde", numbers, strict=False):
            prefix = f"{stage}.{number}."
            found[row + letter] = _module({n.name: n for n in layers if n.name.startswith(prefix)}, prefix)
    return found


def _module(layers: Mapping[str, Layer], prefix: str) -> Mapping[str, Any]:
    branches: dict[str, list[Mapping[str, Any]]] = {name: [] for name in _BRANCHES}
    for name, layer in layers.items():
        branches[name.removeprefix(prefix).split(".")[0]].append(_convolution(layer))
    channels, side = branches["branch1"][0]["channels"], next(iter(layers.values())).shape[1]
    naive = [_layer(channels, branches[name][-1]["out"], kernel, side) for name, kernel in _kernels(branches)]
    return {
        "channels": channels,
        "side": side,
        "branches": branches,
        "out": sum(branch[-1]["out"] for branch in branches.values()),
        "params": sum(layer.params for layer in layers.values()),
        "macs": sum(layer.macs for layer in layers.values()),
        "naive_out": sum(layer.out_channels for layer in naive) + channels,  # the pooling keeps all maps
        "naive_params": sum(layer.parameters for layer in naive),
        "naive_macs": sum(layer.multiplications((side, side)) for layer in naive),
    }


def _kernels(branches: Mapping[str, list[Mapping[str, Any]]]) -> list[tuple[str, int]]:
    return [(name, branches[name][-1]["kernel"]) for name in _BRANCHES if name != "pool"]


def _convolution(layer: Layer) -> Mapping[str, Any]:
    """Return kernel, maps and cost of a traced convolution with biases and without groups."""
    kernel = int(layer.detail.split("x")[0])
    out = layer.shape[0]
    channels = (layer.params // out - 1) // kernel**2
    return {"kernel": kernel, "channels": channels, "out": out, "params": layer.params, "macs": layer.macs}


def _auxiliary() -> Mapping[str, Any]:
    """Return what the auxiliary classifiers of GoogLeNet weigh, and where they look."""
    found = summary("googlenet")
    with shapes_only():
        network = build_model("googlenet")
    assert isinstance(network, Network)
    maps = find("googlenet")[1].published.maps
    places = [name for name in maps if name.replace(".", "_") in network.auxiliary]
    return {
        "number": len(network.auxiliary),
        "weight": network.auxiliary_weight,
        "places": [maps[name] for name in places],
        "params": found.params,
        "unused": found.unused,
        "used": found.params - found.unused,
        "share": 100 * found.unused / found.params,
    }


def _bottleneck() -> Mapping[str, Any]:
    """Return the first block with shortcut identity of ResNet-50, and two 3x3 convolutions of the same width."""
    layers = [layer for layer in summary("resnet50").layers if re.match(r"stages\.0\.1\.residual.*conv", layer.name)]
    narrow, out, side = layers[0].shape[0], layers[-1].shape[0], layers[0].shape[1]
    plain = _layer(out, out, 3, side)
    return {
        "channels": out,
        "narrow": narrow,
        "side": side,
        "weights": [layer.params for layer in layers],
        "total": sum(layer.params for layer in layers),
        "plain": 2 * plain.weights,
        "ratio": 2 * plain.weights / sum(layer.params for layer in layers),
        "networks": {
            name: {"params": found.params, "macs": found.macs}
            for name, found in ((name, summary(name)) for name in ("resnet34", "resnet50"))
        },
    }


def _separable() -> Mapping[str, Any]:
    """Return a layer of MobileNet, and the whole network, as depthwise separable and as full convolutions."""
    layers = [layer for layer in summary("mobilenet_v1").layers if layer.macs]
    pairs = [(depthwise, pointwise) for depthwise, pointwise in pairwise(layers) if ".depthwise." in depthwise.name]
    depthwise, pointwise = next(pair for pair in pairs if pair[0].shape[0] == pair[1].shape[0] == 512)
    channels, side = depthwise.shape[0], depthwise.shape[1]
    full = _layer(channels, pointwise.shape[0], 3, side)
    saved_params = sum(d.params * p.shape[0] - d.params - p.params for d, p in pairs)
    saved_macs = sum(d.macs * p.shape[0] - d.macs - p.macs for d, p in pairs)
    whole = summary("mobilenet_v1")
    return {
        "channels": channels,
        "filters": pointwise.shape[0],
        "side": side,
        "kernel": full.kernel_size[0],
        "depthwise": depthwise.macs,
        "pointwise": pointwise.macs,
        "full": full.multiplications((side, side)),
        "ratio": (depthwise.macs + pointwise.macs) / full.multiplications((side, side)),
        "blocks": len(pairs),
        "network": {
            "params": whole.params,
            "macs": whole.macs,
            "full_params": whole.params + saved_params,
            "full_macs": whole.macs + saved_macs,
        },
    }


def _dense() -> Mapping[str, Any]:
    """Return the maps that each layer of the first block of DenseNet-121 takes, and those of each block."""
    found, layout = summary("densenet121"), DenseNetLayout()
    first = [
        layer.params // (layout.bottleneck * layout.growth)
        for layer in found.layers
        if re.fullmatch(r"stages\.0\.\d+\.conv1", layer.name)
    ]
    return {
        "start": 3,  # of the small example
        "growth": 4,
        "after": 3 + 4,
        "paper_growth": layout.growth,
        "inputs": first,
        "out": first[-1] + layout.growth,
        "depths": layout.depths,
        "connections": [depth * (depth + 1) // 2 for depth in layout.depths],
        "params": found.params,
        "resnet": summary("resnet50").params,
    }


def _compound() -> Mapping[str, Any]:
    """Return scaled EfficientNets by compound coefficient, each factor alone, and the published networks."""
    base, doubled = scaled(0), scaled(1)
    alone = {
        "depth": scaled_by(doubled.depth, 1, base.resolution),
        "width": scaled_by(1, doubled.width, base.resolution),
        "resolution": scaled_by(1, 1, doubled.resolution),
    }
    published = []
    for name in _PUBLISHED:
        variant = find(name)[1]
        published.append(
            {
                "name": name.rpartition("_")[2].upper(),
                "depth": variant.layout.depth,
                "width": variant.layout.width,
                "resolution": variant.shape.height,
                "params": variant.published.params,
                "macs": variant.published.macs,
            }
        )
    return {
        "alpha": ALPHA,
        "beta": BETA,
        "gamma": GAMMA,
        "factor": ALPHA * BETA**2 * GAMMA**2,
        "phis": _PHIS,
        "networks": [scaled(phi).to_json() for phi in _PHIS],
        "alone": {name: one.to_json() for name, one in alone.items()},
        "published": published,
    }


LESSON = Lesson(name="modules", data=_data)
