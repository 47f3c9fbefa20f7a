"""Run a network over images and leave it as it was found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.errors import ModelFileError
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch, Samples, network_input
from hubel.inference.device import device_of
from hubel.inference.fold import folded
from hubel.inference.stream import batch_size
from hubel.nn.evaluating import evaluating

__all__ = ["forward", "output_batches", "outputs", "reportable"]

Number = TypeVar("Number", bound=np.floating)

if hasattr(os, "register_at_fork"):  # not on Windows
    # The threads of OpenMP do not live on in a forked child, which would wait for them for ever (libgomp).
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def forward(network: nn.Module, pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    """Return outputs `(n, c)` of resized images uint8 `(n, h, w, c)`, computed in float32.

    Raises:
        ModelFileError: an output is NaN or infinite.
    """
    return reportable(_outputs(network, network_input(pixels, preprocess)))


def _outputs(network: nn.Module, x: Tensor) -> NDArray[np.float32]:
    device = device_of(network)
    with evaluating(network):
        return network(x.to(device)).float().cpu().numpy()  # type: ignore[no-any-return]


def reportable(values: NDArray[Number], name: str = "outputs") -> NDArray[Number]:
    """Return values that may be reported: weights that are finite can still be so large that these are not.

    Args:
        values: of a network.
        name: noun in the plural, for the message.

    Raises:
        ModelFileError: a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ModelFileError(
            f"the network's {name} are NaN or infinite: its weights are damaged, or far too large for float32"
        )
    return values


def output_batches(
    network: nn.Module, images: Samples, *, finite: bool = True, first: int = 0, every: int = 1
) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Yield all images in order, batch by batch, with their outputs `(b, c)`.

    Args:
        network: left as it was found.
        images: what the network looks at.
        finite: refuse outputs that are NaN or infinite; training has more to say of them.
        first: of all batches, the number of the first one that is wanted.
        every: wanted is each one that comes so many later.

    Raises:
        ModelFileError: an output is NaN or infinite, if `finite`.
    """
    quick = folded(network)
    for batch in images.in_sequence(batch_size(images.preprocess), first=first, every=every):
        found = _outputs(quick, images.network_input(batch.pixels))
        yield batch, reportable(found) if finite else found


def outputs(network: nn.Module, images: Samples) -> NDArray[np.float32]:
    """Return outputs `(n, c)` of all images, in order.

    Raises:
        ModelFileError: an output is NaN or infinite.
    """
    return np.concatenate([part for _, part in output_batches(network, images)])
