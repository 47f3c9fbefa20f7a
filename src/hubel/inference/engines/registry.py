"""The engines that there are, and how a user asks for one. Reading this imports no engine's library."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from hubel.core.errors import ModelFileError, OptionError, UnknownNameError
from hubel.core.resources import usable_cores
from hubel.data.reading import one_line
from hubel.inference.engines.bounded import within_memory
from hubel.inference.engines.engine import Engine, ModuleSupport, OnnxRunner, Precision, maps_memory
from hubel.inference.onnx_nodes import read_graph

__all__ = [
    "AUTO",
    "ENGINES",
    "MODULE_CHOICES",
    "ONNX_ENGINES",
    "EngineChoice",
    "installed_onnx_engines",
    "open_onnx",
]

AUTO = "auto"  # what a user writes for the fastest engine

# The files of this package that have an `ENGINE`, in the order in which the fastest is looked for.
_FILES = (
    "torch",
    "openvino",
    "onnxruntime",
    "torch_export",
)
ENGINES: tuple[Engine, ...] = tuple(importlib.import_module(f"{__package__}.{name}").ENGINE for name in _FILES)


@dataclass(frozen=True)
class EngineChoice:
    """An engine and a precision.

    Attributes:
        engine: its name.
        precision: in which it computes what the network has in float32.
    """

    engine: str
    precision: Precision = Precision.FLOAT32

    @classmethod
    def parse(cls, text: str) -> EngineChoice | None:
        """Return the choice that a user has written: an engine's name, or name and precision; None for "auto".

        Raises:
            UnknownNameError: there is no such engine, or not in this precision.

        >>> EngineChoice.parse("openvino int8")
        EngineChoice(engine='openvino', precision=<Precision.INT8: 'int8'>)
        >>> print(EngineChoice.parse("torch"))
        torch
        """
        if text == AUTO:
            return None
        for choice in MODULE_CHOICES:
            if text in (str(choice), f"{choice.engine} {choice.precision}"):
                return choice
        raise UnknownNameError("engine", text, [AUTO, *map(str, MODULE_CHOICES)])

    @property
    def support(self) -> ModuleSupport:
        """The record of the engine's ability to compute in this precision."""
        (support,) = (s for e in ENGINES if e.name == self.engine for s in e.modules if s.precision is self.precision)
        return support

    def __str__(self) -> str:
        return self.engine if self.precision is Precision.FLOAT32 else f"{self.engine} {self.precision}"


# Each engine for torch modules in each of its precisions, in the order in which the fastest is looked for.
MODULE_CHOICES = tuple(EngineChoice(engine.name, precision) for engine in ENGINES for precision in engine.precisions)

# The engines for exported files by their names, first the one that starts soonest.
ONNX_ENGINES = {
    engine.name: engine
    for engine in sorted(ENGINES, key=lambda engine: engine.start_seconds)
    if engine.open_onnx is not None
}


def installed_onnx_engines() -> dict[str, str]:
    """Return the versions of the engines for exported files that are installed, by their names."""
    versions = {name: engine.version for name, engine in ONNX_ENGINES.items()}
    return {name: version for name, version in versions.items() if version is not None}


def open_onnx(name: str, model: bytes, *, lanes: int) -> OnnxRunner:
    """Open an exported file.

    Args:
        name: one of `ONNX_ENGINES`.
        model: the bytes of the file.
        lanes: how many threads are to call the result at once; they share the cores.

    Raises:
        UnknownNameError: there is no such engine.
        OptionError: it is not installed.
        ModelFileError: it cannot run the file.
    """
    if name not in ONNX_ENGINES:
        raise UnknownNameError("engine", name, [AUTO, *ONNX_ENGINES])
    engine = ONNX_ENGINES[name]
    if engine.version is None or engine.open_onnx is None:
        raise OptionError(f"the engine {name!r} is not installed: pip install {engine.package}")
    try:
        graph = read_graph(memoryview(model))
        return within_memory(engine.open_onnx(model, lanes, usable_cores()), graph, maps_memory() // lanes)
    except Exception as error:  # each has errors of its own
        raise ModelFileError(f"{name} cannot run this file: {one_line(error)}") from error
