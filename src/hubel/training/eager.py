"""torch's optimizers without its compiler, which takes longer to import than torch itself."""

from __future__ import annotations

import inspect
from typing import TypeVar, cast

import torch

__all__ = ["eager"]

_O = TypeVar("_O", bound=torch.optim.Optimizer)

#: Methods whose wrappers keep the compiler out, and import `torch._dynamo` for it (1.8 s of one core).
_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


def eager(kind: type[_O]) -> type[_O]:
    """Return the same optimizer with these methods unwrapped: nothing that hubel compiles contains an optimizer.

    `step` is wrapped to turn gradients off, too: here by `torch.no_grad`.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    return cast("type[_O]", type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])}))
