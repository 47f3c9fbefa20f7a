"""The description of an engine: the libraries that it needs, and the networks and precisions that it can run."""

from __future__ import annotations

import enum
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.core.resources import available_memory, usable_cores

if TYPE_CHECKING:
    from hubel.inference.engines.frozen import FrozenNetwork

__all__ = [
    "ConversionStep",
    "Engine",
    "ModuleRunner",
    "ModuleSupport",
    "OnnxRunner",
    "Precision",
    "maps_memory",
    "missing_packages",
]

# Bytes of maps that the graphs of exported files may have at once, a core; VGG-11 needs 800 MiB for 20 images of 224
# pixels.
_MAPS_A_CORE = 2**30

# Normalised images float32 `(n, c, h, w)`, n >= 1, to outputs float32 `(n, ...)`; for one caller at a time, and for
# the height and width of the samples that it was made with.
ModuleRunner = Callable[[NDArray[np.float32]], NDArray[np.float32]]
# Images uint8 `(n, height, width, channels)` to scores float32 `(n, classes)`, and to their novelty as one more column
# where the file has this output; for as many threads as it has lanes.
OnnxRunner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Precision(enum.StrEnum):
    """The type in which an engine computes."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


@dataclass(frozen=True)
class ConversionStep:
    """One step of the conversion of a network; precisions of an engine may share it.

    Attributes:
        name: of the step.
        seconds: that it takes, about those of EfficientNet-Lite0 at 224 pixels.
    """

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ModuleSupport:
    """The ability of an engine to run a torch module in one precision.

    Attributes:
        precision: in which it computes.
        open: converts a module and returns its runner.
        packages: that must be installed.
        steps: of the conversion.
        most_gain: the speed against torch in float32 at best; where even that would not pay, it is not tried.
        automatic: whether the fastest engine is looked for among this one, too.
    """

    precision: Precision
    open: Callable[[FrozenNetwork], ModuleRunner]
    packages: tuple[str, ...] = ()
    steps: tuple[ConversionStep, ...] = ()
    most_gain: float = 1.0
    automatic: bool = True


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A library that runs networks.

    Attributes:
        name: by which a user asks for it.
        package: that brings it, and whose version is reported.
        modules: the precisions in which it runs torch modules, in the order in which they are tried.
        open_onnx: opens an exported file, given its bytes, the number of lanes (threads that call the runner at once)
            and the number of threads in all; None where it cannot run such a file.
        start_seconds: until an exported file is open; the one with the least serves a few images.
    """

    name: str
    package: str
    modules: tuple[ModuleSupport, ...] = ()
    open_onnx: Callable[[bytes, int, int], OnnxRunner] | None = None
    start_seconds: float = 0.0

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions in which it runs torch modules."""
        return tuple(support.precision for support in self.modules)

    @property
    def version(self) -> str | None:
        """The version of its package; None where that is not installed."""
        return version(self.package) if importlib.util.find_spec(self.package) else None


def maps_memory() -> int:
    """Return the bytes that the maps of all exported files together may take: at most half of the memory."""
    return min(_MAPS_A_CORE * usable_cores(), available_memory() // 2)


def missing_packages(packages: tuple[str, ...]) -> list[str]:
    """Return those packages that are not installed."""
    return [package for package in packages if importlib.util.find_spec(package) is None]
