"""The interface of quantisers, which turn a model in float32 into one that computes in int8.

`hubel.inference.engines.nncf_quantiser.NncfQuantiser` serves OpenVINO's graphs, which live as long as a process and may
use what its processor has. `hubel.export.quantise.OnnxQuantiser` serves exported files, which must compute the same on
every processor and engine; it also measures the cost of int8. Settings are arguments of the constructor.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

__all__ = ["Quantiser"]

Model = TypeVar("Model")


class Quantiser(Protocol[Model]):
    """A quantiser of models of one type."""

    def quantise(self, model: Model, samples: NDArray[Any]) -> Model:
        """Return a model in int8, with the ranges of its maps taken from samples; the given model stays unchanged.

        Args:
            model: model in float32.
            samples: inputs of the model, `(n, ...)`, n >= 1.
        """
        ...
