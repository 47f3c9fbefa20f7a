"""A classifier that runs an exported file. Reading and running it imports no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.resources import usable_cores
from hubel.inference.classifier import Classifier
from hubel.inference.engines.engine import OnnxRunner
from hubel.inference.exported_engine import ExportedEngine
from hubel.inference.onnx_file import OnnxFile, read_onnx
from hubel.inference.stream import MANY, exported_batch_size
from hubel.inference.tta import Compute

__all__ = ["Exported"]


class Exported(Classifier):
    """A classifier in a file made by `hubel export`.

    Args:
        path: the file, or what has been read of it.
        engine: one of `hubel.inference.engines.registry.ONNX_ENGINES`; "auto" is the one that starts soonest for few
            images, and the one measured fastest on this machine for many.
        tta: see `Classifier`.

    Raises:
        ModelFileError: the file is missing, damaged, or was not made by hubel.
        OptionError: the network names no classes, or the engine is not installed.
        UnknownNameError: there is no such engine.
    """

    def __init__(self, path: Path | OnnxFile, *, engine: str = "auto", tta: bool = False) -> None:
        self.file = path if isinstance(path, OnnxFile) else read_onnx(path)
        if not self.file.card.classes:
            raise OptionError(self.file.card.no_scores)
        super().__init__(self.file.card, tta=tta)
        self._engine = ExportedEngine(self.file, engine)

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return self._run(self._engine.one_lane, pixels)

    def _run(self, runner: OnnxRunner, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return rows; where the graph makes several views of each image, fewer images at once fill the memory."""
        size = exported_batch_size(self.card) if self.card.tta else max(1, len(pixels))
        parts = [runner(pixels[start : start + size]) for start in range(0, len(pixels), size)]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)).astype(np.float64)

    def for_many(self, images: int) -> tuple[Compute, int]:
        """Return what computes rows, and the threads that may call it: many images have a core for each batch."""
        lanes = usable_cores()
        if images < MANY or lanes == 1:
            return self.rows, 1
        return self._averaged(lambda pixels: self._run(self._engine.all_lanes, pixels)), lanes

    def fastest(self) -> str:
        """Return the engine that was asked for, or the one that is fastest here: measured once, remembered."""
        return self._engine.fastest()

    def use_fastest(self) -> None:
        """Run few images on the fastest engine, too, rather than on the one that starts soonest."""
        self._engine.use(self.fastest())
