"""The engine of a frozen network: of all that can run a torch module, the one that has run some images first.

torch is always there. OpenVINO and ONNX Runtime are faster for many networks, but a conversion takes seconds, which
only many images pay back. Processors with units for bfloat16 or int8 are faster still in these types; outputs are
rounded then, and are taken only if they agree with those in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.inference.device import has_bfloat16_unit
from hubel.inference.engines.engine import ConversionStep, ModuleRunner, Precision, missing_packages
from hubel.inference.engines.registry import MODULE_CHOICES, EngineChoice
from hubel.inference.engines.selection import LEAST_AGREEMENT, EngineCandidate, select_fastest
from hubel.inference.fold import folded

__all__ = ["FrozenNetwork", "OpenedEngine", "agreement", "open_frozen"]

Array = NDArray[np.float32]
Converted = TypeVar("Converted")

_TIMED_BATCH = 8  # images; more do not stay in the caches
_TIMED_SECONDS = 0.2  # for each engine
_EXACT = EngineChoice("torch")


@dataclass(frozen=True, kw_only=True)
class OpenedEngine:
    """An engine that is ready to run a frozen network.

    Attributes:
        choice: the engine and its precision.
        run: runs the network.
        seconds: spent on conversion, calibration and timing, also of engines that were not taken.
        note: why this engine, without its name.
    """

    choice: EngineChoice
    run: ModuleRunner
    seconds: float = 0.0
    note: str = ""


@dataclass
class FrozenNetwork:
    """A network in evaluation mode with what several engines are made from.

    Attributes:
        part: the network, or its first layers; left unchanged.
        samples: some of the images, normalised, float32 `(n, c, h, w)`.
        threads: for engines other than torch.
    """

    part: nn.Module
    samples: Array
    threads: int
    _shared: dict[ConversionStep, Any] = field(default_factory=dict)

    @cached_property
    def network(self) -> nn.Module:
        """A copy on the CPU with batch norms folded."""
        return folded(self.part).cpu().requires_grad_(False)

    @cached_property
    def exact_outputs(self) -> Array:
        """The outputs for the samples, computed by torch in float32."""
        return self.outputs(_EXACT.support.open(self))

    def outputs(self, run: ModuleRunner) -> Array:
        """Return the outputs of an engine for the samples."""
        starts = range(0, len(self.samples), _TIMED_BATCH)
        return np.concatenate([run(self.samples[start : start + _TIMED_BATCH]) for start in starts])

    def shared(self, step: ConversionStep, convert: Callable[[], Converted]) -> Converted:
        """Return the result of a step of conversion; it is done when it is first wanted, and once."""
        if step not in self._shared:
            self._shared[step] = convert()
        return self._shared[step]  # type: ignore[no-any-return]

    def seconds(self, steps: Iterable[ConversionStep]) -> float:
        """Return the time that those steps will take that have not been done."""
        return sum(step.seconds for step in steps if step not in self._shared)


def agreement(exact: Array, rounded: Array) -> float:
    """Return the share of the variation among images that rounded outputs preserve.

    That is 1 - |exact - rounded|^2 / |exact - mean|^2: 1 is perfect, 0 as bad as the same output for all images. What
    all images have in common is left out, since it tells nothing of any; maps `(n, c, h, w)` count by their means,
    which heads see.
    """
    exact, rounded = (a.mean((2, 3)) if a.ndim == 4 else a.reshape(len(a), -1) for a in (exact, rounded))
    error, variation = np.square(exact - rounded).sum(), np.square(exact - exact.mean(0)).sum()
    return float(1 - error / variation) if variation > 0 else float(error == 0)


def open_frozen(
    part: nn.Module,
    samples: Array,
    *,
    images: int,
    threads: int,
    choice: EngineChoice | None = None,
    int8: bool = True,
) -> OpenedEngine:
    """Open the engine that was chosen, or the one that has run so many images first, its conversion included.

    Args:
        part: a network or its first layers, used as in evaluation mode, and left unchanged; it returns one tensor.
        samples: some of the images, normalised, `(n, c, h, w)`, 16 to 64: to time, compare and calibrate with.
        images: how many are to be run. An engine whose conversion cannot pay within them is not tried.
        threads: for engines other than torch, whose setting is the caller's.
        choice: None for the fastest. One that rounds too much is replaced by float32; the note says so.
        int8: whether the fastest may be one that computes in 8 bits.

    Raises:
        OptionError: the engine is not installed, or cannot run this network.
    """
    started, frozen = time.perf_counter(), FrozenNetwork(part, samples, threads)
    if choice is not None:
        choice, run, note = _open_chosen(frozen, choice)
    else:
        selection = select_fastest(
            _candidates(frozen, int8=int8),
            images=images,
            rate=partial(_rate, samples=samples),
            agreement=lambda run: agreement(frozen.exact_outputs, frozen.outputs(run)),
            compared=len(samples),
        )
        choice, run, note = selection.choice, selection.run, selection.note
    return OpenedEngine(choice=choice, run=run, seconds=time.perf_counter() - started, note=note)


def _open_chosen(frozen: FrozenNetwork, choice: EngineChoice) -> tuple[EngineChoice, ModuleRunner, str]:
    if missing := missing_packages(choice.support.packages):
        raise OptionError(f"the engine '{choice}' needs what is not installed: pip install {' '.join(missing)}")
    try:
        run = choice.support.open(frozen)
    except Exception as error:
        raise OptionError(f"the engine '{choice}' cannot run this network: {error!r:.200}") from error
    if (agreed := agreement(frozen.exact_outputs, frozen.outputs(run))) >= LEAST_AGREEMENT:
        return choice, run, f"agreement with float32 {agreed:.3f}"
    exact = _EXACT if choice.precision is Precision.FLOAT32 else EngineChoice(choice.engine)
    note = f"the agreement of {choice} with float32 is {agreed:.3f}, below {LEAST_AGREEMENT}"
    return exact, exact.support.open(frozen), note


def _candidates(frozen: FrozenNetwork, *, int8: bool) -> list[EngineCandidate[ModuleRunner]]:
    """Return the engines that may run a network here, torch in float32 first."""
    possible = {Precision.FLOAT32: True, Precision.BFLOAT16: has_bfloat16_unit(), Precision.INT8: int8}
    return [
        EngineCandidate(
            choice=choice,
            open=partial(choice.support.open, frozen),
            seconds=partial(frozen.seconds, choice.support.steps),
            most_gain=choice.support.most_gain,
        )
        for choice in MODULE_CHOICES
        if possible[choice.precision] and choice.support.automatic and not missing_packages(choice.support.packages)
    ]


def _rate(run: ModuleRunner, samples: Array) -> float:
    """Return images per second, in the best of a few batches: other programs only make it slower."""
    batch = samples[:_TIMED_BATCH]
    run(batch)  # the first call prepares memory
    best, started = np.inf, time.perf_counter()
    while (before := time.perf_counter()) - started < _TIMED_SECONDS:
        run(batch)
        best = min(best, time.perf_counter() - before)
    return float(len(batch) / best)
