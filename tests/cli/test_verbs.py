"""What each verb does when all is well."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hubel as package
from hubel.cli import verbs
from hubel.cli.verbs import VERBS, Verb
from hubel.models.catalogue import build_model

Call = Callable[..., Any]
QUICK = ["--epochs", "2", "--size", "12", "--options.filters", "4,8", "--options.repeat", "1", "--threads", "1"]
HEAVY = {"torch", "numpy", "matplotlib", "sklearn", "PIL", "pyarrow", "safetensors", "jinja2"}


def command(*words: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "hubel", *map(str, words)], capture_output=True, timeout=60, check=False, **more
    )


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], [], ["train", "--help"], ["predict", "--help"], ["nonsense"]]
)
def test_quick_answers_import_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys, hubel.cli\n"
        "try: hubel.cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print('loaded:', *sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_help_and_version(hubel: Call) -> None:
    assert hubel("--version").out.strip() == package.__version__
    for words in (["--help"], []):
        answer = hubel(*words)
        assert answer.code == 0
        for verb in VERBS:
            assert f" {verb.name.partition(' ')[0]} " in answer.out
            assert f"─ {verb.heading} ─" in answer.out


@pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])
def test_help_of_each_verb(hubel: Call, verb: Verb) -> None:
    answer = hubel(*verb.name.split(), "--help")
    assert answer.code == 0
    assert "Examples" in answer.out
    words = " ".join(answer.out.replace("│", " ").split())
    assert verb.examples()
    for example in verb.examples():
        assert f"hubel {verb.name}" in example
        assert " ".join(example.split()) in words
    assert "default: False" not in answer.out
    assert "default: None" not in answer.out
    assert "default: ()" not in answer.out


@pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])
def test_summary_is_the_docstrings(verb: Verb) -> None:
    assert verb.summary() == (verb.function().__doc__ or "").splitlines()[0]
    assert verb.summary().endswith(".")


def test_a_file_for_each_verb() -> None:
    """A verb's file has its examples; the others hold what several verbs print or how the command starts."""
    folder = Path(verbs.__file__).parent
    shared = {
        "__init__",
        "annotation_tables",
        "data_flags",
        "prediction_formats",
        "printing",
        "renamed",
        "results",
        "settings",
        "tables",
        "usage_errors",
        "verbs",
    }
    assert {path.stem for path in folder.glob("*.py")} - shared == {verb.module for verb in VERBS}


def test_only_the_verb_in_use_is_imported() -> None:
    script = "import sys, hubel.cli; hubel.cli.app(['data', 'check']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split()) & {f"hubel.cli.{verb.module}" for verb in VERBS}
    assert loaded == {f"hubel.cli.{verb.module}" for verb in VERBS if verb.name.split()[0] == "data"}


def test_info(hubel: Call) -> None:
    answer = hubel("info")
    assert answer.code == 0
    for word in ("hubel", "python", "torch", "device", "threads", "cache"):
        assert f"\n{word}" in f"\n{answer.out}"


def test_models(hubel: Call) -> None:
    answer = hubel("models")
    assert answer.code == 0
    assert "convnet" in answer.out
    assert "61,706" in answer.out
    assert "resnet20" not in hubel("models", "le*").out


def test_one_model(hubel: Call) -> None:
    answer = hubel("models", "lenet")
    assert answer.code == 0
    for words in (
        "lenet5_modern",
        "also called lenet",
        "61,706",
        "416,520",
        "activation",
        "tanh",
        "LeCun 1998",
    ):
        assert words in answer.out


def test_weights_of_a_model(hubel: Call) -> None:
    answer = hubel("models", "efficientnet_lite0")
    for words in ("75.10%", "apache-2.0", "package", "Tan & Le 2019", "32x112x112", "4,652,008"):
        assert words in answer.out


def test_verify(hubel: Call) -> None:
    answer = hubel("verify", "lenet*")
    assert answer.code == 0
    assert "pass" in answer.out
    assert "24 of 24 facts of 3 networks hold (19 paper, 5 computed here)" in answer.out
    answer = hubel("verify", "lenet5", "--all")
    assert "16x10x10" in answer.out
    answer = hubel("verify", "mobilenet_v2_140")
    assert "differs" in answer.out
    assert "Sandler 2018, Table 4 prints 6.9 million parameters, computed are 6,108,776" in answer.out


def test_predict_by_name(hubel: Call, photos: Path) -> None:
    answer = hubel("predict", "efficientnet_lite0", photos / "red", "--json")
    assert answer.code == 0
    assert len(json.loads(answer.out)) == 10


def test_convert(hubel: Call, tmp_path: Path) -> None:
    weights = build_model("resnet20", num_classes=3).state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in weights.items()}}, tmp_path / "mine.pth")
    answer = hubel("weights", "convert", tmp_path / "mine.pth", "--model", "resnet20")
    assert answer.code == 0, answer.err
    assert "resnet20, 3 classes, input 32x32" in answer.out
    assert (tmp_path / "mine.safetensors").is_file()
    answer = hubel("weights", "convert", tmp_path / "mine.pth", "--model", "resnet32")
    assert (answer.code, answer.out) == (2, "")
    first, *others = answer.err.splitlines()
    assert first == "hubel: 116 weights fit the network, 60 do not"
    assert len(others) == 20
    assert all(line.startswith("  missing: ") for line in others[:-1])


def test_data(hubel: Call, photos: Path) -> None:
    answer = hubel("data", "digits")
    assert answer.code == 0
    assert "1,797" in answer.out
    assert "8x8 to 8x8" in answer.out
    (photos / "red" / "bad.png").write_bytes(b"broken")
    answer = hubel("data", photos)
    assert answer.code == 0
    assert "30" in answer.out
    assert "bad.png" in answer.out
    (line,) = hubel("data", photos, "--unreadable").out.splitlines()
    path, reason = line.split("\t")
    assert path.endswith("bad.png")
    assert reason


def test_every_file_that_is_passed_over(hubel: Call, photos: Path) -> None:
    names = [f"{number}.k{number}" for number in range(8)]
    for name in names:
        (photos / "red" / name).write_text("no image")
    (photos / "blue" / "broken.png").write_bytes(b"")
    shown = hubel("data", photos).out
    assert "note    8 files passed over: not images (k0, k1, k2, k3, k4, ...)" in shown
    assert "  hubel data with --passed-over names each of them" in shown
    listed = hubel("data", photos, "--passed-over")
    assert (listed.code, listed.err) == (0, "")
    assert listed.out.splitlines() == [f"red/{name}\tnot images" for name in names]
    both = hubel("data", photos, "--passed-over", "--unreadable").out.splitlines()
    assert both == ["blue/broken.png\tthe file is empty", *listed.out.splitlines()]
    (photos / "red" / names[0]).unlink()
    (photos / "red" / names[1]).unlink()
    (photos / "red" / names[2]).unlink()
    assert "--passed-over" not in hubel("data", photos).out


def test_runs_say_what_was_measured(hubel: Call, model: Path) -> None:
    split = json.loads((model / "metrics.json").read_text())["split"]
    header, _, row = (line.split() for line in hubel("runs", model.parent).out.splitlines() if line.strip())
    assert header[7:10] == ["images", "measured", "on"]
    assert row[7:9] == ["6", split]
    assert split == "test"


def test_train_predict_evaluate(hubel: Call, photos: Path) -> None:
    trained = hubel("train", photos, *QUICK)
    assert trained.code == 0, trained.err
    run = Path("runs/photos-convnet-1")
    for name in ("model.safetensors", "report.html", "metrics.json", "metrics.csv", "config.json", "log.txt"):
        assert (run / name).is_file(), name
    assert "top-1 accuracy" in trained.out
    assert f"hubel predict {run} IMAGE..." in trained.out

    config = json.loads((run / "config.json").read_text())
    again = hubel("train", photos, "--config", run / "config.json", "--epochs", 1, "--seed=4")
    assert again.code == 0, again.err
    second = json.loads(Path("runs/photos-convnet-2/config.json").read_text())
    optimization = config["recipe"]["optimization"] | {"epochs": 1}
    assert second["recipe"] == config["recipe"] | {"optimization": optimization, "seed": 4}
    joined = hubel("train", f"--config={run / 'config.json'}", "--epochs", 1)
    assert joined.code == 0, joined.err

    runs = hubel("runs")
    assert runs.code == 0
    assert "photos-convnet-1" in runs.out
    assert "photos-convnet-3" in runs.out
    assert "not finished" not in runs.out
    assert "to the best" in runs.out
    (run / "metrics.json").unlink()
    assert "not finished" in hubel("runs").out


def test_evaluate(hubel: Call, model: Path, photos: Path) -> None:
    table = hubel("evaluate", model, photos, "--split", "all")
    assert table.code == 0
    assert "top-1 accuracy (labelled)" in table.out
    assert Path("runs/evaluate-photos-1/report.html").is_file()
    numbers = json.loads(hubel("evaluate", model, photos, "--split", "all", "--json", "--out", "here").out)
    assert numbers == json.loads(Path("here/metrics.json").read_text())
    assert numbers["n"] == 30
    held_out = json.loads(hubel("evaluate", model, model.parent / "photos", "--json").out)
    assert held_out["confusion"] == json.loads((model / "metrics.json").read_text())["confusion"]


def test_limits_of_an_evaluation(hubel: Call, model: Path, photos: Path) -> None:
    words = ("evaluate", model, photos, "--split", "all")
    kept = hubel(*words, "--min-accuracy", 0, "--min-recall", "red=0", "--no-worse-than", model)
    assert (kept.code, "failed" in kept.err) == (0, False)
    assert "compared  accuracy " in kept.out
    assert "it may be chance" in kept.out
    for i in range(4):
        (photos / "red" / f"{i}.png").rename(photos / "blue" / f"red {i}.png")
        (photos / "blue" / f"{i}.png").rename(photos / "red" / f"blue {i}.png")
    for more in ((), ("--json",)):
        missed = hubel(*words, "--min-recall", "red=1", "--min-recall=blue=1", "--min-accuracy", 1, *more)
        assert missed.code == 4
        lines = missed.err.splitlines()
        assert lines[-3].startswith("failed: the accuracy is ")
        assert [line.split(" is ")[0] for line in lines[-2:]] == [
            "failed: the recall of red",
            "failed: the recall of blue",
        ]
        assert all("(95% interval " in line and line.endswith("below the limit of 100%") for line in lines[-3:])
    assert json.loads(missed.out)["failed"] == [line.removeprefix("failed: ") for line in lines[-3:]]
    wrong = hubel(*words, "--min-recall", "gren=1")
    assert (wrong.code, wrong.err) == (2, "hubel: no class is called 'gren'; did you mean green?\n")


def test_evaluate_an_exported_file(hubel: Call, model: Path, photos: Path) -> None:
    exported = hubel("export", model, "-o", "small.onnx")
    assert exported.code == 0, exported.err
    found = [
        json.loads(hubel("evaluate", which, photos, "--split", "all", "--json").out) for which in (model, "small.onnx")
    ]
    assert found[0]["confusion"] == found[1]["confusion"]
    assert found[0]["nll"] == pytest.approx(found[1]["nll"], abs=1e-5)
    twice = json.loads(hubel("evaluate", "small.onnx", photos, "--split", "all", "--json", "--tta").out)
    assert twice["tta"]
    other = hubel("evaluate", "small.onnx", photos, "--engine", "onnx")
    assert (other.code, other.out) == (2, "")
    assert "no engine is called 'onnx'" in other.err
    assert "engines are for exported files" in hubel("evaluate", model, photos, "--engine", "onnxruntime").err


@pytest.mark.skipif(sys.platform == "win32", reason="the line is run by a POSIX shell")
def test_a_printed_command_runs_in_a_folder_with_a_space(hubel: Call, model: Path, photos: Path) -> None:
    Path("my files").mkdir()
    exported = hubel("export", model, "-o", "my files/m.onnx")
    assert exported.code == 0, exported.err
    (line,) = [line for line in exported.out.splitlines() if line.startswith("use it  ")]
    words = line.removeprefix("use it  ").replace("IMAGE...", str(photos / "red" / "1.png"))
    program = f"{sys.executable} -m hubel"
    done = subprocess.run(words.replace("hubel", program, 1), shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1.png" in done.stdout


def test_images_made_again(hubel: Call, photos: Path) -> None:
    trained = hubel("train", photos, "--task", "reconstruct", "--epochs", 1, "--threads", 1)
    assert trained.code == 0, trained.err
    assert "mean squared error of a pixel (test)" in trained.out
    assert "hubel predict" not in trained.out
    run = Path("runs/photos-autoencoder_28-1")
    numbers = json.loads(hubel("evaluate", run, photos, "--json").out)
    assert numbers == json.loads((run / "metrics.json").read_text())
    assert "mean squared error of a pixel (labelled)" in hubel("evaluate", run, photos, "--split", "all").out
    answer = hubel("runs")
    assert "squared error" in answer.out
    assert f"{numbers['mse']:.4f}" in answer.out
    assert "not finished" not in answer.out


def test_predict_formats_agree(hubel: Call, model: Path, photos: Path) -> None:
    table = hubel("predict", model, photos)
    as_json, as_lines = hubel("predict", model, photos, "--json"), hubel("predict", model, photos, "--jsonl")
    as_csv = hubel("predict", model, photos, "--csv")
    assert {answer.code for answer in (table, as_json, as_lines, as_csv)} == {0}
    rows = json.loads(as_json.out)
    assert rows == [json.loads(line) for line in as_lines.out.splitlines()]
    assert len(rows) == 30
    for row, flat in zip(rows, csv.DictReader(io.StringIO(as_csv.out)), strict=True):
        assert row["error"] is None
        assert flat["error"] == ""
        assert flat["path"] == row["path"]
        assert [flat["class"], flat["class2"], flat["class3"]] == [entry["class"] for entry in row["top"]]
        assert float(flat["score"]) == row["score"] == row["top"][0]["score"]
        assert sum(entry["score"] for entry in row["top"]) == pytest.approx(1, abs=1e-5)
        assert row["path"] in table.out
    assert len(json.loads(hubel("predict", model, photos, "--json", "--top", 1).out)[0]["top"]) == 1
    assert len(json.loads(hubel("predict", model, photos, "--json", "--top", 9).out)[0]["top"]) == 3


def test_predict_patterns_and_files(hubel: Call, model: Path, photos: Path) -> None:
    found = json.loads(hubel("predict", model, photos / "*" / "1.png", photos / "red" / "2.png", "--json").out)
    assert [Path(row["path"]).name for row in found] == ["1.png", "1.png", "1.png", "2.png"]
    assert len(json.loads(hubel("predict", model / "model.safetensors", "photos/**/*.png", "--json").out)) == 30


def test_unreadable_files_are_named(hubel: Call, model: Path, photos: Path) -> None:
    bad = photos / "red" / "bad.png"
    bad.write_bytes((photos / "red" / "1.png").read_bytes()[:100])
    table = hubel("predict", model, photos)
    assert table.code == 3
    assert str(bad) not in table.out
    (line,) = table.err.splitlines()
    assert line.startswith(f"unreadable: {bad}: ")
    answer = hubel("predict", model, photos, "--json")
    assert answer.code == 3
    (row,) = [row for row in json.loads(answer.out) if row["error"]]
    assert row["path"] == str(bad)
    assert row["class"] is None
    assert row["top"] == []
    flat = list(csv.DictReader(io.StringIO(hubel("predict", model, photos, "--csv").out)))
    assert sum(bool(entry["error"]) for entry in flat) == 1
    assert hubel("predict", model, photos / "red" / "1.png", "missing.png").code == 3


def test_debug_decode(hubel: Call, model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    upright = Image.fromarray(pixels)
    upright.save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright.save(tmp_path / "turned.png", exif=exif)
    upright.convert("L").save(tmp_path / "grey.png")
    Image.new("CMYK", (9, 7), (0, 255, 255, 0)).save(tmp_path / "ink.tif")
    names = ["plain.png", "turned.png", "grey.png", "ink.tif"]
    rows = json.loads(hubel("predict", model, *names, "--debug-decode", "--json").out)
    plain, turned, grey, ink = rows
    assert [row["mode"] for row in rows] == ["RGB", "RGB", "L", "CMYK"]
    assert [(row["width"], row["height"]) for row in rows] == [(30, 20), (20, 30), (30, 20), (9, 7)]
    for row in (plain, turned):
        assert row["rgb_mean"] == pytest.approx(pixels.mean((0, 1)).tolist(), abs=1e-3)
    assert grey["rgb_mean"] == [round(float(np.asarray(upright.convert("L")).mean()), 3)] * 3
    red, green, blue = ink["rgb_mean"]
    assert red > 150 > 100 > green
    assert blue < 100
    (flat, *_) = csv.DictReader(io.StringIO(hubel("predict", model, *names, "--debug-decode", "--csv").out))
    assert [float(value) for value in flat["rgb_mean"].split()] == plain["rgb_mean"]
    assert "30x20 RGB" in hubel("predict", model, *names, "--debug-decode").out


def test_standard_input(model: Path, photos: Path) -> None:
    image = photos / "red" / "1.png"
    done = command("predict", model, "-", "--json", input=image.read_bytes())
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["path"] == "-"


def test_list_on_standard_input(hubel: Call, model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(data: bytes, *words: object) -> Any:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        return hubel("predict", model, *words)

    image = photos / "red" / "1.png"
    listed = f"{image}\n{photos / 'blue' / '1.png'}\n\nmissing.png\n".encode()
    answer = given(listed, "-", "--jsonl")
    assert answer.code == 3
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert [row["path"] for row in rows] == [str(image), str(photos / "blue" / "1.png"), "missing.png"]
    assert [bool(row["error"]) for row in rows] == [False, False, True]
    assert len(json.loads(given(listed, "--json", "--", image, "-").out)) == 4
    (from_bytes,) = json.loads(given(image.read_bytes(), "-", "--json", "--debug-decode").out)
    assert from_bytes["top"] == rows[0]["top"]
    neither = given(b"\xff\xfe\x00 neither", "-")
    assert neither.code in (2, 3)
    assert len(neither.err.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error(model: Path, photos: Path) -> None:
    words = [sys.executable, "-m", "hubel", "predict", str(model), *[str(photos)] * 40, "--jsonl"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["class"]
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_names_that_the_terminal_cannot_show(model: Path, photos: Path) -> None:
    (photos / "red" / "1.png").rename(photos / "red" / "猫.png")
    done = command(
        "predict", model, "photos/red/猫.png", "--jsonl", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"].endswith("猫.png")


def test_summary(hubel: Call, model: Path) -> None:
    answer = hubel("summary", "vgg11")
    assert answer.code == 0
    for words in ("132,863,336", "7,609,090,048", "stages.4.1.conv", "512x14x14", "150"):
        assert words in answer.out
    values = json.loads(hubel("summary", "resnet20", "--json").out)
    assert values["params"] == 269_722
    assert len(hubel("summary", "resnet20", "--csv", "--depth", "1").out.splitlines()) == 4
    assert hubel("summary", "resnet20", "--markdown").out.startswith("| layer |")
    assert "3x12x12" in hubel("summary", model).out


def test_compare(hubel: Call, tmp_path: Path) -> None:
    answer = hubel("compare", "resnet18", "efficientnet_lite?", "--figure", tmp_path / "a.png")
    assert answer.code == 0
    for words in ("11,689,512", "4,652,008", "75.10%", "435"):
        assert words in answer.out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(hubel("compare", "lenet5", "--time", "--json").out)[0]["latency_ms"] > 0
