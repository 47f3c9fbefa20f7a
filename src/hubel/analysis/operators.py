"""Count the multiply-adds of the operators that a network runs.

The operator counts, not the module that calls it: so functions, attention, and whatever is folded into the batch count.
The formulas are those of `torch.utils.flop_counter`, halved, and a few that it lacks. A product without a formula is
named as not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from hubel.analysis.traced import Call

__all__ = ["OperatorCounter"]

_aten = torch.ops.aten


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    """Return the FLOPs of the products of queries and keys, and of their weights and the values, all `(..., n, d)`."""
    return 2 * math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


# FLOPs of an operator, from its arguments and its output `out_val`.
_FORMULAS: dict[Any, Callable[..., int]] = {
    **FlopCounterMode(display=False).flop_registry,
    _aten.mv: lambda matrix, *_, **__: 2 * matrix.numel(),
    _aten.addmv: lambda _, matrix, *__, **___: 2 * matrix.numel(),
    _aten.dot: lambda one, *_, **__: 2 * one.numel(),
    _aten.addbmm: lambda _, one, other, **__: 2 * one.numel() * other.shape[-1],
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_attention_math_for_mps: _attention,
    _aten._scaled_dot_product_fused_attention_overrideable: _attention,
}
# Words in the names of operators that are, or contain, products of matrices or convolutions.
_PRODUCTS = {
    "attention", "bilinear", "cdist", "conv", "convolution", "dot", "einsum", "encoder", "fft", "gru", "linalg",
    "linear", "lstm", "matmul", "mm", "mv", "rnn", "tensordot", "trilinear", "vdot",
}  # fmt: skip
_OWN = {"aten", "prim", "prims", "profiler"}  # namespaces of torch itself


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Add the multiply-adds of each operator to the innermost call of a module under way.

    Args:
        running: the calls under way; none at the moment if it is empty.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping it would import it, which takes twice as long as all the rest of a summary

    def __init__(self, running: list[Call]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.running = running

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator, or the operators that it is composed of, and count its multiply-adds."""
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", func)
        formula = _FORMULAS.get(packet)
        if formula is None and isinstance(func, torch._ops.OpOverload):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if self.running:
            if formula is not None:
                self.running[-1].macs += formula(*args, **kwargs, out_val=result) // 2
            elif _is_product(func):
                self.running[-1].not_counted.add(str(packet))
        return result


def _is_product(func: Any) -> bool:
    """Return whether an operator without a formula may be a product: by its name, or as torch does not know it."""
    namespace, _, name = func.name().partition("::")
    words = set(name.partition(".")[0].split("_"))
    return namespace not in _OWN or ("norm" not in words and not words.isdisjoint(_PRODUCTS))
