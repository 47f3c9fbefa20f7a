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

__all__ = ["RULES", "Call", "Traced", "inferred", "joint_field", "like", "shape_of", "traced"]

# Rules by torch function; the shapes of other functions are inferred.
RULES: dict[Any, Callable[..., Any]] = {}


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes:
        name: name of the module; empty for the network itself.
        module: the module.
        shape: output shape for one input, without the batch; with the first axis where it is not the batch alone, such
            as windows of an image. Empty if the output is no tensor.
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
    """A tensor on the `meta` device with its receptive field and the module calls under way."""

    field: Field | None
    calls: list[Call]

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Apply the rule of a torch function, or infer its output."""
        rule = RULES.get(func)
        if rule is not None:
            return rule(*args, **(kwargs or {}))
        return inferred(func, args, kwargs or {})


def traced(shape: Sequence[int], field: Field | None, calls: list[Call], dtype: torch.dtype = torch.float32) -> Traced:
    """Create a traced tensor; no operator of the network, so none is counted."""
    with torch._C._DisableTorchDispatch():  # a quarter of the time that it takes under a dispatch mode
        tensor = torch.empty(tuple(shape), dtype=dtype, device="meta").as_subclass(Traced)
    tensor.field, tensor.calls = field, calls
    return tensor


def shape_of(x: Tensor) -> torch.Size:
    """Return the shape, bypassing `__torch_function__`."""
    with torch._C.DisableTorchFunctionSubclass():
        return x.shape


def like(x: Traced, shape: Sequence[int], field: Field | None) -> Traced:
    """Create a traced tensor of the same forward pass."""
    return traced(shape, field, x.calls)


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
        return traced(value.shape, joint_field(value.shape, inputs), inputs[0].calls, value.dtype)

    with torch._C.DisableTorchFunctionSubclass():
        args, kwargs = tree_map(unwrap, (tuple(args), dict(kwargs)))
        result = func(*args, **kwargs)
        return tree_map(wrap, result) if inputs else result


def joint_field(shape: Sequence[int], inputs: Sequence[Traced]) -> Field | None:
    """Return the field of an output whose values keep the positions of the input maps."""
    aligned, whole = [], False
    for x in inputs:
        size = shape_of(x)
        if len(size) == len(shape) == 4 and size[2:] == tuple(shape)[2:] and x.field is not None:
            aligned.append(x.field)
        else:
            whole = True
    if not aligned:
        return None
    field = receptive.union(aligned)
    return field._replace(whole=True) if whole else field
