"""Whole runs: what a folder holds at the end, what can be resumed and what cannot."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hubel
from hubel.core.errors import CheckpointError, DataError, DivergedError, OptionError
from hubel.core.outputs import holding_folders
from hubel.data import loading
from hubel.data.sources.builtin import XO
from hubel.evaluation.evaluate import evaluate_file
from hubel.export import export
from hubel.inference.load import read_any_card
from hubel.models.convnet import ConvBlock
from hubel.training import run_report as module
from hubel.training.recipe import Recipe
from hubel.training.run_folder import RunFolder, differing_settings, newest_unfinished, summarise_runs
from hubel.weights.hub_card import hub_card
from hubel.weights.model_file import load_model, read_card
from stopping import stop_after

pytestmark = pytest.mark.usefixtures("cache")

FILES = {
    "config.json", "metrics.csv", "model.safetensors", "last/pointer", "figures/learning.png", "report.html", "log.txt",
    "metrics.json", "predictions.csv",
}  # fmt: skip
SMALL = XO(size=9, count=120)
MADE = Recipe(task="reconstruct", epochs=2, batch_size=32, threads=1, precision="float32", loading_threads=0)
REAL_REPORT = module.write_evaluation


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures and no page, which take most of the time."""
    monkeypatch.setattr(module, "write_evaluation", _write_metrics)


def _write_metrics(folder: Path, evaluation: Any, **_: Any) -> Path:
    (folder / "metrics.json").write_text(json.dumps(evaluation.metrics.to_json()))
    return folder / "report.html"


def photos(folder: Path, n: int = 12) -> Path:
    """A folder of grey squares in two classes, dark and light."""
    for i in range(n):
        for name, grey in (("dark", 40), ("light", 200)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), grey + i).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("model", ["knn", "convnet"])
def test_the_folder_of_a_run(tiny: Recipe, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "write_evaluation", REAL_REPORT)
    options = tiny.network.options if model == "convnet" else {}
    done = hubel.train("digits", replace(tiny, model=model, options=options, epochs=2, batch_size=64))
    assert done.folder == Path("runs") / f"digits-{model}-1"
    expected = FILES if model != "knn" else FILES - {"metrics.csv", "last/pointer", "figures/learning.png"}
    assert expected <= {str(path.relative_to(done.folder)) for path in done.folder.rglob("*")}
    assert json.loads((done.folder / "metrics.json").read_text())["top1"] == done.accuracy
    assert (done.evaluation is not None, done.split, done.stopped_by) == (True, "test", 0)
    assert read_card(done.model).provenance["seed"] == 0
    config = json.loads((done.folder / "config.json").read_text())
    assert Recipe.from_json(config["recipe"]).optimization.batch_size == 64
    assert sum(config["images"].values()) == 1797
    if model != "knn":
        rows = list(csv.DictReader((done.folder / "metrics.csv").read_text().splitlines()))
        assert [row["epoch"] for row in rows] == ["1", "2"]
        assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    assert "of 359 test images are classified correctly" in (done.folder / "log.txt").read_text()
    with pytest.raises(CheckpointError, match="is finished"):
        hubel.resume(done.folder)
    with pytest.raises(CheckpointError, match="already holds a run"):
        hubel.train("digits", tiny, out=done.folder)


def test_lenet_on_digits() -> None:
    done = hubel.train("digits", Recipe(model="lenet5_modern", threads=1, epochs=10, loading_threads=0))
    assert done.accuracy >= 0.98


def test_one_seed_one_file(tiny: Recipe) -> None:
    files = [
        hubel.train("xo", replace(tiny, seed=seed, loading_threads=threads), xo=SMALL).model.read_bytes()
        for seed, threads in ((0, 0), (0, 2), (1, 0))
    ]
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_images_from_disk_are_images_from_memory(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = photos(tmp_path / "photos")
    resident = hubel.train(str(data), tiny)
    # A default value is fixed when its function is made: this is where it lives.
    monkeypatch.setitem(loading.Images.__init__.__kwdefaults__, "keep", "off")
    for threads in (0, 2, 4):
        streamed = hubel.train(str(data), replace(tiny, loading_threads=threads))
        assert streamed.model.read_bytes() == resident.model.read_bytes()


def test_stop_and_go_on(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hubel.train("xo", tiny, out=Path("whole"), xo=SMALL)
    with monkeypatch.context() as patched:
        stop_after(patched, 4)
        stopped = hubel.train("xo", tiny, xo=SMALL)
        assert (stopped.stopped_by, stopped.evaluation) == (15, None)
        again = hubel.resume()  # nobody asks this one to stop until it has made 4 steps in all, which are behind it
    assert again.folder == stopped.folder
    assert again.model.read_bytes() == whole.model.read_bytes()
    assert "resuming after epoch 1, step 1" in (again.folder / "log.txt").read_text()
    with pytest.raises(CheckpointError, match="no unfinished run"):
        hubel.resume()


def stopped_run(tiny: Recipe, monkeypatch: pytest.MonkeyPatch, data: str = "xo", after: int = 4) -> RunFolder:
    with monkeypatch.context() as patched:
        stop_after(patched, after)
        return RunFolder(hubel.train(data, tiny, xo=SMALL if data == "xo" else None).folder)


def test_a_model_says_that_its_training_has_not_come_to_its_end(
    tiny: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = stopped_run(tiny, monkeypatch)
    exported = export(run.model, "stopped.onnx").path
    for model in (run.model, run.path, exported):
        capsys.readouterr()
        hubel.load(model)
        assert "its training has not come to its end" in capsys.readouterr().err
        assert "has not come to its end" in hub_card(read_any_card(model))
    hubel.resume()
    capsys.readouterr()
    hubel.load(run.model)
    assert not capsys.readouterr().err
    assert "unfinished" not in read_card(run.model).provenance


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ("optimization", "optimizer", "adamw"),
        ("optimization", "lr", 0.5),
        ("", "seed", 7),
        ("optimization", "epochs", 9),
    ],
)
def test_a_run_goes_on_only_with_the_settings_that_it_was_begun_with(
    tiny: Recipe, monkeypatch: pytest.MonkeyPatch, table: str, name: str, value: Any
) -> None:
    run = stopped_run(tiny, monkeypatch)
    config = run.config()
    (config["recipe"][table] if table else config["recipe"])[name] = value
    run.write_config(config)
    with pytest.raises(CheckpointError, match=rf"config\.json has been edited .*{name} was .* and is {value!r}"):
        hubel.resume(run.path)


def test_a_run_may_go_on_with_other_settings_of_the_machine(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stopped_run(tiny, monkeypatch)
    config = run.config()
    config["recipe"]["machine"]["checkpoint_minutes"] = 3.0
    run.write_config(config)
    assert hubel.resume(run.path).evaluation is not None


def test_a_lock_that_a_killed_command_left_is_gone_after_the_next(
    tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_run(tiny, monkeypatch)
    (run.path / ".hubel.lock").touch()
    with holding_folders():
        hubel.resume(run.path)
        assert (run.path / ".hubel.lock").exists()
    assert not [path.name for path in run.path.iterdir() if path.suffix == ".lock"]


def test_settings_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 200_000)
    with pytest.raises(CheckpointError, match=r"no readable config\.json"):
        RunFolder(tmp_path).config()


def test_the_newest_unfinished_run_that_has_trained_is_resumed(
    tiny: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        with monkeypatch.context() as patched:
            stop_after(patched, 2)
            hubel.train("xo", tiny, xo=SMALL)
    # A run whose weights could not be fetched never came further than its settings.
    Path("runs/dead").mkdir()
    shutil.copy("runs/xo-convnet-2/config.json", "runs/dead/config.json")
    done = hubel.resume()
    assert done.folder == Path("runs/xo-convnet-2")
    assert done.accuracy > 0.4
    first, dead = Path("runs/xo-convnet-1"), Path("runs/dead")
    assert (
        f"resuming {done.folder}; unfinished, too: {dead}, {first} (--resume --out FOLDER)" in capsys.readouterr().err
    )
    assert newest_unfinished() == first
    shutil.rmtree(dead)
    (first / "metrics.json").write_text("{")
    assert [run.damaged for run in summarise_runs(Path("runs"))] == [False, True]
    (first / "metrics.json").unlink()
    assert [(run.path.name, run.score is None) for run in summarise_runs(Path("runs"))] == [
        ("xo-convnet-2", False),
        ("xo-convnet-1", True),
    ]


def test_settings_that_differ_between_runs(tmp_path: Path) -> None:
    config = {"hubel": "0.2.0", "data": "photos", "xo": None, "fingerprint": ""}
    for number, settings in enumerate(({"lr": 0.1, "seed": 1}, {"lr": 0.25, "options": {"filters": "4"}}, {})):
        folder = tmp_path / str(number)
        folder.mkdir()
        model = "resnet20" if number == 2 else "convnet"
        recipe = Recipe(model=model, **settings).to_json()  # type: ignore[arg-type]
        (folder / "config.json").write_text(json.dumps(config | {"recipe": recipe}))
    assert differing_settings(summarise_runs(tmp_path)) == [
        "lr 0.1, options none, seed 1",
        "lr 0.25, options filters=4, seed 0",
        "",
    ]


def test_killed_before_the_first_checkpoint(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hubel.train("xo", tiny, out=Path("whole"), xo=SMALL)
    with monkeypatch.context() as patched:
        stop_after(patched, 2)
        stopped = hubel.train("xo", tiny, xo=SMALL)
    shutil.rmtree(stopped.folder / "last")
    assert hubel.resume().model.read_bytes() == whole.model.read_bytes()


@pytest.mark.parametrize("content", [None, "", "[1]", '{"architectures": ["Other"]}', '{"recipe": '])
def test_killed_before_the_settings_were_written(content: str | None) -> None:
    folder = Path("runs/xo-convnet-1")
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match="is not the folder of a run") as caught:
        hubel.resume(folder)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="no unfinished run"):
        hubel.resume()
    assert summarise_runs(Path("runs")) == []


def test_a_folder_that_another_process_trains_into(tiny: Recipe, tmp_path: Path) -> None:
    done = hubel.train("xo", tiny, out=tmp_path / "run", xo=XO(size=9, count=60))
    (done.folder / "metrics.json").unlink()
    with RunFolder(done.folder).lock():
        with pytest.raises(CheckpointError, match="another process is training into this folder"):
            hubel.resume(done.folder)
        with pytest.raises(CheckpointError, match="already holds a run"):
            hubel.train("xo", tiny, out=done.folder)
    assert hubel.resume(done.folder).evaluation is not None
    assert [path.name for path in done.folder.glob(".*")] == [".hubel"]


def test_changed_data(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = photos(tmp_path / "photos")
    with monkeypatch.context() as patched:
        stop_after(patched, 1)
        hubel.train(str(data), replace(tiny, batch_size=8))
    Image.new("L", (8, 8), 99).save(data / "dark" / "3.png")
    with pytest.raises(CheckpointError, match="has changed"):
        hubel.resume()


def test_resumed_from_another_folder(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path / "photos")
    with monkeypatch.context() as patched:
        stop_after(patched, 1)
        run = hubel.train(Path("photos"), replace(tiny, batch_size=8))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert hubel.resume(tmp_path / run.folder).evaluation is not None


def test_home_is_where_the_data_is(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    photos(tmp_path / "photos")
    run = hubel.train("~/photos", replace(tiny, epochs=1))
    assert RunFolder(run.folder).config()["data"] == str((tmp_path / "photos").resolve())


def test_arrays_cannot_be_resumed(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(monkeypatch, 1)
    images = np.zeros((20, 8, 8), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None]
    hubel.train((images, [i % 2 for i in range(20)]), replace(tiny, batch_size=4))
    with pytest.raises(CheckpointError, match="arrays, which are gone"):
        hubel.resume()


def test_leftovers_are_removed(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(monkeypatch, 2)
    run = hubel.train("xo", tiny, xo=SMALL)
    left = run.folder / ".metrics.csv.0123456789abcdef.tmp"
    left.write_text("epo")
    hubel.resume()
    assert not left.exists()


def test_diverged(tiny: Recipe) -> None:
    recipe = replace(tiny, lr=1e9, loss="mse", options={"filters": "4", "batch_norm": "false"})
    with pytest.raises(DivergedError, match="--lr"):
        hubel.train("xo", recipe, xo=SMALL)
    assert not Path("runs/xo-convnet-1/model.safetensors").exists()
    assert not Path("runs/xo-convnet-1/last").exists()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_caller_s_torch_is_left_alone(tiny: Recipe, context: Callable[[], Any]) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    with context():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        hubel.train("xo", replace(tiny, epochs=1), xo=SMALL)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_out_of_memory_in_a_run(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = ConvBlock.forward

    def narrow(block: ConvBlock, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 16 and block.training:
            raise torch.OutOfMemoryError("out of memory")
        return forward(block, x)

    monkeypatch.setattr(ConvBlock, "forward", narrow)
    done = hubel.train("xo", tiny, xo=SMALL)
    progress = json.loads(sorted(done.folder.glob("last/step-*/progress.json"))[-1].read_text())
    assert progress["parts"] == 2


def test_several_classes_an_image(tiny: Recipe, tmp_path: Path) -> None:
    rows = ["image_path,label"]
    rng = np.random.default_rng(0)
    for i in range(90):
        top, left = rng.integers(0, 2, 2)
        if not top and not left:
            top = 1
        pixels = rng.integers(0, 60, (8, 8)).astype(np.uint8)
        pixels[:4, 4:] += np.uint8(150 * top)
        pixels[4:, :4] += np.uint8(150 * left)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{'|'.join(['top'] * top + ['left'] * left)}")
    rows[1] = "0.png,left|top|left"  # written as no other
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    recipe = replace(tiny, model="linear", options={}, task="multi_label", epochs=10, batch_size=8, balance="inverse")
    done = hubel.train(str(tmp_path / "table.csv"), recipe)
    assert done.accuracy > 0.8
    card = read_card(done.model)
    assert (card.classes, card.scores) == (("left", "top"), "sigmoid")
    rows = (done.folder / "metrics.csv").read_text().splitlines()
    assert "val_exact" in rows[0]
    again = evaluate_file(done.folder, str(tmp_path / "table.csv"), out=tmp_path / "again").evaluation
    np.testing.assert_array_equal(again.images.rows, done.evaluation.images.rows)
    assert again.metrics.to_json() == done.evaluation.metrics.to_json()


@pytest.mark.usefixtures("drawn")
def test_images_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "write_evaluation", REAL_REPORT)
    done = hubel.train("xo", replace(MADE, epochs=3), xo=SMALL)
    assert done.folder == Path("runs/xo-autoencoder_28-1")
    files = {str(path.relative_to(done.folder)) for path in done.folder.rglob("*")}
    assert (FILES | {"figures/reconstructions.png"}) <= files
    assert not {"confusion.csv", "per_class.csv"} & files
    rows = list(csv.DictReader((done.folder / "metrics.csv").read_text().splitlines()))
    assert list(rows[0]) == ["epoch", "train_loss", "val_loss", "learning_rate", "images_per_second"]
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    network, card = load_model(done.model)
    assert (card.classes, card.scores, card.temperature, card.task) == ((), "sigmoid", 1.0, "reconstruct")
    assert (card.preprocess.mean, card.preprocess.std) == ((0.0,), (1.0,))

    images = done.evaluation.images
    x = images.pixels(np.arange(len(images))).transpose(0, 3, 1, 2) / 255
    with torch.no_grad():
        made = network(torch.from_numpy(x).float()).sigmoid().double().numpy()
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert metrics["mse"] == pytest.approx(np.square(made - x).mean(), rel=1e-4)
    assert metrics["bce"] == pytest.approx(-(x * np.log(made) + (1 - x) * np.log(1 - made)).mean(), rel=1e-4)
    assert 0 <= metrics["entropy"] < metrics["bce"]
    shown = [images.index.labels[code] for code in images.index.label[images.rows[done.evaluation.shown]]]
    assert shown[:2] == ["O", "X"]
    assert len(shown) == len(done.evaluation.reconstructions) == 10
    again = evaluate_file(done.folder, "xo", split="all", out=tmp_path / "again")
    assert again.evaluation.metrics.n == 1000
    assert (tmp_path / "again" / "figures" / "reconstructions.png").is_file()

    log = (done.folder / "log.txt").read_text()
    assert "xo: 86 images to train" in log
    assert "correct" not in log
    assert f"mean squared error of reconstruction is {metrics['mse']:.4f} a pixel on" in log
    (summary,) = summarise_runs(Path("runs"))
    assert (summary.finished, summary.score, summary.mse) == (True, None, metrics["mse"])
    assert summary.model == "autoencoder_28"
    with pytest.raises(OptionError, match="autoencoder_28 reconstructs images and predicts no classes"):
        hubel.load(done.model)


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9, "options": {"dropout": "0.2"}, "augment": "light"}])
def test_images_made_again_after_a_stop(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(MADE, **settings)
    whole = hubel.train("xo", recipe, out=Path("whole"), xo=SMALL)
    with monkeypatch.context() as patched:
        stop_after(patched, 4)
        stopped = hubel.train("xo", recipe, xo=SMALL)
        assert stopped.stopped_by == 15
        again = hubel.resume()
    assert again.folder == stopped.folder
    assert again.model.read_bytes() == whole.model.read_bytes()
    for name in ("metrics.json", "metrics.csv"):
        one, other = ((run.folder / name).read_text().splitlines() for run in (again, whole))
        assert [line.rsplit(",", 1)[0] for line in one] == [line.rsplit(",", 1)[0] for line in other]


def test_images_without_labels(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for number in range(24):
        Image.new("RGB", (30, 20), (number, 9 * number, 200)).save(tmp_path / "plain" / f"{number}.png")
    with pytest.raises(DataError, match="24 images, but no class folders"):
        hubel.train(tmp_path / "plain")
    done = hubel.train(tmp_path / "plain", MADE)
    assert done.evaluation.metrics.n == 5
    assert done.evaluation.reconstructions.shape == (5, 28, 28, 3)
    again = evaluate_file(done.folder, str(tmp_path / "plain"), out=tmp_path / "again").evaluation
    assert again.metrics == done.evaluation.metrics


@pytest.mark.peer
def test_one_file_of_events_a_run_for_tensorboard(tiny: Recipe) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = hubel.train("xo", replace(tiny, epochs=3), xo=SMALL)
    (_,) = done.folder.glob("events.out.tfevents.*")
    found = EventAccumulator(str(done.folder))
    found.Reload()
    with (done.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(found.Tags()["scalars"]) == set(rows[0]) - {"epoch"}
    for name in found.Tags()["scalars"]:
        points = [(point.step, point.value) for point in found.Scalars(name)]
        assert points == [(int(row["epoch"]), pytest.approx(float(row[name]), rel=1e-6)) for row in rows]


def test_no_such_data(tiny: Recipe) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        hubel.train("absent/photos", tiny)
    assert not Path("runs").exists()
