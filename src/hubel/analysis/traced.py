"""Tensors without values that carry their receptive field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from hubel.analysis import receptive
from hubel.analysis.receptive import Field

__all__ = ["RULES", "Call", "Traced", "combined", "everywhere", "inferred", "like", "shape_of", "traced"]

Axes = tuple[int, int]
_OF_MAPS: Axes = (2, 3)  # rows and columns of `(n, c, h, w)`

# Rules by torch function; the shapes of other functions are inferred.
RULES: dict[Any, Callable[..., Any]] = {}


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes:
        name: name of the module; empty for the network itself.
        module: the module.
        shape: output shape for one input, without the batch; with the first axis where it is not the batch alone, such
            as windows of an image. Of several outputs that of the first; empty if it is no tensor.
        field: receptive field of the output; None where each value depends on the whole image and has no position.
        macs: multiply-adds of convolutions and matrix products in this module, without those of its submodules.
        not_counted: products in this module whose multiply-adds are not known, such as "aten._fft_r2c".
        parent: the call of the module that made this one; None for the first.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...] = ()
    field: Field | None = None
    macs: int = 0
    not_counted: set[str] = dataclasses.field(default_factory=set)
    parent: Call | None = None


class Traced(Tensor):
    """A tensor on the `meta` device with its receptive field and the module calls under way.

    Attributes:
        field: receptive field of its values; None where they have no position.
        axes: which axes are rows and columns: 2 and 3, or others after a permutation.
        calls: the module calls under way.
    """

    field: Field | None
    axes: Axes
    calls: list[Call]

    @property
    def map_field(self) -> Field | None:
        """The receptive field of maps `(n, c, h, w)`; None for tensors in another order."""
        return self.field if self.axes == _OF_MAPS else None

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Apply the rule of a torch function, or infer its output."""
        rule = RULES.get(func)
        if rule is not None:
            return rule(*args, **(kwargs or {}))
        return inferred(func, args, kwargs or {})


def traced(
    shape: Sequence[int],
    field: Field | None,
    calls: list[Call],
    dtype: torch.dtype = torch.float32,
    axes: Axes = _OF_MAPS,
) -> Traced:
    """Create a traced tensor; no operator of the network, so none is counted."""
    with torch._C._DisableTorchDispatch():  # a quarter of the time that it takes under a dispatch mode
        tensor = torch.empty(tuple(shape), dtype=dtype, device="meta").as_subclass(Traced)
    tensor.field, tensor.axes, tensor.calls = field, axes, calls
    return tensor


def shape_of(x: Tensor) -> torch.Size:
    """Return the shape, bypassing `__torch_function__`."""
    with torch._C.DisableTorchFunctionSubclass():
        return x.shape


def like(x: Traced, shape: Sequence[int], field: Field | None) -> Traced:
    """Create a traced tensor of the same forward pass, whose rows and columns are the same axes."""
    return traced(shape, field, x.calls, axes=x.axes)


def everywhere(x: Traced) -> Traced:
    """Return the tensor after a function by which each value depends on those at all places, too."""
    return x if x.field is None or x.field.whole else like(x, shape_of(x), x.field._replace(whole=True))


def inferred(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a function by torch's shape inference; outputs of the size of the inputs get the union of their fields."""
    inputs: list[Traced] = []

    def unwrap(value: Any) -> Any:
        if isinstance(value, Traced):
            inputs.append(value)
        if isinstance(value, Tensor) and not value.is_meta:
            return value.detach().to("meta")
        return value

    def wrap(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_meta:
            return value
        if isinstance(value, Traced) and any(value is x for x in inputs):
            return value
        return combined(value.shape, inputs, value.dtype)

    with torch._C.DisableTorchFunctionSubclass():
        args, kwargs = tree_map(unwrap, (tuple(args), dict(kwargs)))
        result = func(*args, **kwargs)
        return tree_map(wrap, result) if inputs else result


def combined(shape: Sequence[int], inputs: Sequence[Traced], dtype: torch.dtype = torch.float32) -> Traced:
    """Create the output of a function whose values keep the places of those inputs that have as many of them."""
    fields: list[Field] = []
    axes, whole = _OF_MAPS, False
    for x in inputs:
        size, (rows, columns) = shape_of(x), x.axes
        same = len(size) == len(shape) == 4 and (size[rows], size[columns]) == (shape[rows], shape[columns])
        if same and x.field is not None and (not fields or x.axes == axes):
            fields.append(x.field)
            axes = x.axes
        else:
            whole = True
    field = receptive.union(fields) if fields else None
    return traced(shape, field._replace(whole=True) if field and whole else field, inputs[0].calls, dtype, axes)
