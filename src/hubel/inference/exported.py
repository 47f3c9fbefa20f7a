"""An exported file, ready to name what is on images. Reading and running it imports no torch."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.files import cache_root, write_json
from hubel.core.resources import usable_cores
from hubel.inference.classifier import Classifier
from hubel.inference.onnx_engines import ENGINES, Run, images_a_second, open_engine, versions
from hubel.inference.onnx_file import read_onnx
from hubel.inference.stream import MANY, batch_size
from hubel.inference.tta import Compute

__all__ = ["Exported"]


class Exported(Classifier):
    """A file made by `hubel export`.

    Args:
        path: the file.
        engine: one of `hubel.inference.onnx_engines.ENGINES`; "auto" is the one that starts soonest for few images, and
            the one found fastest on this machine for many.
        tta: see `Classifier`.

    Raises:
        ModelFileError: the file is missing, damaged, or was not made by hubel.
        OptionError: the network names no classes, or the engine is not installed.
        UnknownNameError: there is no such engine.
    """

    def __init__(self, path: Path, *, engine: str = "auto", tta: bool = False) -> None:
        self.file = read_onnx(path)
        if not self.file.card.classes:
            raise OptionError(f"{path} makes images, it names no classes")
        super().__init__(self.file.card, tta=tta)
        self.engine = engine
        if engine != "auto":
            self._one_lane  # noqa: B018 - errors come now, not with the first image

    @cached_property
    def _one_lane(self) -> Run:
        """All cores for one batch."""
        return open_engine(self._sooner, self.file.model, lanes=1)

    @cached_property
    def _all_lanes(self) -> Run:
        """One core for each of as many batches."""
        return open_engine(self.fastest(), self.file.model, lanes=usable_cores())

    @property
    def _sooner(self) -> str:
        return next(iter(ENGINES)) if self.engine == "auto" else self.engine

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return self._one_lane(pixels).astype(np.float64)

    def for_many(self, images: int) -> tuple[Compute, int]:
        """For many images each core has a batch of its own, so that none waits for another."""
        lanes = usable_cores()
        if images < MANY or lanes == 1:
            return self.scores, 1
        return self._averaged(lambda pixels: self._all_lanes(pixels).astype(np.float64)), lanes

    def fastest(self) -> str:
        """The engine that was asked for, or the one that runs most images a second here: measured once, remembered."""
        installed = versions()
        if self.engine != "auto" or len(installed) == 1:
            return self._sooner
        machine = {**installed, "cores": str(usable_cores())}
        place = cache_root() / "engines" / f"{self.file.digest}.json"
        rates = _remembered(place, machine)
        if not rates:
            p = self.card.preprocess
            noise = np.random.default_rng(0).integers(0, 256, (batch_size(p), p.height, p.width, p.channels), np.uint8)
            lanes = usable_cores()
            opened = {name: open_engine(name, self.file.model, lanes=lanes) for name in ENGINES if name in installed}
            rates = {name: images_a_second(run, noise, lanes=lanes) for name, run in opened.items()}
            write_json(place, {"machine": machine, "images_a_second": rates})
        return max(rates, key=rates.__getitem__)


def _remembered(place: Path, machine: dict[str, str]) -> dict[str, float]:
    """What was measured on this machine with these engines; empty if nothing was."""
    try:
        known = json.loads(place.read_text(encoding="utf-8"))
        rates = {name: float(known["images_a_second"][name]) for name in ENGINES if name in machine}
        return rates if known["machine"] == machine else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
