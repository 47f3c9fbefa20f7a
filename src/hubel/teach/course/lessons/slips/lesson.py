"""Common slips of course notes, each with the right value, computed.

Everything here is arithmetic of the layers that the papers print, so that a page with one of these boxes needs no
torch; the tests compare it with the networks of the catalogue. A slip is a function here and the sentences
`slip.NAME.*` of both languages.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hubel.teach.convolution.arithmetic import Convolution, ConvolutionSettings, Size, make_convolution
from hubel.teach.course.lesson import Lesson, lesson_facts
from hubel.teach.course.lessons.history.people import CONFIDENCE, people

Values = Mapping[str, Any]


def _layer(channels: int, filters: int, size: int, kernel: int, stride: int = 1, pad: int = 0) -> Convolution:
    settings = ConvolutionSettings(kernel_size=(kernel,), stride=(stride,), padding=(pad,))
    return make_convolution(channels, filters, (size, size), settings)


def _square(side: int) -> Size:
    return (side, side)


def _listed(numbers: Sequence[float] | np.ndarray[Any, Any]) -> str:
    """Return numbers as a list in a sentence; a minus sign is a minus sign."""
    return ", ".join(f"{number:g}" for number in numbers).replace("-", "\N{MINUS SIGN}")


_ROW, _KERNEL = np.arange(5), np.array([-1, 0, 1])


def _conv1d() -> Values:
    image, kernel = _ROW, _KERNEL
    right = np.correlate(image, kernel, "valid")
    return {
        "image": _listed(image),
        "kernel": _listed(kernel),
        "said": _listed([3, 2, 2]),
        "right": _listed(right),
        "first": _listed(image[:3]),
        "products": _listed(image[:3] * kernel),
        "sum": int(right[0]),
        "flipped": _listed(np.convolve(image, kernel, "valid")),
    }


def _cost() -> Values:
    """Return the multiplications of the 5x5 branch of Inception (3a), Szegedy et al. 2014, Table 1."""
    first, second, direct = _layer(192, 16, 28, 1), _layer(16, 32, 28, 5, pad=2), _layer(192, 32, 28, 5, pad=2)
    size = _square(28)
    one, two = first.multiplications(size), second.multiplications(size)
    return {
        "side": 28,
        "channels": first.in_channels,
        "reduced": first.out_channels,
        "filters": second.out_channels,
        "kernel": second.kernel_size[0],
        "said": round(one, -5),
        "first": one,
        "right": two,
        "total": one + two,
        "direct": direct.multiplications(size),
        "saving": round(direct.multiplications(size) / (one + two), 1),
    }


def _flatten() -> Values:
    """Return the numbers of VGG-16's last maps, Simonyan & Zisserman 2014, Table 1."""
    side, maps, units = 224 // 2**5, 512, 4096
    flat = side * side * maps
    return {"side": side, "maps": maps, "said": units, "right": flat, "weights": flat * units}


def _neurons() -> Values:
    """Return the outputs of AlexNet's eight layers, Krizhevsky et al. 2012, Section 3.5, and its parameters."""
    facts = lesson_facts("slips")
    outputs = [layer.out_channels * math.prod(layer.output_size(size)) for layer, size in _ALEXNET]
    dense = (4096, 4096, 1000)
    ins = (6 * 6 * 256, *dense)
    parameters = sum(layer.parameters for layer, _ in _ALEXNET)
    parameters += sum((below + 1) * units for below, units in zip(ins, dense, strict=False))
    printed = [int(facts[f"alexnet.figure2.{number}"]["value"]) for number in range(1, 9)]
    return {
        "said": parameters,
        "right": sum(outputs) + sum(dense),
        "paper": facts["alexnet.neurons"]["value"],
        "proceedings": facts["alexnet.neurons_proceedings"]["value"],
        "first_printed": printed[0],
        "first": outputs[0],
        "printed": sum(printed),
    }


def _alexnet_layer(channels: int, filters: int, size: int, kernel: int, stride: int, groups: int) -> tuple[Any, Size]:
    settings = ConvolutionSettings(
        kernel_size=(kernel,), stride=(stride,), padding=(kernel // 2 if stride == 1 else 0,), groups=groups
    )
    return make_convolution(channels, filters, _square(size), settings), _square(size)


_ALEXNET = (
    _alexnet_layer(3, 96, 227, 11, 4, 1),
    _alexnet_layer(96, 256, 27, 5, 1, 2),
    _alexnet_layer(256, 384, 13, 3, 1, 1),
    _alexnet_layer(384, 384, 13, 3, 1, 2),
    _alexnet_layer(384, 256, 13, 3, 1, 2),
)


def _maps() -> Values:
    first, size = _ALEXNET[0]
    return {
        "channels": first.in_channels,
        "filters": first.out_channels,
        "kernel": first.kernel_size[0],
        "said": first.in_channels * first.out_channels,
        "right": first.out_channels,
        "side": first.output_size(size)[0],
        "one": first.parameters // first.out_channels,
        "parameters": first.parameters,
    }


def _lenet_pooling() -> Values:
    """Return one window of S2, LeCun et al. 1998, Section II.B, with the coefficient that makes it the mean."""
    window = np.array([1, 2, 3, 6])
    coefficient, bias = 0.5, -1
    per_map = 2  # a coefficient and a bias
    return {
        "window": _listed(window),
        "said": int(window.max()),
        "mean": float(window.mean()),
        "sum": int(window.sum()),
        "quarter": 1 / len(window),
        "coefficient": coefficient,
        "bias": _listed([bias]),
        "right": float(coefficient * window.sum() + bias),
        "s2": per_map * 6,
        "s4": per_map * 16,
    }


def _lenet_layers() -> Values:
    """Count the layers of LeNet-5, and show that C5 is both kinds of layer."""
    side, maps, units, kernel = 5, 16, 120, 5
    c5 = _layer(maps, units, side, kernel)
    return {
        "said": 3,
        "right": 2,
        "side": side,
        "kernel": kernel,
        "maps": maps,
        "units": units,
        "output": c5.output_size(_square(side))[0],
        "as_convolution": c5.parameters,
        "as_dense": (side * side * maps + 1) * units,
    }


_VGG = {  # convolutions in each stage, Simonyan & Zisserman 2014, Table 1
    "VGG-11": (1, 1, 2, 2, 2),
    "VGG-13": (2, 2, 2, 2, 2),
    "VGG-16": (2, 2, 3, 3, 3),
    "VGG-19": (2, 2, 4, 4, 4),
}


def _vgg_costs(depths: Sequence[int]) -> dict[str, int]:
    """Return parameters and multiply-adds of the convolutions and of the fully connected layers."""
    parameters, macs, channels = 0, 0, 3
    for stage, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True)):
        for _ in range(depth):
            size = 224 // 2**stage
            layer = _layer(channels, width, size, 3, pad=1)
            parameters, macs = parameters + layer.parameters, macs + layer.multiplications(_square(size))
            channels = width
    units = (7 * 7 * 512, 4096, 4096, 1000)
    dense = sum(below * above for below, above in itertools.pairwise(units))
    return {"parameters": parameters, "macs": macs, "dense_parameters": dense + sum(units[1:]), "dense_macs": dense}


def _vgg_dense() -> Values:
    shares = {name: _shares(_vgg_costs(depths)) for name, depths in _VGG.items()}
    of_parameters = [share["parameter_share"] for share in shares.values()]
    return {**shares["VGG-16"], "least": min(of_parameters), "most": max(of_parameters)}


def _shares(costs: Mapping[str, int]) -> dict[str, float]:
    """Return sums and the share of the fully connected layers, in percent."""
    parameters = costs["parameters"] + costs["dense_parameters"]
    macs = costs["macs"] + costs["dense_macs"]
    return {
        "parameters": parameters,
        "macs": macs,
        "dense_parameters": costs["dense_parameters"],
        "dense_macs": costs["dense_macs"],
        "parameter_share": round(100 * costs["dense_parameters"] / parameters, 1),
        "mac_share": round(100 * costs["dense_macs"] / macs, 1),
    }


def _residual() -> Values:
    x, target = np.array([1.0, -2.0, 3.0]), np.array([1.5, -2.0, 2.0])
    return {
        "x": _listed(x),
        "target": _listed(target),
        "said": _listed(target),
        "right": _listed(target - x),
        "identity": _listed(x - x),
    }


def _alexnet_input() -> Values:
    layer, right = _ALEXNET[0]
    said, kernel, stride = 224, layer.kernel_size[0], layer.stride[0]
    padded = _layer(3, 96, said, kernel, stride, pad=2)
    return {
        "said": said,
        "right": right[0],
        "kernel": kernel,
        "stride": stride,
        "uneven": (said - kernel) / stride + 1,
        "side": layer.output_size(right)[0],
        "padding": padded.padding[0][0],
        "padded": padded.output_size(_square(said))[0],
    }


def _flops() -> Values:
    costs = _vgg_costs(_VGG["VGG-16"])
    macs = costs["macs"] + costs["dense_macs"]
    return {
        "said": round(1e9 * lesson_facts("slips")["vgg16.flops"]["value"]),
        "macs": macs,
        "right": 2 * macs,
        "convolutions": costs["macs"],
    }


def _googlenet_stem() -> Values:
    layer = _layer(3, 64, 224, 7, 2, pad=3)
    macs = layer.multiplications(_square(224))
    said = round(1e6 * lesson_facts("slips")["googlenet.stem"]["value"])
    return {
        "said": said,
        "right": macs,
        "side": layer.output_size(_square(224))[0],
        "filters": layer.out_channels,
        "kernel": layer.kernel_size[0],
        "channels": layer.in_channels,
        "ratio": round(macs / said, 1),
    }


def _human() -> Values:
    found = people()
    first, second = found["a1"], found["a2"]
    return {
        "said": _percent(first["person"]["error"]),
        "n": first["n"],
        "wrong": first["person"]["wrong"],
        "low": _percent(first["person"]["low"]),
        "high": _percent(first["person"]["high"]),
        "confidence": round(100 * CONFIDENCE),
        "network": _percent(first["network"]["error"]),
        "second": _percent(second["person"]["error"]),
        "second_n": second["n"],
    }


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _ensemble() -> Values:
    facts = lesson_facts("history")
    return {
        "said": facts["alexnet.ensemble"]["value"],
        "networks": facts["alexnet.members"]["value"],
        "right": facts["alexnet.top5"]["value"],
        "googlenet_said": facts["googlenet.ensemble"]["value"],
        "googlenet_networks": facts["googlenet.members"]["value"],
        "googlenet": facts["googlenet.top5"]["value"],
    }


#: Each slip by its name, in the order of the page.
SLIPS: Mapping[str, Callable[[], Values]] = {
    "conv1d": _conv1d,
    "maps": _maps,
    "cost": _cost,
    "flops": _flops,
    "lenet_layers": _lenet_layers,
    "lenet_pooling": _lenet_pooling,
    "alexnet_input": _alexnet_input,
    "neurons": _neurons,
    "ensemble": _ensemble,
    "flatten": _flatten,
    "vgg_dense": _vgg_dense,
    "googlenet_stem": _googlenet_stem,
    "residual": _residual,
    "human": _human,
}


def _ask() -> Values:
    """Return a layer on several maps, and the weights that it would have with one kernel for each filter."""
    layer = _layer(16, 32, 14, 3, pad=1)
    kernel = layer.kernel_size[0]
    return {
        "channels": layer.in_channels,
        "filters": layer.out_channels,
        "kernel": kernel,
        "said": kernel * kernel * layer.out_channels,
        "one": layer.parameters // layer.out_channels,
        "right": layer.parameters,
    }


def slips() -> dict[str, Any]:
    """Return the values of each slip by its name, the row and kernel to edit, and the numbers of the question."""
    return {
        "slips": {name: dict(compute()) for name, compute in SLIPS.items()},
        "row": _ROW,
        "kernel": _KERNEL,
        "ask": _ask(),
        "vgg": [{"name": name, **_shares(_vgg_costs(depths))} for name, depths in _VGG.items()],
    }


LESSON = Lesson(name="slips", data=slips)
