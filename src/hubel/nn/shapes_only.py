"""Build networks for their shapes: no memory, and no initial weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from hubel.nn.torch_defaults import torch_defaults

__all__ = ["shapes_only"]

# What the layers of torch initialise with. Without values there is nothing to write, and torch takes a fifth of the
# time of building ResNet-152 to find out.
_WRITE: frozenset[Callable[..., Any]] = frozenset(
    {
        *(init.constant_, init.kaiming_normal_, init.kaiming_uniform_, init.normal_, init.uniform_),
        *(Tensor.fill_, Tensor.normal_, Tensor.uniform_, Tensor.zero_),
    }
)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Create tensors on the device `meta` within the block, and leave out what would initialise them.

    They are of float32, as model files are, whatever the caller has made the default of torch.
    """
    with torch_defaults(), torch.device("meta"), _WithoutWriting():
        yield


class _WithoutWriting(TorchFunctionMode):
    """Leave out the initialisation of tensors that have no values."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _WRITE:
            tensor: Tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **kwargs)
