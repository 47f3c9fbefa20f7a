"""A model in an exported file that annotates images. Reading and running it imports no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.inference.answers import answers
from hubel.inference.dense import DenseModel
from hubel.inference.exported_engine import ExportedEngine
from hubel.inference.onnx_file import OnnxFile

__all__ = ["DenseExported"]


class DenseExported(DenseModel):
    """A model that annotates images, in a file made by `hubel export`.

    Args:
        file: what has been read of it.
        engine: see `ExportedEngine`.

    Raises:
        OptionError: the engine is not installed.
        UnknownNameError: there is no such engine.
    """

    def __init__(self, file: OnnxFile, *, engine: str = "auto") -> None:
        super().__init__(file.card)
        self._engine = ExportedEngine(file, engine)
        self._answers = file.answers

    def use_fastest(self) -> None:
        """Run few images on the fastest engine, too, rather than on the one that starts soonest."""
        self._engine.use(self._engine.fastest())

    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = self._engine.one_lane(pixels)
        return found if self._answers else answers(found, self.card)
