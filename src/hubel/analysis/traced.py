"""Tensors without values that know their receptive field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from hubel.analysis import receptive
from hubel.analysis.receptive import Field

__all__ = ["RULES", "Call", "Traced", "inferred", "like", "shape_of", "together", "traced"]

# How a function of torch's changes shape and field, where that is known; the others are inferred.
RULES: dict[Any, Callable[..., Any]] = {}


@dataclass(eq=False)
class Call:
    """One use of one module.

    Attributes:
        name: of the module; empty for the network itself.
        module: the module.
        shape: of its output, without the batch; empty where it is no tensor.
        field: receptive field of its output; None where each number depends on the whole image and has no place.
        macs: multiply-adds of convolutions and linear layers made directly by it, not by modules within it.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...] = ()
    field: Field | None = None
    macs: int = 0


class Traced(Tensor):
    """A tensor on the `meta` device that knows its receptive field, and who uses it."""

    seen: Field | None
    calls: list[Call]

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Every function of torch comes through here."""
        rule = RULES.get(func)
        if rule is not None:
            return rule(*args, **(kwargs or {}))
        return inferred(func, args, kwargs or {})


def traced(shape: Sequence[int], seen: Field | None, calls: list[Call]) -> Traced:
    """A new one."""
    tensor = torch.empty(tuple(shape), device="meta").as_subclass(Traced)
    tensor.seen, tensor.calls = seen, calls
    return tensor


def shape_of(x: Tensor) -> torch.Size:
    """The shape, without the detour through `__torch_function__`."""
    with torch._C.DisableTorchFunctionSubclass():
        return x.shape


def like(x: Traced, shape: Sequence[int], seen: Field | None) -> Traced:
    """A new one in the same pass."""
    return traced(shape, seen, x.calls)


def inferred(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result by torch's own inference; a map of the size of those that went in sees what they see together."""
    found: list[Traced] = []

    def bare(value: Any) -> Any:
        if isinstance(value, Traced):
            found.append(value)
        if isinstance(value, Tensor) and not value.is_meta:
            return value.detach().to("meta")
        return value

    def dressed(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_meta:
            return value
        if isinstance(value, Traced) and any(value is x for x in found):
            return value
        return traced(value.shape, together(value.shape, found), found[0].calls)

    with torch._C.DisableTorchFunctionSubclass():
        args, kwargs = tree_map(bare, (tuple(args), dict(kwargs)))
        result = func(*args, **kwargs)
        return tree_map(dressed, result) if found else result


def together(shape: Sequence[int], inputs: Sequence[Traced]) -> Field | None:
    """What a result of some shape sees, when it keeps the places of the maps that it is made of."""
    aligned, whole = [], False
    for x in inputs:
        size = shape_of(x)
        if len(size) == len(shape) == 4 and size[2:] == tuple(shape)[2:] and x.seen is not None:
            aligned.append(x.seen)
        else:
            whole = True
    if not aligned:
        return None
    seen = receptive.union(aligned)
    return seen._replace(whole=True) if whole else seen
