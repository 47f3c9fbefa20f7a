"""What each layer of a network costs and sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hubel.analysis.receptive import Field
from hubel.analysis.tracing import Call, trace
from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model, find
from hubel.weights.create import is_file_name
from hubel.weights.model_file import model_path, read_card

__all__ = ["Layer", "Summary", "summarise", "summary"]

_FLOAT_BYTES = 4
_FREE = (nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d)  # they hand on what they get when nothing is learnt


@dataclass(frozen=True)
class Layer:
    """One layer, or a block of them.

    Attributes:
        name: of the module.
        kind: its class.
        detail: window, stride, padding, groups, where it has them.
        shape: of its output, without the batch.
        params: numbers that it has; 0 where an earlier layer has shown them already.
        macs: multiply-adds of convolutions and linear layers for one input.
        memory: bytes that its results take for one input as float32; results in place take none.
        field: receptive field of its output; None where each number depends on the whole image and has no place.
        block: whether it stands for the layers within it, whose numbers it sums up.
    """

    name: str
    kind: str
    detail: str
    shape: tuple[int, ...]
    params: int
    macs: int
    memory: int
    field: Field | None
    block: bool = False

    @property
    def depth(self) -> int:
        """How many modules it lies within, itself included."""
        return self.name.count(".") + 1


@dataclass(frozen=True)
class Summary:
    """A network in numbers, for one input.

    Attributes:
        title: what was looked at.
        inputs: shapes without the batch.
        rows: every layer that computes something, and every block, in the order in which they end.
        params: numbers that the network has.
        trainable: those that it learns.
        bytes: of parameters and buffers.
    """

    title: str
    inputs: tuple[tuple[int, ...], ...]
    rows: tuple[Layer, ...]
    params: int
    trainable: int
    bytes: int

    @property
    def layers(self) -> list[Layer]:
        """The rows without blocks."""
        return [row for row in self.rows if not row.block]

    @property
    def macs(self) -> int:
        """Multiply-adds of all convolutions and linear layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def memory(self) -> int:
        """Bytes that all results take."""
        return sum(layer.memory for layer in self.layers)

    @property
    def weighted_layers(self) -> int:
        """Convolutions and linear layers, those in shortcuts and gates included."""
        return sum(layer.macs > 0 for layer in self.layers)

    @property
    def unused(self) -> int:
        """Numbers of modules that this input did not meet, such as auxiliary classifiers."""
        return self.params - sum(layer.params for layer in self.layers)

    @property
    def field(self) -> Field | None:
        """The receptive field of the last map."""
        return next((row.field for row in reversed(self.rows) if row.field is not None), None)

    def at_depth(self, depth: int) -> list[Layer]:
        """Layers less than `depth` modules deep, and the blocks that stand for deeper ones; 0 gives every layer."""
        if depth < 1:
            return self.layers
        blocks = {row.name for row in self.rows if row.block and row.depth == depth}
        return [
            row
            for row in self.rows
            if (row.name in blocks if row.block else row.depth <= depth and row.name not in blocks)
        ]

    def fitting(self, rows: int) -> int:
        """The largest depth that needs no more rows than these; 0 if every layer fits."""
        if len(self.layers) <= rows:
            return 0
        depths = range(max(layer.depth for layer in self.layers), 1, -1)
        return next((depth for depth in depths if len(self.at_depth(depth)) <= rows), 1)

    def sections(self) -> dict[str, tuple[int, int]]:
        """Parameters and multiply-adds of stem, stages and head; of another's network, of its outermost modules."""
        found: dict[str, tuple[int, int]] = {}
        for layer in self.layers:
            first, *rest = layer.name.split(".")
            name = f"stage{int(rest[0]) + 1}" if first == "stages" and rest and rest[0].isdigit() else first
            params, macs = found.get(name, (0, 0))
            found[name] = (params + layer.params, macs + layer.macs)
        return found


def summary(model: nn.Module | str | Path, *input_shapes: Sequence[int]) -> Summary:
    """What each layer of a network costs and sees, for one input.

    Args:
        model: any module, which is left exactly as it was; or the name of a network in the catalogue, or a model file
            or the folder of a run, of which nothing is computed nor loaded.
        input_shapes: of each input, without the batch; what the network was made for if not given, which another's
            module needs.

    Raises:
        OptionError: the shape is missing, or the network cannot take it.
        UnknownNameError: there is no such network.
        ModelFileError: the file is missing or damaged.

    >>> found = summary("resnet50")
    >>> found.params, found.macs, found.field.rows.size
    (25557032, 4089184256, 427)
    """
    if isinstance(model, nn.Module):
        if not input_shapes:
            raise OptionError("give the shape of the input, such as summary(module, (3, 224, 224))")
        return summarise(model, type(model).__name__, input_shapes)
    with torch.device("meta"):
        if is_file_name(model):
            card = read_card(model_path(Path(model)))
            network, p = card.create(), card.preprocess
            title, shape = f"{card.model} in {model}", (p.channels, p.height, p.width)
        else:
            title, variant = find(str(model))
            channels, height, width = input_shapes[0] if input_shapes else variant.shape
            network = build_model(title, in_channels=channels, input_size=(height, width))
            shape = (channels, height, width)
    return summarise(network, title, input_shapes or (shape,))


def summarise(network: nn.Module, title: str, input_shapes: Sequence[Sequence[int]]) -> Summary:
    """The summary of a module that is there already."""
    rows: list[Layer] = []
    counted: set[int] = set()
    ends: dict[str, int] = {}  # how many rows there were when a module had ended
    for call in trace(network, *input_shapes):
        # What lies within a module ends before it, so its rows are the last ones.
        start = len(rows)
        while start > ends.get(call.name, 0) and rows[start - 1].name.startswith(f"{call.name}." if call.name else ""):
            start -= 1
        within = [row for row in rows[start:] if not row.block]
        # Modules within that were not called have been used all the same.
        own = [p for p in call.module.parameters(recurse=not within) if id(p) not in counted]
        counted.update(map(id, own))
        if own or call.macs or not within:
            memory = 0 if within or not call.shape or _free(call.module) else _FLOAT_BYTES * math.prod(call.shape)
            within.append(_layer(call, sum(p.numel() for p in own), call.macs, memory))
            rows.append(within[-1])
        if call.name and (len(within) > 1 or within[0].name != call.name):
            params, macs, memory = (sum(getattr(x, name) for x in within) for name in ("params", "macs", "memory"))
            rows.append(replace(_layer(call, params, macs, memory), block=True))
        ends[call.name] = len(rows)
    everything = list(network.parameters())
    return Summary(
        title,
        tuple(tuple(shape) for shape in input_shapes),
        tuple(rows),
        sum(p.numel() for p in everything),
        sum(p.numel() for p in everything if p.requires_grad),
        sum(t.numel() * t.element_size() for t in [*everything, *network.buffers()]),
    )


def _layer(call: Call, params: int, macs: int, memory: int) -> Layer:
    detail = _detail(call.module)
    return Layer(call.name, type(call.module).__name__, detail, call.shape, params, macs, memory, call.field)


def _free(module: nn.Module) -> bool:
    return isinstance(module, _FREE) or bool(getattr(module, "inplace", False))


def _detail(module: nn.Module) -> str:
    """Window, and what differs from the usual: "7x7 stride 2 pad 3"."""
    window: Any = getattr(module, "kernel_size", None)
    if window is None:
        return ""
    parts = [f"{window}x{window}" if isinstance(window, int) else "x".join(map(str, window))]
    for attribute, word, usual in (
        ("stride", "stride", 1), ("padding", "pad", 0), ("dilation", "dilation", 1), ("groups", "groups", 1),
    ):  # fmt: skip
        value: Any = getattr(module, attribute, usual)
        numbers = set(value) if isinstance(value, tuple) else {value}
        if numbers != {usual}:
            parts.append(f"{word} {'x'.join(map(str, value)) if len(numbers) > 1 else numbers.pop()}")
    return " ".join(parts)
