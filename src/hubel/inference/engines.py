"""The engines that run a frozen network, and which one of them is through with some images first.

torch is always there. OpenVINO and ONNX Runtime are faster for many networks, but a conversion takes seconds, which
only many images pay back. Processors with units for bfloat16 or int8 are faster still in these types; outputs are
rounded then, and are taken only if they agree with those in float32.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.inference.device import has_bfloat16_unit
from hubel.inference.fold import folded
from hubel.inference.quiet import undisturbed

__all__ = ["ENGINES", "Engine", "agreement", "fastest"]

Array = NDArray[np.float32]
Run = Callable[[Array], Array]

# Noise in the features of EfficientNet-Lite0 that lowers `agreement` to 0.95 costs a linear head 0.3 points of accuracy
# (293 photos of clothes, 3 draws), to 0.9 costs it 1; int8 has 0.98 there and costs nothing.
LEAST_AGREEMENT = 0.95
# Seconds that the steps of a conversion take, about those of EfficientNet-Lite0 at 224 pixels.
_STEP_SECONDS = {"graph": 3.5, "export": 1.5, "compilation": 0.5, "calibration": 7.0}
_CLEARLY = 0.75  # of the time without int8, for its calibration to be tried: it may round too much after all
_TIMED_BATCH = 8  # images; more do not stay in the caches
_TIMED_SECONDS = 0.2  # for each engine


@dataclass(frozen=True)
class Engine:
    """Something that runs a frozen network.

    Attributes:
        name: one of `ENGINES`.
        run: normalised images float32 `(n, c, h, w)`, n >= 1, to the network's outputs float32 `(n, ...)`; for one
            caller at a time, and for the height and width of the samples that it was made with.
        seconds: spent on conversion, calibration and timing, also of engines that were not taken.
        note: one sentence: why this engine.
    """

    name: str
    run: Run
    seconds: float
    note: str = ""


@dataclass
class _Frozen:
    """A network at rest, with what more than one engine is made from; `samples` and `threads` as in `fastest`."""

    part: nn.Module
    samples: Array
    threads: int

    @cached_property
    def network(self) -> nn.Module:
        """For torch: a copy with batch norms folded."""
        return folded(self.part).cpu().requires_grad_(False)

    @cached_property
    def exact(self) -> Array:
        """What torch makes of the samples in float32."""
        return self.outputs(_torch(self))

    def outputs(self, run: Run) -> Array:
        """What an engine makes of the samples."""
        starts = range(0, len(self.samples), _TIMED_BATCH)
        return np.concatenate([run(self.samples[start : start + _TIMED_BATCH]) for start in starts])

    @cached_property
    def graph(self) -> Any:
        """For OpenVINO: any number of images of the samples' size."""
        with undisturbed():
            example = torch.from_numpy(self.samples[:2].copy())
            graph = importlib.import_module("openvino").convert_model(self.network, example_input=example)
        graph.reshape([-1, *self.samples.shape[1:]])
        return graph


def _torch(frozen: _Frozen, dtype: torch.dtype = torch.float32) -> Run:
    network = frozen.network if dtype == torch.float32 else copy.deepcopy(frozen.network).to(dtype)

    def run(images: Array) -> Array:
        batch = torch.from_numpy(images if images.flags.writeable else images.copy())  # it has no read-only tensors
        with torch.inference_mode():
            outputs = network(batch.to(dtype, memory_format=torch.channels_last))
        return outputs.float().numpy()  # type: ignore[no-any-return]

    return run


def _openvino(frozen: _Frozen, precision: str = "f32", graph: Any = None) -> Run:
    graph = graph or frozen.graph
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": str(frozen.threads)}
    settings["PERFORMANCE_HINT"] = "LATENCY"  # "THROUGHPUT" would compute batches side by side; `run` has one
    request = importlib.import_module("openvino").Core().compile_model(graph, "CPU", settings).create_infer_request()

    def run(images: Array) -> Array:
        request.infer([np.ascontiguousarray(images)], share_inputs=True)
        return np.array(request.get_output_tensor(0).data, np.float32)

    return run


def _openvino_int8(frozen: _Frozen) -> Run:
    graph = frozen.graph
    with undisturbed():
        nncf = importlib.import_module("nncf")
        nncf.set_log_level(logging.ERROR)
        images = [image[None] for image in np.ascontiguousarray(frozen.samples)]
        # Without such units sums overflow unless weights have 7 bits.
        fix = nncf.OverflowFix.DISABLE if torch.cpu._is_vnni_supported() else nncf.OverflowFix.ENABLE
        advanced = nncf.AdvancedQuantizationParameters(overflow_fix=fix)
        # The other preset, with asymmetric ranges, agrees no better and is half as fast.
        preset, dataset = nncf.QuantizationPreset.PERFORMANCE, nncf.Dataset(images)
        rounded = nncf.quantize(graph, dataset, preset=preset, subset_size=len(images), advanced_parameters=advanced)
    return _openvino(frozen, "bf16" if has_bfloat16_unit() else "f32", rounded)  # for the layers that stay in floats


def _onnxruntime(frozen: _Frozen) -> Run:
    file: Any = io.BytesIO()
    example = torch.from_numpy(frozen.samples[:2].copy())
    names: dict[str, Any] = {
        "input_names": ["x"],
        "output_names": ["y"],
        "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}},
    }
    with undisturbed():
        ort = importlib.import_module("onnxruntime")
        torch.onnx.export(frozen.network, (example,), file, dynamo=False, **names)
    options = ort.SessionOptions()
    options.intra_op_num_threads = frozen.threads
    session = ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"x": np.ascontiguousarray(images)})[0]


@dataclass(frozen=True)
class _Candidate:
    """An engine that may be tried."""

    build: Callable[[_Frozen], Run]
    packages: tuple[str, ...] = ()  # that must be installed
    steps: tuple[str, ...] = ()  # of its conversion
    gain: float = 1.0  # how often as fast as torch in float32 at best; where even that would not pay, it is not tried
    exact: str = "torch"  # what is taken where this one rounds too much

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if importlib.util.find_spec(package) is None]


_OPENVINO = (("openvino",), ("graph", "compilation"))
_CALIBRATED = (("openvino", "nncf"), ("graph", "calibration", "compilation"))
_CANDIDATES = {
    "torch": _Candidate(_torch),
    "torch bfloat16": _Candidate(lambda frozen: _torch(frozen, torch.bfloat16), gain=3.0),
    "openvino bfloat16": _Candidate(lambda frozen: _openvino(frozen, "bf16"), *_OPENVINO, gain=4.5, exact="openvino"),
    "openvino int8": _Candidate(_openvino_int8, *_CALIBRATED, gain=6.5, exact="openvino"),
    "openvino": _Candidate(_openvino, *_OPENVINO, gain=2.2),
    "onnxruntime": _Candidate(_onnxruntime, ("onnx", "onnxruntime"), ("export", "compilation"), gain=1.6),
}
ENGINES = tuple(_CANDIDATES)


def agreement(exact: Array, rounded: Array) -> float:
    """The share of the variation among images that rounded outputs keep: 1 - |exact - rounded|^2 / |exact - mean|^2.

    What all images have in common is left out, since it tells nothing of any; maps `(n, c, h, w)` count by their means,
    which heads see. 1 is perfect, 0 as bad as the same output for all images.
    """
    exact, rounded = (a.mean((2, 3)) if a.ndim == 4 else a.reshape(len(a), -1) for a in (exact, rounded))
    error, variation = np.square(exact - rounded).sum(), np.square(exact - exact.mean(0)).sum()
    return float(1 - error / variation) if variation > 0 else float(error == 0)


def fastest(
    part: nn.Module, samples: Array, *, images: int, threads: int, engine: str = "auto", int8: bool = True
) -> Engine:
    """The engine that is through with so many images first, its conversion included.

    Args:
        part: a network or its first layers, used as in evaluation mode, and left as it is; it makes one tensor.
        samples: some of the images, normalised, `(n, c, h, w)`, 16 to 64: to time, compare and calibrate with.
        images: how many are to be run. An engine whose conversion cannot pay within them is not tried.
        threads: for engines other than torch, whose setting is the caller's.
        engine: one of `ENGINES`, or "auto". One that rounds too much gives way to its exact kind; the note says so.
        int8: whether "auto" may take an engine that computes in 8 bits.

    Raises:
        UnknownNameError: there is no such engine.
        OptionError: the engine is not installed, or cannot run this network.
    """
    started, frozen = time.perf_counter(), _Frozen(part, samples, threads)
    name, run, note = _asked_for(frozen, engine) if engine != "auto" else _first_through(frozen, images, int8=int8)
    return Engine(name, run, time.perf_counter() - started, note)


def _asked_for(frozen: _Frozen, name: str) -> tuple[str, Run, str]:
    if name not in _CANDIDATES:
        raise UnknownNameError("engine", name, ["auto", *ENGINES])
    candidate = _CANDIDATES[name]
    if missing := candidate.missing:
        raise OptionError(f"the engine {name!r} needs what is not installed: pip install {' '.join(missing)}")
    try:
        run = candidate.build(frozen)
    except Exception as error:
        raise OptionError(f"the engine {name!r} cannot run this network: {error!r:.200}") from error
    if (kept := agreement(frozen.exact, frozen.outputs(run))) >= LEAST_AGREEMENT:
        return name, run, f"{name} was asked for, agreement {kept:.3f}"
    note = f"{candidate.exact}, because the agreement of {name} is {kept:.3f}, below {LEAST_AGREEMENT}"
    return candidate.exact, _CANDIDATES[candidate.exact].build(frozen), note


def _first_through(frozen: _Frozen, images: int, *, int8: bool) -> tuple[str, Run, str]:
    name, run = "torch", _torch(frozen)
    plain = rate = _rate(run, frozen.samples)
    tried = [f"torch {rate:,.0f} images/s"]
    for other, candidate in _CANDIDATES.items():
        steps = [step for step in candidate.steps if step not in vars(frozen)]
        cost = sum(_STEP_SECONDS[step] for step in steps) + len(frozen.samples) / plain  # which are compared
        pays = cost + images / (candidate.gain * plain) < (_CLEARLY if "int8" in other else 1) * images / rate
        suits = (int8 or "int8" not in other) and ("bfloat16" not in other or has_bfloat16_unit())
        if not (pays and suits) or candidate.missing:
            continue
        try:
            new = candidate.build(frozen)
            new_rate, kept = _rate(new, frozen.samples), agreement(frozen.exact, frozen.outputs(new))
        except Exception as error:  # converters fail in ways of their own; torch runs everything
            tried.append(f"{other} fails: {error!r:.200}")
            continue
        tried.append(f"{other} {new_rate:,.0f} with agreement {kept:.3f}")
        if kept >= LEAST_AGREEMENT and new_rate > rate:
            name, run, rate = other, new, new_rate
    return name, run, f"{name} for {images:,} images: {', '.join(tried)}"


def _rate(run: Run, samples: Array) -> float:
    """Images a second, in the best of a few batches: other programs only make it slower."""
    batch = samples[:_TIMED_BATCH]
    run(batch)  # the first call prepares memory
    best, started = np.inf, time.perf_counter()
    while (before := time.perf_counter()) - started < _TIMED_SECONDS:
        run(batch)
        best = min(best, time.perf_counter() - before)
    return float(len(batch) / best)
