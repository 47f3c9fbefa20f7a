"""The program of `torch.export`: the network as one graph of operators, run without the Python code of its modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.inference.engines.engine import Engine, ModuleRunner, ModuleSupport, Precision
from hubel.inference.quiet import undisturbed

if TYPE_CHECKING:
    from hubel.inference.engines.frozen import FrozenNetwork

__all__ = ["ENGINE"]


def _float32(frozen: FrozenNetwork) -> ModuleRunner:
    import torch  # what only runs exported files does without

    # With an example of two images: torch.export takes a size of 1 for a constant.
    example = torch.from_numpy(frozen.samples[[0, -1]])
    with undisturbed(), torch.no_grad():
        program = torch.export.export(frozen.network, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    graph = program.module()

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = torch.from_numpy(images if images.flags.writeable else images.copy())  # it has no read-only tensors
        with torch.inference_mode():
            outputs = graph(batch.to(memory_format=torch.channels_last))
        return outputs.numpy()  # type: ignore[no-any-return]

    return run


ENGINE = Engine(
    name="torch_export",
    package="torch",
    # The same kernels as torch's own: it cannot be faster by more than the calls of Python, so "auto" leaves it out.
    modules=(ModuleSupport(precision=Precision.FLOAT32, open=_float32, automatic=False),),
)
