"""The interface of quantisers: a model in float32 becomes one that computes in int8.

`hubel.inference.engines.nncf_quantiser.NncfQuantiser` serves OpenVINO's graphs, which live as long as a process and may
use what its processor has; `hubel.export.quantise.OnnxQuantiser` serves exported files, which must compute the same on
every processor and engine, and say what 8 bits cost.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

__all__ = ["Quantiser"]

Model = TypeVar("Model")


class Quantiser(Protocol[Model]):
    """Something that quantises models of one kind."""

    def quantise(self, model: Model, samples: NDArray[Any]) -> Model:
        """Return the model in int8, with the ranges of its maps taken from `samples`; the model is left unchanged.

        Args:
            model: in float32.
            samples: inputs as the model takes them, `(n, ...)`, n >= 1.
        """
        ...
