"""The engines that may run an exported file, and the choice among them. Nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from hubel.core.cache import cache_folder
from hubel.core.files import write_json
from hubel.core.resources import usable_cores
from hubel.inference.engines.engine import OnnxRunner
from hubel.inference.engines.registry import AUTO, ONNX_ENGINES, EngineChoice, installed_onnx_engines, open_onnx
from hubel.inference.engines.selection import EngineCandidate, images_per_second, select_fastest
from hubel.inference.onnx_file import OnnxFile
from hubel.inference.stream import MANY, exported_batch_size

__all__ = ["ExportedEngine"]


class ExportedEngine:
    """An exported file with the engine that is to run it.

    Args:
        file: the file.
        engine: one of `hubel.inference.engines.registry.ONNX_ENGINES`; "auto" is the one that starts soonest for few
            images, and the one measured fastest on this machine for many.

    Raises:
        OptionError: the engine is not installed.
        UnknownNameError: there is no such engine.
    """

    def __init__(self, file: OnnxFile, engine: str = AUTO) -> None:
        self.file, self.engine = file, engine
        if engine != AUTO:
            self.one_lane  # noqa: B018 - errors come now, not with the first image

    def __getstate__(self) -> dict[str, object]:
        """Return what another process opens the file with: runners hold sessions, which stay in theirs."""
        return {"file": self.file, "engine": self.engine}

    @cached_property
    def one_lane(self) -> OnnxRunner:
        """The runner that gives all cores to one batch."""
        return open_onnx(self._soonest, self.file.model, lanes=1)

    @cached_property
    def all_lanes(self) -> OnnxRunner:
        """The runner that gives each of as many batches a core of its own."""
        return open_onnx(self.fastest(), self.file.model, lanes=usable_cores())

    @property
    def _soonest(self) -> str:
        return next(iter(ONNX_ENGINES)) if self.engine == AUTO else self.engine

    def use(self, engine: str) -> None:
        """Run whatever comes on this engine."""
        self.engine = engine
        self.__dict__.pop("one_lane", None)  # of another engine

    def fastest(self) -> str:
        """Return the engine that was asked for, or the one that is fastest here: measured once, remembered."""
        installed = installed_onnx_engines()
        if self.engine != AUTO or len(installed) == 1:
            return self._soonest
        machine = {**installed, "cores": str(usable_cores())}
        file = cache_folder("engines") / f"{self.file.digest}.json"
        rates = _remembered(file, machine)
        if not rates:
            rates = self._measured(installed)
            write_json(file, {"machine": machine, "images_a_second": rates})
        return max(rates, key=rates.__getitem__)

    def _measured(self, engines: Iterable[str]) -> dict[str, float]:
        """Return the images per second of each engine; 0 for one that cannot run the file."""
        p, lanes = self.file.card.preprocess, usable_cores()
        size = exported_batch_size(self.file.card)
        noise = np.random.default_rng(0).integers(0, 256, (size, p.height, p.width, p.channels), np.uint8)
        choices = {name: EngineChoice(name) for name in engines}
        selection = select_fastest(
            [
                EngineCandidate(choice=choice, open=partial(open_onnx, name, self.file.model, lanes=lanes))
                for name, choice in choices.items()
            ],
            images=MANY,
            rate=partial(images_per_second, images=noise, lanes=lanes),
        )
        return {name: selection.rates.get(choice, 0.0) for name, choice in choices.items()}


def _remembered(file: Path, machine: dict[str, str]) -> dict[str, float]:
    """Return the rates that were measured on this machine with these engines; none if there are none."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        rates = {name: float(known["images_a_second"][name]) for name in ONNX_ENGINES if name in machine}
        return rates if known["machine"] == machine else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
