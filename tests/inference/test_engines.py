"""Every engine computes what the network computes, and the one that is taken pays for itself."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import random
import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import hubel
from hubel.core.errors import OptionError, UnknownNameError
from hubel.inference.engines import frozen, selection
from hubel.inference.engines.engine import ModuleSupport, Precision, missing_packages
from hubel.inference.engines.frozen import Array, OpenedEngine, agreement
from hubel.inference.engines.registry import ENGINES, MODULE_CHOICES, EngineChoice
from hubel.inference.engines.selection import EngineCandidate, Selection, select_fastest
from hubel.inference.quiet import undisturbed
from hubel.nn.blocks import ConvNorm, Style

# Of the deviation of the outputs.
TOLERANCES = {"torch": 1e-4, "torch_export": 1e-4, "openvino": 1e-4, "onnxruntime": 1e-4} | dict.fromkeys(
    ("torch bfloat16", "openvino bfloat16"), 0.05
)
TOLERANCES["openvino int8"] = 0.5


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def samples() -> Array:
    """Pictures that differ from each other as photos do: each has its own colours."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(16, 3, 20, 20)) + 2 * generator.normal(size=(16, 3, 1, 1))
    return values.astype(np.float32)


def trunk() -> nn.Module:
    """Padding as in EfficientNet, whose tracing warns, and batch norms with something to fold."""
    torch.manual_seed(0)
    style = Style(activation="relu6", same_padding=True)
    network = nn.Sequential(ConvNorm(3, 8, 3, 2, style=style), ConvNorm(8, 8, 3, groups=8, style=style))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.05, 0.2)
    return network


def outputs(network: nn.Module, images: Array) -> Array:
    with torch.inference_mode():
        return network.eval()(torch.from_numpy(images)).numpy()  # type: ignore[no-any-return]


NAMES = [str(choice) for choice in MODULE_CHOICES]


def chosen(name: str) -> EngineChoice:
    choice = EngineChoice.parse(name)
    assert choice is not None
    return choice


def fastest(network: nn.Module, samples: Array, *, engine: str = "auto", **options: Any) -> OpenedEngine:
    return frozen.open_frozen(network, samples, choice=EngineChoice.parse(engine), **options)


def engine_params(*names: str) -> list[object]:
    """Return engines as parameters; OpenVINO comes with the libraries that the peers are (requirements/peers.txt)."""
    return [pytest.param(name, marks=pytest.mark.peer if "openvino" in name else ()) for name in names]


def skip_unless_installed(name: str) -> None:
    if missing := missing_packages(chosen(name).support.packages):
        pytest.skip(f"needs {', '.join(missing)}")


@pytest.mark.parametrize("name", engine_params(*NAMES))
def test_every_engine_computes_what_the_network_computes(name: str, samples: Array) -> None:
    skip_unless_installed(name)
    engine = fastest(trunk(), samples, images=1, threads=1, engine=name)
    assert str(engine.choice) == name
    assert engine.seconds > 0
    assert engine.note.startswith("agreement with float32 ")
    expected = outputs(trunk(), samples)
    channels_last = np.ascontiguousarray(samples.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    channels_last.flags.writeable = False
    for images in (samples[:1], samples[3:6], channels_last[:8]):
        found = engine.run(images)
        assert found.dtype == np.float32
        first = 3 if len(images) == 3 else 0
        wanted = expected[first : first + len(images)]
        np.testing.assert_allclose(found, wanted, atol=TOLERANCES[name] * float(expected.std()), rtol=0)


@pytest.mark.parametrize("name", engine_params("torch", "openvino", "onnxruntime"))
def test_a_whole_network(name: str) -> None:
    skip_unless_installed(name)
    network = hubel.create_model("lenet5_modern")
    images = np.random.default_rng(0).normal(size=(9, 1, 32, 32)).astype(np.float32)
    engine = fastest(network, images, images=1, threads=1, engine=name)
    np.testing.assert_allclose(engine.run(images), outputs(network, images), atol=1e-5, rtol=1e-4)
    assert engine.run(images[:1]).shape == (1, 10)


def test_results_stay_when_the_engine_runs_again(samples: Array) -> None:
    name = "torch" if missing_packages(("openvino",)) else "openvino"
    engine = fastest(trunk(), samples, images=1, threads=1, engine=name)
    first = engine.run(samples[:2])
    kept = first.copy()
    engine.run(samples[2:4])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("name", "instead"),
    [pytest.param("openvino int8", "openvino", marks=pytest.mark.peer), ("torch bfloat16", "torch")],
)
def test_an_engine_that_rounds_too_much_gives_way(
    name: str, instead: str, samples: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_unless_installed(name)
    monkeypatch.setattr(frozen, "LEAST_AGREEMENT", 0.9999999)
    engine = fastest(trunk(), samples, images=1, threads=1, engine=name)
    assert str(engine.choice) == instead
    assert engine.note.startswith(f"the agreement of {name} with float32 is ")
    found = engine.run(samples)
    np.testing.assert_allclose(found, outputs(trunk(), samples), atol=1e-5, rtol=1e-4)


def test_few_images_are_left_to_torch(samples: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    def imported(name: str) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(importlib, "import_module", imported)
    engine = fastest(trunk(), samples, images=20, threads=1)
    assert engine.choice.engine == "torch"
    assert engine.note.startswith("torch ")


def select(
    rates: dict[str, float], images: int, agreements: dict[str, float] | None = None, **options: Any
) -> Selection[str]:
    """Select among engines that are nothing but their names, with the steps and gains of the real ones."""
    network = frozen.FrozenNetwork(nn.Identity(), np.zeros((16, 3, 4, 4), np.float32), 1)
    candidates = [
        EngineCandidate[str](
            choice=choice,
            open=options.get(str(choice), lambda choice=choice: str(choice)),
            seconds=lambda choice=choice: network.seconds(choice.support.steps),
            most_gain=choice.support.most_gain,
        )
        for choice in MODULE_CHOICES
        if str(choice) in rates
    ]
    return select_fastest(
        candidates,
        images=images,
        rate=rates.__getitem__,
        agreement=lambda run: (agreements or {}).get(run, 1.0),
        compared=16,
    )


PLAIN = {"torch": 100.0, "openvino": 150.0, "onnxruntime": 160.0, "openvino int8": 400.0}
ROUNDED = {**PLAIN, "torch bfloat16": 200.0, "openvino bfloat16": 300.0}


NO_INT8 = {name: rate for name, rate in PLAIN.items() if "int8" not in name}


@pytest.mark.parametrize(
    ("rates", "images", "taken"),
    [
        (PLAIN, 100, "torch"),
        (PLAIN, 10_000, "openvino int8"),
        (NO_INT8, 10_000, "onnxruntime"),
        (ROUNDED, 100, "torch bfloat16"),
        ({name: rate for name, rate in ROUNDED.items() if "int8" not in name}, 10_000, "openvino bfloat16"),
        (ROUNDED, 10**9, "openvino int8"),
        ({**PLAIN, "openvino int8": 50.0, "openvino": 60.0, "onnxruntime": 99.0}, 10**9, "torch"),
    ],
)
def test_the_one_that_is_through_first(rates: dict[str, float], images: int, taken: str) -> None:
    found = select(rates, images)
    assert str(found.choice) == found.run == taken
    assert found.note.startswith("torch 100 images/s")


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_precisions_that_may_be_taken(int8: bool, unit: bool, samples: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: package)
    monkeypatch.setattr(frozen, "has_bfloat16_unit", lambda: unit)
    candidates = frozen._candidates(frozen.FrozenNetwork(nn.Identity(), samples, 1), int8=int8)
    precisions = {candidate.choice.precision for candidate in candidates}
    assert precisions == {Precision.FLOAT32, *[Precision.INT8] * int8, *[Precision.BFLOAT16] * unit}
    assert candidates[0].choice == EngineChoice("torch")
    assert {c.choice.engine for c in candidates} == {e.name for e in ENGINES if any(m.automatic for m in e.modules)}


def test_what_does_not_agree_is_not_taken() -> None:
    found = select(PLAIN, 10**9, {"openvino int8": 0.8, "onnxruntime": float("nan")})
    assert str(found.choice) == "openvino"
    assert "openvino int8 400 with agreement 0.800, openvino 150 with agreement 1.000" in found.note


def test_an_engine_that_fails_is_passed_over(samples: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no such operation\nat line 7")

    found = select(PLAIN, 10**9, **{"openvino int8": fail})
    assert str(found.choice) == "onnxruntime"
    assert "openvino int8 fails: RuntimeError('no such operation" in found.note
    monkeypatch.setattr(EngineChoice, "support", ModuleSupport(precision=Precision.INT8, open=fail))
    with pytest.raises(
        OptionError, match=r"^the engine 'openvino int8' cannot run this network: RuntimeError\('no such op.*7'\)$"
    ):
        fastest(nn.Identity(), samples, images=1, threads=1, engine="openvino int8")


def test_wrong_names(samples: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match=r"^no engine is called 'openvin'; did you mean openvino"):
        EngineChoice.parse("openvin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(
        OptionError, match=r"^the engine 'openvino int8' needs what is not installed: pip install openvino nncf$"
    ):
        fastest(nn.Identity(), samples, images=1, threads=1, engine="openvino int8")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("auto", None),
        ("torch", EngineChoice("torch")),
        ("torch float32", EngineChoice("torch")),
        ("torch bfloat16", EngineChoice("torch", Precision.BFLOAT16)),
        ("openvino int8", EngineChoice("openvino", Precision.INT8)),
    ],
)
def test_what_a_user_writes(text: str, choice: EngineChoice | None) -> None:
    assert EngineChoice.parse(text) == choice


def test_choices_are_written_as_they_are_read() -> None:
    assert [EngineChoice.parse(str(choice)) for choice in MODULE_CHOICES] == list(MODULE_CHOICES)


def test_the_network_and_the_process_stay_as_they_are(samples: Array) -> None:
    network = trunk().train()
    network[1].eval()
    network(torch.from_numpy(samples)).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in network.parameters()]
    modes = [module.training for module in network.modules()]
    process = (logging.root.level, list(logging.root.handlers), list(logging.root.filters), list(warnings.filters))
    numbers = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    for name in NAMES:
        if not missing_packages(chosen(name).support.packages):
            fastest(network, samples, images=1, threads=1, engine=name)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for parameter, grad in zip(network.parameters(), grads, strict=True):
        assert parameter.requires_grad
        assert torch.equal(parameter.grad, grad)
    assert not any(module._forward_hooks or "forward" in vars(module) for module in network.modules())
    assert process == (logging.root.level, logging.root.handlers, logging.root.filters, list(warnings.filters))
    assert numbers == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert torch.get_num_threads() == 1
    assert torch.is_grad_enabled()


QUIET = """
import sys
NETWORK = ("socket.", "urllib.", "http.", "os.fork", "subprocess.", "os.posix_spawn")
def watch(event, arguments):
    if event.startswith(NETWORK):
        print("touched", event, arguments, file=sys.__stdout__)
sys.addaudithook(watch)
import numpy as np
import torch
from hubel.inference.engines.frozen import open_frozen
from hubel.inference.engines.registry import EngineChoice
torch.set_num_threads(1)
samples = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
for name in ("openvino", "openvino int8", "onnxruntime"):
    print(open_frozen(network, samples, images=1, threads=1, choice=EngineChoice.parse(name)).note)
"""


@pytest.mark.peer
def test_nothing_is_sent_and_nothing_is_written(tmp_path: Path) -> None:
    """In a process of its own: OpenVINO reports its import, and NNCF behaves under pytest."""
    for name in ("openvino int8", "onnxruntime"):
        skip_unless_installed(name)
    # Each of these would make one of them silent by itself.
    silencing = ("CI", "PYTEST_CURRENT_TEST", "ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
    environment = {name: value for name, value in os.environ.items() if name not in silencing}
    environment |= {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", QUIET],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "touched" not in done.stdout
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_reports_of_a_program_that_had_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    package = types.ModuleType("openvino_telemetry")
    package.Telemetry = lambda **_: types.SimpleNamespace(send_event=sent.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino_telemetry", package)
    with undisturbed():
        package.Telemetry(tid="x").send_event("ovc")
    assert sent == []
    package.Telemetry(tid="x").send_event("ovc")
    assert sent == ["ovc"]
    assert sys.modules["openvino_telemetry"] is package


def test_agreement() -> None:
    exact = np.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
    assert agreement(exact, exact) == 1
    assert agreement(exact, np.repeat(exact.mean(0)[None], 3, 0)) == pytest.approx(0, abs=1e-6)
    assert agreement(exact, exact + 0.1) == pytest.approx(1 - 0.06 / (4 / 3), rel=1e-5)
    maps = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    assert agreement(maps, maps[:, :, ::-1]) == 1, "maps count by their means"
    assert agreement(exact[:1], exact[:1]) == 1
    assert agreement(exact[:1], exact[:1] + 1) == 0
    assert not agreement(exact, exact * np.nan) >= selection.LEAST_AGREEMENT
