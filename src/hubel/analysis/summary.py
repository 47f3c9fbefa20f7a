"""Summarise the layers of a network: shapes, parameters, multiply-adds, memory and receptive fields."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from hubel.analysis.receptive import Field
from hubel.analysis.tracing import Call, trace
from hubel.analysis.untrained import untrained
from hubel.models.gan import AdversarialNetwork

__all__ = ["PAGE", "Layer", "Summary", "summarise", "summary"]

PAGE = 60  # rows of a table that is still looked through

_FLOAT_BYTES = 4
_FREE = (nn.Identity, nn.Flatten, nn.Unflatten, _DropoutNd)  # the identity at inference, but for the shape


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer, or a block of layers.

    Attributes:
        name: name of the module.
        kind: class of the module.
        detail: kernel size, stride, padding, dilation and groups; empty without a kernel.
        shape: output shape for one input, without the batch; where windows, positions or frames are folded into the
            batch, their number comes first.
        params: parameters; those shared with an earlier layer are not counted again.
        macs: multiply-adds of convolutions and matrix products, such as linear layers and attention, for one input.
        memory: bytes of the output for one input as float32; 0 for operations in place.
        field: receptive field of the output; None where each value depends on the whole image and has no position.
        block: True for a module that stands for the layers within it; its numbers are their sums.
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
        """Nesting depth of the module, 1 for a child of the network."""
        return self.name.count(".") + 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Summary:
    """Layers and totals of a network for one input; printed, and at the end of a notebook's cell, a table of them.

    Attributes:
        title: name of the network.
        inputs: input shapes without the batch.
        rows: layers and blocks, in the order in which their calls return.
        params: parameters of the network.
        trainable: parameters that require gradients.
        statistics: numbers in buffers, such as the running means and variances of batch norms.
        bytes: bytes of parameters and buffers.
        not_counted: modules whose multiply-adds are not all known, by the operator that is not counted, such as
            "aten._fft_r2c".
        output_field: receptive field of the output; None where it is no map.
        description: what the network is, in one line; empty for a module.
    """

    title: str
    inputs: tuple[tuple[int, ...], ...]
    rows: tuple[Layer, ...]
    params: int
    trainable: int
    statistics: int
    bytes: int
    not_counted: Mapping[str, tuple[str, ...]]
    output_field: Field | None = None
    description: str = ""

    def __repr__(self) -> str:
        return f"Summary({self.title!r}, {self.params:,} parameters, {self.macs:,} multiply-adds)"

    def __str__(self) -> str:
        from hubel.analysis.listing import to_text

        return to_text(self)

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows."""
        from hubel.analysis.listing import to_markdown

        return to_markdown(self.at_depth(self.fitting(PAGE)))

    @property
    def layers(self) -> list[Layer]:
        """Rows without the blocks."""
        return [row for row in self.rows if not row.block]

    @property
    def macs(self) -> int:
        """Multiply-adds of all convolutions and matrix products but those in `not_counted`."""
        return sum(layer.macs for layer in self.layers)

    @property
    def memory(self) -> int:
        """Bytes of all outputs."""
        return sum(layer.memory for layer in self.layers)

    @property
    def weighted_layers(self) -> int:
        """Number of layers that multiply by their weights, including those in shortcuts and gates."""
        return sum(layer.macs > 0 and layer.params > 0 for layer in self.layers)

    @property
    def neurons(self) -> int:
        """Number of outputs of the layers that multiply by their weights, as Krizhevsky et al. 2012 count neurons."""
        return sum(math.prod(layer.shape) for layer in self.layers if layer.macs and layer.params)

    @property
    def unused(self) -> int:
        """Parameters that this input does not use, such as those of auxiliary classifiers."""
        return self.params - sum(layer.params for layer in self.layers)

    @property
    def field(self) -> Field | None:
        """Receptive field of the output, or of the last feature map before it."""
        return self.output_field or next((row.field for row in reversed(self.rows) if row.field is not None), None)

    def at_depth(self, depth: int) -> list[Layer]:
        """Return the layers above nesting depth `depth` and the blocks at it; every layer if `depth` is 0."""
        if depth < 1:
            return self.layers
        blocks = {row.name for row in self.rows if row.block and row.depth == depth}
        return [
            row
            for row in self.rows
            if (row.name in blocks if row.block else row.depth <= depth and row.name not in blocks)
        ]

    def fitting(self, rows: int) -> int:
        """Return the largest depth whose rows are at most `rows`; 0 if every layer fits."""
        if len(self.layers) <= rows:
            return 0
        depths = range(max(layer.depth for layer in self.layers), 1, -1)
        return next((depth for depth in depths if len(self.at_depth(depth)) <= rows), 1)

    def sections(self) -> dict[str, tuple[int, int]]:
        """Sum parameters and multiply-adds by stem, stages and head; for other modules, by their children.

        The sections of a backbone are those of the network.
        """
        found: dict[str, tuple[int, int]] = {}
        for layer in self.layers:
            first, *rest = layer.name.removeprefix("backbone.").split(".")
            name = f"stage{int(rest[0]) + 1}" if first == "stages" and rest and rest[0].isdigit() else first
            params, macs = found.get(name, (0, 0))
            found[name] = (params + layer.params, macs + layer.macs)
        return found


def summary(model: nn.Module | str | os.PathLike[str], *input_shapes: Sequence[int]) -> Summary:
    """Summarise the layers of a network for one input, without computing it.

    Args:
        model: a module, which is left unchanged; or the name of a network in the catalogue, a model file, or the folder
            of a run, whose weights are not loaded.
        input_shapes: shape of each input without the batch; required for a module, otherwise by default the input shape
            of the network.

    Raises:
        OptionError: the shape is missing, or the network cannot take it.
        UnknownNameError: there is no such network.
        ModelFileError: the file is missing or damaged.

    >>> found = summary("resnet50")
    >>> found.params, found.macs, found.field.rows.size
    (25557032, 4089184256, 427)
    """
    found = untrained(model, input_shapes, verb="summary")
    return replace(summarise(found.network, found.title, found.input_shapes), description=found.description)


def summarise(network: nn.Module, title: str, input_shapes: Sequence[Sequence[int]]) -> Summary:
    """Summarise a module under a title."""
    rows: list[Layer] = []
    counted: set[int] = set()
    ends: dict[str, int] = {}  # number of rows when the call of a module returned
    not_counted: dict[str, list[str]] = {}
    output_field = None
    for call in trace(network, *input_shapes, run=_both_parts(network)):
        # Submodules return before their module, so their rows are the last ones.
        start = len(rows)
        while start > ends.get(call.name, 0) and rows[start - 1].name.startswith(f"{call.name}." if call.name else ""):
            start -= 1
        within = [row for row in rows[start:] if not row.block]
        # Parameters of submodules that were not called count for the module that used them.
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
        output_field = output_field if call.name else call.field
        for operator in sorted(call.not_counted):
            not_counted.setdefault(operator, []).append(call.name or title)
    everything, buffers = list(network.parameters()), list(network.buffers())
    return Summary(
        title=title,
        inputs=tuple(tuple(shape) for shape in input_shapes),
        rows=tuple(rows),
        params=sum(p.numel() for p in everything),
        trainable=sum(p.numel() for p in everything if p.requires_grad),
        statistics=sum(b.numel() for b in buffers if b.is_floating_point()),
        bytes=sum(t.numel() * t.element_size() for t in [*everything, *buffers]),
        not_counted={operator: tuple(dict.fromkeys(names)) for operator, names in not_counted.items()},
        output_field=output_field,
    )


def _both_parts(network: nn.Module) -> Callable[[Tensor], object] | None:
    """Return what runs generator and discriminator of an adversarial network, which each work by themselves."""
    if not isinstance(network, AdversarialNetwork):
        return None

    def run(x: Tensor) -> object:
        classes = x.new_zeros(1, network.num_classes)
        network.make(x.new_zeros(1, network.code_size), classes)
        return network.judge(x, classes)

    return run


def _layer(call: Call, params: int, macs: int, memory: int) -> Layer:
    return Layer(
        name=call.name,
        kind=type(call.module).__name__,
        detail=_detail(call.module),
        shape=call.shape,
        params=params,
        macs=macs,
        memory=memory,
        field=call.field,
    )


def _free(module: nn.Module) -> bool:
    return isinstance(module, _FREE) or bool(getattr(module, "inplace", False))


def _detail(module: nn.Module) -> str:
    """Return kernel size and non-default settings, such as "7x7 stride 2 pad 3"."""
    window: Any = getattr(module, "kernel_size", None)
    if window is None:
        return ""
    parts = ["x".join(map(str, window if isinstance(window, list | tuple) else (window, window)))]
    for attribute, word, usual in (
        ("stride", "stride", 1), ("padding", "pad", 0), ("dilation", "dilation", 1), ("groups", "groups", 1),
    ):  # fmt: skip
        value: Any = getattr(module, attribute, usual)
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        if any(number != usual for number in numbers):
            same = all(number == numbers[0] for number in numbers)
            parts.append(f"{word} {numbers[0] if same else 'x'.join(map(str, numbers))}")
    return " ".join(parts)
