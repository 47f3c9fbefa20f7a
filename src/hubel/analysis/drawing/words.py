"""Name the functions of a network as papers do: "3x3 conv, 64, /2"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hubel.analysis.dataflow import Step

__all__ = ["HEAVY", "Label", "class_words", "count_words", "label_of", "shape_text", "shapes_text"]

#: Kinds that a box of its own is drawn for.
HEAVY = frozenset({"conv", "linear", "pool", "other"})


class Label(NamedTuple):
    """Words for one function.

    Attributes:
        kind: "conv", "linear", "pool", "light" (norms, activations and what only rearranges), "other", "add",
            "multiply" or "concat".
        text: the words; empty for a function that changes nothing.
    """

    kind: str
    text: str


_LIGHT = {
    "batch_norm": "batch norm", "layer_norm": "layer norm", "instance_norm": "instance norm",
    "rms_norm": "RMS norm", "local_response_norm": "response norm", "normalize": "normalise",
    "relu": "ReLU", "relu6": "ReLU6", "hardtanh": "ReLU6", "silu": "SiLU", "gelu": "GELU", "elu": "ELU", "selu": "SELU",
    "leaky_relu": "leaky ReLU", "prelu": "PReLU", "hardswish": "hard-swish", "hardsigmoid": "hard-sigmoid",
    "sigmoid": "sigmoid", "tanh": "tanh", "softmax": "softmax", "log_softmax": "log softmax", "mish": "Mish",
    "flatten": "flatten", "reshape": "reshape", "view": "reshape", "permute": "permute", "transpose": "transpose",
    "pad": "pad", "add": "add", "sub": "subtract", "mul": "scale", "div": "divide", "exp": "exp", "clamp": "clamp",
    "getitem": "slice", "square": "square", "pow": "power", "sqrt": "root", "sum": "sum", "neg": "negate", "log": "log",
    "pixel_shuffle": "pixel shuffle", "unsqueeze": "unsqueeze", "squeeze": "squeeze", "chunk": "split",
    "split": "split", "unbind": "split", "abs": "absolute", "expand": "expand", "repeat": "repeat",
}  # fmt: skip
_OTHER = {
    "multi_head_attention_forward": "multi-head attention", "scaled_dot_product_attention": "attention", "lstm": "LSTM",
    "gru": "GRU", "matmul": "matrix product", "bmm": "matrix product", "einsum": "einsum", "cat": "concatenate",
}  # fmt: skip
_NOTHING = {"contiguous", "to", "type_as", "float", "clone", "detach", "identity", "alias", "requires_grad"}
_JOINS = {"add": ("add", "+"), "mul": ("multiply", "x"), "cat": ("concat", "concatenate")}


def label_of(step: Step) -> Label:
    """Return kind and words of a step."""
    if step.function in _JOINS and len(step.inputs) > 1:
        return Label(*_JOINS[step.function])
    if step.function in _NOTHING:
        return Label("light", "")
    if step.function in _BY_SETTINGS:
        return _BY_SETTINGS[step.function](step)
    if step.function in _LIGHT:
        return Label("light", _LIGHT[step.function])
    return Label("other", _OTHER.get(step.function, step.function.replace("_", " ")))


def _convolution(step: Step) -> Label:
    settings = step.settings
    out, per_group, *kernel = settings.get("weight", (step.shape[0], 0, 1))
    groups = settings.get("groups", 1)
    transposed = step.function.startswith("conv_transpose")
    in_channels = out if transposed else per_group * groups
    out = per_group * groups if transposed else out
    depthwise = groups == in_channels > 1
    words = [_size(kernel), "depthwise" if depthwise else "", "transposed" if transposed else "", "conv"]
    parts = [" ".join(word for word in words if word), str(out)]
    stride = _size(settings.get("stride", 1))
    if stride not in ("1", "1x1"):
        parts.append(f"{'x' if transposed else '/'}{_shortest(stride)}")
    if groups > 1 and not depthwise:
        parts.append(f"{groups} groups")
    dilation = _size(settings.get("dilation", 1))
    if dilation not in ("1", "1x1"):
        parts.append(f"dilation {_shortest(dilation)}")
    return Label("conv", ", ".join(parts))


def _linear(step: Step) -> Label:
    return Label("linear", f"fully connected, {step.settings.get('weight', step.shape)[0]}")


def _pool(step: Step) -> Label:
    kernel, kind = step.settings.get("kernel_size", 1), "max" if step.function.startswith("max") else "average"
    size = _size([kernel, kernel] if isinstance(kernel, int) else kernel)
    stride = step.settings.get("stride")
    step_text = size if stride is None or stride == [] else _size(stride)
    if size == "1x1":  # as in shortcuts that take every second pixel
        return Label("pool", f"every {_shortest(step_text)} pixels")
    tail = "" if step_text in ("1", "1x1") else f", /{_shortest(step_text)}"
    return Label("pool", f"{size} {kind} pool{tail}")


def _adaptive_pool(step: Step) -> Label:
    before, kind = step.inputs[0].shape, "max" if "max" in step.function else "average"
    if before == step.shape:
        return Label("light", "")
    if step.shape[1:] in ((1, 1), (1,)):
        return Label("pool", f"global {kind} pool")
    return Label("pool", f"{kind} pool to {_size(step.shape[1:])}")


def _mean(step: Step) -> Label:
    dims = step.settings.get("dim")
    whole = dims is not None and set(dims if isinstance(dims, list | tuple) else [dims]) in ({2, 3}, {-1, -2})
    return Label("pool", "global average pool") if whole else Label("light", "mean")


def _interpolate(step: Step) -> Label:
    before, after = step.inputs[0].shape, step.shape
    mode = step.settings.get("mode", "nearest")
    sides = list(zip(before[1:], after[1:], strict=False))
    by = {b // a for a, b in sides} if all(b % a == 0 for a, b in sides) else set()
    size = f"x{by.pop()}" if len(by) == 1 else f"to {_size(after[1:])}"
    return Label("other", f"upsample {size}, {mode}")


def _dropout(step: Step) -> Label:
    p = step.settings.get("p", 0.5)
    return Label("light", f"dropout {p:g}" if p else "")


def _group_norm(step: Step) -> Label:
    return Label("light", "group norm")


_BY_SETTINGS: dict[str, Callable[[Step], Label]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose2d"), _convolution),
    "linear": _linear,
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _pool),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    "mean": _mean,
    "interpolate": _interpolate,
    **dict.fromkeys(("dropout", "dropout2d"), _dropout),
    "group_norm": _group_norm,
}


def _size(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, Sequence) else str(value)


def _shortest(size: str) -> str:
    """Return "2" for "2x2"."""
    sides = set(size.split("x"))
    return sides.pop() if len(sides) == 1 else size


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as the papers write it.

    >>> shape_text((64, 56, 56))
    '64x56x56'
    """
    return "x".join(map(str, shape))


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    """Return one or several shapes; of several, the first and the last.

    >>> shapes_text([(96, 56, 56), (128, 56, 56), (160, 56, 56)])
    '96…160x56x56'
    """
    found = list(dict.fromkeys(map(tuple, shapes)))
    if len(found) <= 1:
        return shape_text(found[0]) if found else ""
    first, last = found[0], found[-1]
    if len(first) == len(last) and first[1:] == last[1:]:
        return shape_text((f"{first[0]}…{last[0]}", *first[1:]))  # type: ignore[arg-type]
    return f"{shape_text(first)} … {shape_text(last)}"


_PLAIN_CLASSES = {"Sequential", "ModuleList", "ModuleDict", "Module", "ConvNorm"}


def class_words(name: str) -> str:
    """Return the name of a class as words; empty for a class that only contains others.

    >>> class_words("InvertedResidual"), class_words("DenseLayer"), class_words("Sequential")
    ('Inverted residual', 'Dense layer', '')
    """
    if name in _PLAIN_CLASSES:
        return ""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.lstrip("_"))
    return " ".join([*words[:1], *(word if word.isupper() else word.lower() for word in words[1:])])


_UNITS = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def count_words(params: int, macs: int) -> str:
    """Return parameters and multiply-adds in a few characters; empty if there are none.

    >>> count_words(36_928, 115_605_504)
    '36.9 k params, 116 M MACs'
    """
    named: Mapping[str, int] = {"params": params, "MACs": macs}
    return ", ".join(f"{_short(value)} {name}" for name, value in named.items() if value)


def _short(value: int) -> str:
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.3g}{unit}" if value / size < 999.5 else f"{value / size:.0f}{unit}"
    return str(value)
