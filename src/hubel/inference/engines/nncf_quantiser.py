"""Quantisation of OpenVINO's graphs by NNCF, for this processor."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.inference.quiet import undisturbed

__all__ = ["NncfQuantiser"]


class NncfQuantiser:
    """Quantises an OpenVINO graph by its values on samples; see `hubel.inference.engines.quantiser.Quantiser`."""

    def quantise(self, model: Any, samples: NDArray[Any]) -> Any:
        """Return an OpenVINO graph that computes in int8, with ranges from normalised images float32 `(n, c, h, w)`."""
        import torch

        with undisturbed():
            nncf = importlib.import_module("nncf")
            nncf.set_log_level(logging.ERROR)
            images = [image[None] for image in np.ascontiguousarray(samples)]
            # Without units for int8 sums overflow unless weights have 7 bits.
            fix = nncf.OverflowFix.DISABLE if torch.cpu._is_vnni_supported() else nncf.OverflowFix.ENABLE
            return nncf.quantize(
                model,
                nncf.Dataset(images),
                # The other preset, with asymmetric ranges, agrees no better and is half as fast.
                preset=nncf.QuantizationPreset.PERFORMANCE,
                subset_size=len(images),
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
            )
