"""Torch itself as an engine: it runs every network, with batch norms folded, and needs no conversion."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.inference.engines.engine import Engine, ModuleRunner, ModuleSupport, Precision

if TYPE_CHECKING:
    from hubel.inference.engines.frozen import FrozenNetwork

__all__ = ["ENGINE"]


def _float32(frozen: FrozenNetwork) -> ModuleRunner:
    return _open(frozen, Precision.FLOAT32)


def _bfloat16(frozen: FrozenNetwork) -> ModuleRunner:
    return _open(frozen, Precision.BFLOAT16)


def _open(frozen: FrozenNetwork, precision: Precision) -> ModuleRunner:
    import torch  # what only runs exported files does without

    dtype = torch.bfloat16 if precision is Precision.BFLOAT16 else torch.float32
    network = frozen.network if dtype == torch.float32 else copy.deepcopy(frozen.network).to(dtype)

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = torch.from_numpy(images if images.flags.writeable else images.copy())  # it has no read-only tensors
        with torch.inference_mode():
            outputs = network(batch.to(dtype, memory_format=torch.channels_last))
        return outputs.float().numpy()  # type: ignore[no-any-return]

    return run


ENGINE = Engine(
    name="torch",
    package="torch",
    modules=(
        ModuleSupport(precision=Precision.FLOAT32, open=_float32),
        ModuleSupport(precision=Precision.BFLOAT16, open=_bfloat16, most_gain=3.0),
    ),
)
