"""`hubel bench` measures each row in its own process, and computes its statistics correctly. No time is asserted."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hubel
from hubel.core.errors import HubelError, ModelFileError, OptionError, UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.export.bench import models as bench_models
from hubel.export.bench import row as bench_row
from hubel.export.bench import run as bench_module
from hubel.export.bench.machine import ProcessorUsage, others_share
from hubel.export.bench.models import plan_benchmark
from hubel.export.bench.report import Benchmark, BenchmarkRow, Machine
from hubel.export.bench.row import fixed_image, latency_percentiles, throughputs
from hubel.export.bench.run import BenchmarkSettings, benchmark
from hubel.export.run import export
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.weights.card import ModelCard
from hubel.weights.model_file import save_model
from hubel.weights.pretrained import find_weights
from small_card import CARD
from small_speed import SPEED

QUICK = BenchmarkSettings(seconds=0.1)
MACHINE = Machine(cpu="Abacus", cores=4, threads=4, versions={})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(path := tmp_path / "model.safetensors", CARD.create().state_dict(), CARD)
    return path


def row(model: str = "m", engine: str = "torch", **changes: Any) -> BenchmarkRow:
    return BenchmarkRow(
        model=model, engine=engine, precision="float", startup_s=1.0, speed=dataclasses.replace(SPEED, **changes)
    )


def failed(model: str = "m", engine: str = "torch") -> BenchmarkRow:
    return BenchmarkRow(model=model, engine=engine, precision="float", error="why")


# Results -----------------------------------------------------------------------------------------------


def test_each_row_computes_the_scores_of_the_model(model: Path) -> None:
    found = benchmark([str(model)], dataclasses.replace(QUICK, int8=True))
    classifier = hubel.load(model)
    (scores,) = classifier.scores(fixed_image(CARD.preprocess)[None])
    assert [(row.engine, row.precision) for row in found.rows] == [
        ("torch", "float"),
        *((engine, "float") for engine in installed_onnx_engines()),
        *((engine, "int8") for engine in installed_onnx_engines()),
    ]
    for measured in found.rows:
        speed = measured.speed
        assert speed is not None, measured.error
        if measured.precision == "float":
            assert speed.top_class == classifier.classes[scores.argmax()]
        assert speed.top_score == pytest.approx(scores.max(), abs=1e-5 if measured.precision == "float" else 0.1)
        assert speed.latency_p50_ms <= speed.latency_p95_ms <= speed.latency_p99_ms
        assert speed.images_per_second == max(speed.by_batch.values()) == speed.by_batch[str(speed.batch)]
        assert speed.timings >= 10
        assert measured.startup_s is not None
        assert measured.startup_s > speed.latency_p50_ms / 1000, "the start includes one image"
    assert found.failed == ()
    assert any("noise" in note for note in found.remarks)


def test_an_exported_file_is_measured_unchanged(model: Path) -> None:
    file = export(model).path
    found = benchmark([str(file)], dataclasses.replace(QUICK, batch=3, threads=1))
    assert [row.engine for row in found.rows] == list(installed_onnx_engines())
    (scores,) = hubel.load(file).scores(fixed_image(CARD.preprocess)[None])
    for measured in found.rows:
        assert measured.speed is not None, measured.error
        assert list(measured.speed.by_batch) == ["3"]
        assert measured.speed.lanes == 1
        assert measured.speed.top_score == pytest.approx(scores.max(), abs=1e-6)
    assert found.machine.threads == 1


def test_many_images_take_the_lanes_of_bulk_prediction(model: Path) -> None:
    file = export(model).path
    found = benchmark([str(file)], dataclasses.replace(QUICK, engines=("onnxruntime",)))
    assert found.rows[0].speed is not None
    assert found.rows[0].speed.lanes == hubel.load(file).for_many(10**6)[1]


ALONE = """
import sys
for name in ("torch", "matplotlib", "sklearn", "onnx", "scipy"):
    sys.modules[name] = None
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request", "subprocess.Popen"):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(watch)
from hubel.export.bench import row as bench_row
bench_row.run_job()
"""


@pytest.mark.parametrize("engine", list(installed_onnx_engines()))
def test_an_exported_file_needs_no_torch_and_no_network(model: Path, engine: str) -> None:
    file = export(model).path
    job = json.dumps({"path": str(file), "engine": engine, "seconds": 0.05})
    done = subprocess.run([sys.executable, "-P", "-c", ALONE, job], capture_output=True, text=True, timeout=120)
    on_first_result, result = done.stdout.splitlines()
    assert on_first_result == bench_row.FIRST_RESULT
    assert json.loads(result)["speed"]["timings"] >= 10, done.stderr


def test_the_command_needs_no_torch_for_an_exported_file(model: Path) -> None:
    file = export(model).path
    script = "import sys; sys.modules['torch'] = None; from hubel.cli import main; main(sys.argv[1:])"
    words = ["bench", str(file), "--seconds", "0.05", "--engine", "onnxruntime", "--json"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"][0]["error"] is None


@pytest.mark.slow
def test_memory_grows_with_the_weights(tmp_path: Path) -> None:
    peaks, sizes = [], []
    for units in (1, 8000):
        preprocess = Preprocess(32, 32, 3)
        card = ModelCard("mlp", ("a", "b"), preprocess, {"hidden": [units]})
        save_model(path := tmp_path / f"{units}.safetensors", card.create().state_dict(), card)
        file = export(path).path
        found = benchmark([str(file)], dataclasses.replace(QUICK, engines=("onnxruntime",), batch=1))
        speed = found.rows[0].speed
        assert speed is not None
        if speed.peak_memory_mib is None:
            pytest.skip("this system does not state it")
        peaks.append(speed.peak_memory_mib)
        sizes.append(file.stat().st_size / 2**20)
    assert sizes[1] - sizes[0] > 80
    # The file's bytes and the engine's own copy; but not many times as much.
    assert sizes[1] - sizes[0] < peaks[1] - peaks[0] < 8 * (sizes[1] - sizes[0])


# Counting ------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=300))
def test_quantiles(seconds: list[float]) -> None:
    p50, p95, p99 = latency_percentiles(seconds)
    assert p50 == pytest.approx(1000 * statistics.median(seconds))
    assert p50 <= p95 <= p99 <= 1000 * max(seconds) * (1 + 1e-12)
    for share, quantile in ((0.95, p95), (0.99, p99)):
        above = sum(1000 * value > quantile * (1 + 1e-12) for value in seconds)
        assert above <= (1 - share) * len(seconds) + 1


def test_quantiles_of_a_recorded_list() -> None:
    assert latency_percentiles([i / 1000 for i in range(101)]) == pytest.approx((50, 95, 99))


class Clock:
    """A clock that advances only during a computation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, image: float, call: float) -> None:
        self.now, self.image, self.call = 0.0, image, call
        self.sizes: list[int] = []
        monkeypatch.setattr(bench_row.time, "perf_counter", lambda: self.now)

    def compute(self, images: Any) -> Any:
        self.sizes.append(len(images))
        self.now += self.call + self.image * len(images)
        return np.zeros((len(images), 2))


def test_throughput_is_that_of_the_median_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, image=0.01, call=0.04)
    rates = throughputs(clock.compute, lambda n: np.zeros((n, 1), np.uint8), [1, 4], lanes=1, seconds=100)
    assert rates == pytest.approx({1: 1 / 0.05, 4: 4 / 0.08})
    assert clock.now == pytest.approx(100, rel=0.01)


def test_lanes_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, image=0.01, call=0.04)

    class Serial(contextlib.nullcontext[Any]):
        """A pool that runs one lane after the other, since the clock of this test cannot run in parallel."""

        def __enter__(self) -> Any:
            return SimpleNamespace(map=map)

    monkeypatch.setattr(bench_row, "ThreadPoolExecutor", Serial)
    rates = throughputs(clock.compute, lambda n: np.zeros((n, 1), np.uint8), [4], lanes=3, seconds=10)
    assert rates == pytest.approx({4: 3 * 4 / 0.08})


def test_warming_up_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, image=0.01, call=0.0)

    def compute(images: Any) -> Any:
        clock.now += 5.0 * (len(clock.sizes) < 3)
        return clock.compute(images)

    times = bench_row._latencies(compute, np.zeros((16, 2, 2, 3), np.uint8), 2.0)
    assert times == pytest.approx([0.01] * len(times))
    assert len(times) == pytest.approx(200, abs=1)
    assert set(clock.sizes) == {1}
    assert len(bench_row._latencies(compute, np.zeros((16, 2, 2, 3), np.uint8), 1e-9)) == 10


def test_batches_that_take_too_long_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, image=1.0, call=0.0)
    rates = throughputs(clock.compute, lambda n: np.zeros((n, 1), np.uint8), [1, 8, 32], lanes=1, seconds=30)
    assert list(rates) == [1, 8]
    assert max(clock.sizes) == 8
    assert list(throughputs(clock.compute, lambda n: np.zeros((n, 1), np.uint8), [64], lanes=1, seconds=1)) == [64]


def test_all_lanes_run_at_once() -> None:
    together, lock, inside, most = threading.Barrier(3, timeout=30), threading.Lock(), 0, 0

    def compute(images: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait()
        with lock:
            inside -= 1
        if most == 3:
            together.abort()  # the number of batches of each lane need not be the same
        return np.zeros((len(images), 2))

    rates = throughputs(compute, lambda n: np.zeros((n, 1), np.uint8), [2], lanes=3, seconds=0.01)
    assert most == 3
    assert rates[2] > 0


@given(*[st.floats(0, 100)] * 3, st.integers(1, 64))
def test_share_of_other_programs(clock: float, busy: float, own: float, cores: int) -> None:
    share = others_share(ProcessorUsage(5, 7, 3, cores), ProcessorUsage(5.1 + clock, 7 + busy, 3 + own, cores))
    assert share is not None
    assert 0 <= share <= 1
    if own >= busy:
        assert share == pytest.approx(0, abs=1e-9)
    assert others_share(None, ProcessorUsage(1, 1, 1, 1)) is None


# Reports -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.floats(0.1, 1e5)), max_size=12))
def test_ratios_are_against_the_first_row_of_each_model(drawn: list[tuple[str, float | None]]) -> None:
    rows = [failed(m) if rate is None else row(m, images_per_second=rate) for m, rate in drawn]
    found = Benchmark(rows=tuple(rows), machine=MACHINE)
    for name in "ab":
        ours = [(rate, x) for (m, rate), x in zip(drawn, found.ratios, strict=True) if m == name]
        assert [x is None for _, x in ours] == [rate is None for rate, _ in ours]
        worked = [(rate, x) for rate, x in ours if rate is not None and x is not None]
        if worked:
            assert worked[0][1] == 1
            assert all(x * worked[0][0] == pytest.approx(rate) for rate, x in worked)
        assert (name in found.failed) == (bool(ours) and not worked)


def test_the_best_engine_in_a_sentence() -> None:
    rows = (
        row(engine="torch", latency_p50_ms=9.0, images_per_second=50.0),
        row(engine="onnxruntime", latency_p50_ms=1.5, images_per_second=70.0),
        row(engine="openvino", latency_p50_ms=2.5, images_per_second=90.0, batch=32),
        failed("other"),
    )
    assert Benchmark(rows=rows, machine=MACHINE).best() == [
        "m: openvino float is best for many images (90.0 images/s in batches of 32), onnxruntime float for single "
        "ones (median 1.50 ms), on 4 cores of Abacus"
    ]
    (both,) = Benchmark(rows=rows[:1], machine=dataclasses.replace(MACHINE, threads=1)).best()
    assert both == (
        "m: torch float is best for many images (50.0 images/s in batches of 8) and for single ones (median 9.00 ms), "
        "on 1 of 4 cores of Abacus"
    )


def test_reasons_to_doubt_are_noted() -> None:
    assert Benchmark(rows=(row(), failed()), machine=MACHINE, remarks=("x",)).notes() == ["x"]
    (few,) = Benchmark(rows=(row(timings=99), row(engine="openvino")), machine=MACHINE).notes()
    assert "fewer than 100" in few
    assert "down to 99: m torch float)" in few
    (busy,) = Benchmark(rows=(row(others_share=0.42), row(others_share=None)), machine=MACHINE).notes()
    assert "up to 42% of the processor" in busy
    assert Benchmark(rows=(row(others_share=0.42), failed()), machine=MACHINE).disturbed
    assert not Benchmark(rows=(row(others_share=0.05), row(others_share=None)), machine=MACHINE).disturbed


def test_record_has_units_and_reasons() -> None:
    record = Benchmark(rows=(row(), failed(engine="openvino")), machine=MACHINE).record()
    good, bad = json.loads(json.dumps(record, allow_nan=False))["rows"]
    assert list(good) == list(bad)
    assert {"latency_p50_ms", "latency_p99_ms", "images_per_second", "peak_memory_mib", "startup_s"} <= set(good)
    assert (good["throughput_ratio"], good["error"], good["latency_p95_ms"]) == (1, None, 2.2)
    assert (bad["throughput_ratio"], bad["error"], bad["startup_s"], bad["batch"]) == (None, "why", None, None)


# Failures ------------------------------------------------------------------------------------------------


def child(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """Let this program measure the rows instead."""
    (folder / "stand_in.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr(bench_module, "bench_row", SimpleNamespace(__name__="stand_in"))


ENDINGS = {
    "import sys; sys.exit('first\\nlast line')": "its process ended with code 1: last line",
    "print('answered'); print('half a {', flush=True); import os; os._exit(3)": "its process ended with code 3",
    'import json; print(json.dumps({"error": "no\\nway"}))': "no way",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "its process was ended by SIGKILL, as the system does "
    "when memory runs out",
}


@pytest.mark.parametrize(("source", "reason"), ENDINGS.items(), ids=[*ENDINGS.values()])
def test_a_process_that_dies_is_a_row_with_its_reason(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, reason: str
) -> None:
    if "SIGKILL" in reason and os.name == "nt":
        pytest.skip("there are no signals")
    child(monkeypatch, tmp_path, source)
    found = benchmark([str(model)], dataclasses.replace(QUICK, engines=("torch",)))
    assert [row.error for row in found.rows] == [reason]
    assert found.failed == (str(model),)


def test_a_hung_process_is_killed(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "_TIMEOUT", (0.5, 0))
    child(monkeypatch, tmp_path, "import time; time.sleep(1000)")
    found = benchmark([str(model)], dataclasses.replace(QUICK, engines=("torch",)))
    assert [row.error for row in found.rows] == ["no result within 0.5 s"]


def test_a_failing_row_leaves_the_others(model: Path) -> None:
    file = export(model).path
    found = benchmark([str(file)], dataclasses.replace(QUICK, engines=("torch", "onnxruntime")))
    assert [row.error is None for row in found.rows] == [False, True]
    assert "torch cannot run an exported file" in str(found.rows[0].error)
    assert found.ratios == (None, 1.0)


def test_a_missing_engine_is_a_row_with_its_reason(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only in the child process.
    hidden = (
        "import importlib.util as u; find = u.find_spec; u.find_spec = lambda n, *a: n != 'openvino' and find(n, *a)"
    )
    hidden = hidden.replace("n != 'openvino' and find(n, *a)", "None if n == 'openvino' else find(n, *a)")
    child(monkeypatch, tmp_path, f"{hidden}\nfrom hubel.export.bench.row import run_job\nrun_job()")
    found = benchmark([str(export(model).path)], dataclasses.replace(QUICK, engines=("openvino",)))
    assert found.rows[0].error == "the engine 'openvino' is not installed: pip install openvino"


@pytest.mark.skipif(os.name == "nt", reason="signals are those of Unix")
def test_interrupting_kills_the_child_and_leaves_no_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "stand_in.py").write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "pathlib.Path('half').write_text(str(os.getpid()))\n"
        "os.rename('half', 'pid')\n"
        "time.sleep(1000)\n"
    )
    script = (
        "import sys, types\nfrom hubel.export.bench import run as bench\nfrom hubel.cli import main\n"
        "bench.bench_row = types.SimpleNamespace(__name__='stand_in')\nmain(sys.argv[1:])\n"
    )
    python_path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    parent = subprocess.Popen(
        [sys.executable, "-c", script, "bench", str(model)],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": python_path},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while not (tmp_path / "pid").exists():
            assert parent.poll() is None
            time.sleep(0.05)
        assert list((tmp_path / "temporary").iterdir())
        parent.send_signal(signal.SIGINT)
        out, err = parent.communicate(timeout=60)
    finally:
        parent.kill()
        parent.wait()
    assert (parent.returncode, out, err) == (130, "", "hubel: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not list((tmp_path / "temporary").iterdir())


# Models --------------------------------------------------------------------------------------------------


def test_missing_weights_are_random_and_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("hubel.weights.pretrained.urlopen", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    for name, note in {
        "resnet18.torchvision_v1": "random weights, since its own are not on this machine",
        "lenet5": "random weights; the speed",
    }.items():
        models = []
        for seed in range(2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            found = plan_benchmark(name, tmp_path / f"{name}-{seed}", engines=("torch",))
            assert torch.equal(torch.get_rng_state(), before)
            assert len(found.notes) == 1
            assert note in found.notes[0]
            models.append(hubel.load(found.candidates[0].file()))
        image = fixed_image(models[0].card.preprocess)[None]
        first, second = (model.scores(image) for model in models)
        np.testing.assert_array_equal(first, second)
        assert np.isfinite(first).all()


def test_weights_on_this_machine_are_used(tmp_path: Path) -> None:
    found = plan_benchmark("efficientnet_lite0", tmp_path)
    assert found.notes == ()
    ours, theirs = hubel.load(found.candidates[0].file()), hubel.load("efficientnet_lite0")
    image = fixed_image(ours.card.preprocess)[None]
    np.testing.assert_allclose(ours.scores(image), theirs.scores(image), atol=1e-6)


def test_weights_are_found_in_the_cache(own_cache: Path) -> None:
    row = find_weights("resnet18", "torchvision_v1")
    assert not bench_models._is_local(row)
    (own_cache / "weights").mkdir()
    (own_cache / "weights" / row.file).write_bytes(b"")
    assert bench_models._is_local(row)


def test_int8_with_images(model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(generator.integers(0, 256, (20, 20, 3), np.uint8)).save(photos / f"{i}.png")
    found = plan_benchmark(str(model), tmp_path / "x", engines=("onnxruntime",), int8=True, data=str(photos))
    assert found.notes == ()
    exact, quantised = (candidate.file() for candidate in found.candidates)
    assert hubel.load(quantised).file.facts["precision"] == "int8"  # type: ignore[attr-defined]
    assert quantised.read_bytes() != exact.read_bytes()
    assert found.candidates[1].file() == quantised
    # Such a file states its own precision.
    (again,) = plan_benchmark(str(quantised), tmp_path, engines=("onnxruntime",)).candidates
    assert again.precision == "int8"


def test_int8_that_is_refused_is_tried_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(*_: object, **__: object) -> None:
        calls.append(1)
        raise OptionError("8 bits cost too much")

    monkeypatch.setattr("hubel.export.quantise.OnnxQuantiser.quantise", refuse)
    found = plan_benchmark(str(model), tmp_path / "x", engines=("onnxruntime", "openvino"), int8=True)
    for candidate in found.candidates[2:]:
        with pytest.raises(OptionError, match="too much"):
            candidate.file()
    assert calls == [1]


MISTAKES: list[tuple[dict[str, Any], type[HubelError], str]] = [
    ({"models": []}, OptionError, "name the models"),
    ({"models": ["resnt18"]}, UnknownNameError, "did you mean resnet18"),
    ({"models": ["resnet18.a9"]}, UnknownNameError, "a1_in1k"),
    ({"models": ["modle.onnx"]}, ModelFileError, "did you mean model.onnx"),
    ({"models": ["model.safetensor"]}, UnknownNameError, "did you mean model.safetensors"),
    ({"models": ["no/where.onnx"]}, ModelFileError, "no such file"),
    ({"models": ["autoencoder_28"]}, OptionError, "reconstructs images and predicts no classes"),
    ({"models": ["knn"]}, OptionError, "consists of its training data"),
    ({"models": ["model.onnx"], "int8": True}, OptionError, "not exported"),
    ({"models": ["lenet5"], "engines": ("openvin",)}, UnknownNameError, "did you mean openvino"),
    ({"models": ["lenet5"], "int8": True, "data": "./nowhere"}, HubelError, "nowhere"),
    ({"models": ["lenet5"], "data": "digits"}, OptionError, "--int8"),
    ({"models": ["lenet5"], "seconds": float("nan")}, OptionError, "--seconds"),
    ({"models": ["lenet5"], "batch": 0}, OptionError, "--batch"),
    ({"models": ["lenet5"], "threads": 10_000}, OptionError, "--threads"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), MISTAKES, ids=[message for *_, message in MISTAKES])
def test_mistakes_are_found_before_anything_is_measured(
    model: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], kind: type[HubelError], message: str
) -> None:
    export(model)
    monkeypatch.chdir(model.parent)
    monkeypatch.setattr(bench_module, "_measure_in_process", lambda _: pytest.fail("too late"))
    with pytest.raises(kind, match=message):
        benchmark(arguments.pop("models"), BenchmarkSettings(**arguments))
