"""The Python interface takes what users of Python have at hand, and says what it takes where it does not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hubel
import hubel.explain
from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.data.dataset import open_dataset
from hubel.data.inputs import as_inputs
from hubel.evaluation.evaluate import evaluate_file
from hubel.explain import class_templates, draw_filters, find_method
from hubel.training import run_report
from hubel.training.recipe import Recipe
from hubel.weights.model_file import save_model
from small_card import CARD

X = np.random.default_rng(0).integers(0, 99, (40, 8, 8)).astype(np.uint8)
Y = np.arange(40) % 2
X[Y == 1] += 120
QUICK = {"model": "linear", "epochs": 1, "threads": 1, "size": 8}


def fitted() -> hubel.ImageClassifier:
    return hubel.ImageClassifier("linear", epochs=1).fit(X, Y)


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures and no page, which take most of the time."""
    monkeypatch.setattr(run_report, "write_evaluation", lambda folder, *rest, **more: folder / "report.html")


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"size": 64}, "size", "64"),
        ({"size": np.int64(64)}, "size", "64"),
        ({"size": (48, 64)}, "size", "48x64"),
        ({"epochs": np.int32(3)}, "epochs", 3),
        ({"epochs": 3.0}, "epochs", 3),
        ({"lr": np.float32(0.5)}, "lr", 0.5),
        ({"weights": Path("a.pth")}, "weights", "a.pth"),
        ({"options": {"filters": (16, 32), "dropout": 0.5}}, "options", {"filters": "16,32", "dropout": "0.5"}),
        ({"seed": np.int64(7)}, "seed", 7),
    ],
)
def test_settings_of_other_types(settings: dict[str, Any], name: str, value: Any) -> None:
    found = hubel.Recipe(**settings).settings()[name]
    assert found == value
    assert type(found) is type(value)
    assert hubel.Recipe.of(settings) == hubel.Recipe(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": "3"}, "epochs is a whole number, not '3'"),
        ({"epochs": 2.5}, "epochs is a whole number, not 2.5"),
        ({"epochs": True}, "epochs is a whole number, not True"),
        ({"epochs": np.array([1, 2])}, r"epochs is a whole number, not array\(\[1, 2\]\)"),
        ({"lr": torch.zeros(2, 2)}, r"lr is a number, not tensor\(\[\[0., 0.\], \[0., 0.\]\]\)"),
        ({"root": "a\0b"}, "is no path of a file or folder"),
        ({"lr": "fast"}, "lr is a number, not 'fast'"),
        ({"model": 5}, "model is a name, not 5"),
        ({"balance": True}, "balance is a name, not True"),
        ({"options": "filters"}, "options is a table, not 'filters'"),
        ({"size": 0}, "size is a number of pixels such as 64"),
        ({"seed": "a"}, "seed is a whole number, not 'a'"),
        ({"task": 1}, "task is a name, not 1"),
        ({"data": {"size": 64}}, "data is a DataSettings, not"),
    ],
)
def test_settings_of_wrong_types(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        hubel.Recipe(**settings)


def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[Any] = []
    done = hubel.train((X, Y), {**QUICK, "epochs": 2}, out=str(tmp_path / "run"), quiet=True, on_epoch=rows.append)
    assert done.folder == tmp_path / "run"
    assert capsys.readouterr() == ("", "")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[0].keys() >= {"train_loss", "val_loss", "val_top1", "learning_rate"}
    assert "epoch   2/2" in (tmp_path / "run" / "log.txt").read_text()
    assert hubel.load(str(done.folder)).classes == hubel.load(done.folder).classes == ("0", "1")


def test_messages_go_through_logging(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger, records = logging.getLogger("hubel"), list[logging.LogRecord]()
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        hubel.train((X, Y), QUICK, out=tmp_path / "a")
        assert any(record.getMessage().startswith("epoch   1/1") for record in records)
        assert "epoch   1/1" in capsys.readouterr().err
        logger.setLevel(logging.WARNING)
        hubel.train((X, Y), QUICK, out=tmp_path / "b")
        assert capsys.readouterr().err == ""
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.INFO)


def test_an_error_in_a_callback_reaches_the_caller(tmp_path: Path) -> None:
    def stop(row: Any) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        hubel.train((X, Y), QUICK, out=tmp_path / "run", quiet=True, on_epoch=stop)


def test_images_without_a_label(tmp_path: Path) -> None:
    labels = np.where(np.arange(40) % 5 == 0, np.nan, Y)
    assert hubel.load(hubel.train((X, labels), QUICK, out=tmp_path / "run", quiet=True).folder).classes == ("0", "1")
    with pytest.raises(DataError, match="none of the 40 readable images has a label"):
        hubel.train((X, [None] * 40), QUICK)


def explain(model: Any, images: Any) -> list[Any]:
    return list(hubel.explain.explain(model, images))


def collect_all(images: Any) -> list[Any]:
    return list(as_inputs(images))


def test_what_a_notebook_shows(tmp_path: Path) -> None:
    """The last value of a cell is a line or a table, and no arrays."""
    run = hubel.train((X, Y), QUICK, out=tmp_path / "run", quiet=True)
    model = hubel.load(run.folder)
    (found,) = hubel.explain.explain(model, [X[0]], method="integrated_gradients")
    shown = [run, model, found, evaluate_file(run.folder, (X, Y), out=tmp_path / "evaluated"), open_dataset((X, Y))]
    assert all(len(repr(one)) < 2000 and "array(" not in repr(one) for one in shown), shown
    assert repr(hubel.summary("lenet5")) == "Summary('lenet5', 60,000 parameters, 325,680 multiply-adds)"
    lines = str(hubel.summary("resnet50")).splitlines()
    assert lines[0].split()[:3] == ["layer", "kind", "window"]
    assert len(lines) < 80
    assert "parameters       25,557,032" in lines
    assert hubel.summary("lenet5")._repr_markdown_().startswith("| layer |")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hubel.train(42), DataError, "data is the name of a built-in dataset.*; not int$"),
        (lambda: hubel.train([X, Y]), DataError, r"images and their labels are a tuple \(images, labels\), not list"),
        (lambda: hubel.train((X, Y), "fast"), UnknownNameError, "no recipe is called 'fast'"),
        (lambda: hubel.train(X, Y), OptionError, r"not ndarray; images and their labels are one tuple, \(images, "),
        (lambda: hubel.train((X, Y), QUICK, on_epoch=3), OptionError, "on_epoch is a function of one row .*, not 3"),
        (lambda: hubel.train((X, Y), epochs=3), OptionError, r"in the recipe: hubel.train\(data, \{'epochs': 3\}\)"),
        (lambda: hubel.train((X, Y), epoch=3), UnknownNameError, "did you mean epochs"),
        (lambda: hubel.tune((X, Y), lr=1), OptionError, r"in the recipe: hubel.tune\(data, \{'lr': 1\}\)"),
        (lambda: hubel.export("run"), TypeError, r"^hubel.export is a module; call hubel.export.export\(...\)$"),
        (lambda: hubel.explain("run"), TypeError, r"^hubel.explain is a module; call hubel.explain.explain\(...\)$"),
        (lambda: hubel.weights(), TypeError, "^hubel.weights is a module of .*read_card, "),
        (lambda: hubel.summary(fitted()), OptionError, "not ImageClassifier; its network is .predictor_.network$"),
        (lambda: hubel.summary(3), OptionError, "a model is a module, a name or a path, not int"),
        (lambda: evaluate_file(3, "digits"), OptionError, "model is a path or a name, not int"),
        (lambda: hubel.create_model("lenet5", num_classes="3"), OptionError, "num_classes is a whole number, not '3'"),
        (lambda: hubel.create_model("lenet5", num_classes=True), OptionError, "num_classes is a whole number, not T"),
        (lambda: hubel.create_model("lenet5", num_classes=10**23), OptionError, "num_classes is at most 2,147,483,647"),
        (lambda: hubel.list_models(3), OptionError, "a pattern of names is a text such as .*, not 3"),
        (lambda: hubel.create_model("lenet5", input_size=32), OptionError, r"input_size is \(height, width\).* not 32"),
        (lambda: explain("runs/x", X), OptionError, "a model that hubel.load returns, not str"),
        (lambda: draw_filters("lenet5"), OptionError, "a model that hubel.load returns, not str"),
        (lambda: class_templates(3), OptionError, "a model that hubel.load returns, not int"),
        (lambda: find_method(3), UnknownNameError, "no method is called '3'"),
        (lambda: hubel.train("digits", "linear"), OptionError, "a network, not a recipe; .* is {'model': 'linear'}"),
        (lambda: collect_all({"a": X}), DataError, "images is dict; an image is"),
        (lambda: hubel.train((X, Y), {"epoch": 3}), UnknownNameError, "did you mean epochs"),
        (lambda: hubel.train((X, Y), QUICK, out=3), OptionError, "out is the path of a folder, not 3"),
        (lambda: hubel.resume(3), OptionError, "folder is the path of a folder, not 3"),
        (lambda: hubel.load(3), OptionError, "model is a path or a name, not 3"),
        (lambda: hubel.train((3, Y)), DataError, "images with labels are an array .* or a list of images, not int"),
        (lambda: hubel.train((X, Y, None, 5)), DataError, r"a pair \(images, labels\).*it has 4 parts"),
    ],
)  # fmt: skip
def test_wrong_types(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_sizes_that_are_none() -> None:
    for settings in ({"size": "wide"}, {"size": "8x"}, {"train_size": "8,wide"}):
        with pytest.raises(OptionError, match="size"):
            Recipe(**settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": None}, "device is auto, cpu, cuda, mps, xpu, not 'None'"),
        ({"device": 0}, "device is auto, cpu, cuda, mps, xpu, not '0'; did you mean cuda:0?"),
        ({"engine": 3}, "an engine is a name, not 3"),
        ({"costs": 3}, "3 is no path of a file or folder"),
    ],
)
def test_options_of_load(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", CARD.create().state_dict(), CARD)
    assert hubel.load(tmp_path, device=torch.device("cpu")).classes == CARD.classes
    with pytest.raises(OptionError) as caught:
        hubel.load(tmp_path, **options)
    assert str(caught.value) == message


def test_no_data_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell's variable that is not set would have it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(X[0]).save(tmp_path / name / "0.png")
    for call in (lambda: hubel.train("", QUICK), lambda: hubel.tune("", minutes=1), lambda: open_dataset("")):
        with pytest.raises(OptionError, match="a path is empty"):
            call()
    with pytest.raises(OptionError, match="--out is the path of a folder, not 3"):
        hubel.tune("digits", out=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hubel.create_model(3), "a network of the catalogue is a name, not 3"),  # type: ignore[arg-type]
        (lambda: hubel.create_model("lenet5", weights=3), "weights are a name or a path, not 3"),  # type: ignore[arg-type]
        (lambda: hubel.create_model("lenet5", options="a"), "options of a network are a dict, not 'a'"),  # type: ignore[arg-type]
        (lambda: hubel.generate(3), "a model is a path or a name, not 3"),  # type: ignore[arg-type]
        (lambda: hubel.summary("lenet5", 32), "the shape of an input is (channels, height, width), not 32"),  # type: ignore[arg-type]
        (lambda: hubel.summary("lenet5", (32, 32)), "the shape of an input is (channels, height, width), not (32, 32)"),
        (lambda: hubel.ImageClassifier("linear", options=3).fit(X, Y), "options of a network are a dict, not 3"),  # type: ignore[arg-type]
    ],
)
def test_values_of_other_types(call: Any, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        call()
    assert str(caught.value) == message


def test_a_recipe_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text('model = "linear"\nepochs = 3\n')
    for file in (tmp_path / "quick.toml", str(tmp_path / "quick.toml")):
        assert Recipe.of(file).optimization.epochs == 3


def test_a_path_is_no_list_of_images(tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", CARD.create().state_dict(), CARD)
    with pytest.raises(DataError, match=r"hubel.data.collect\(\['a.png'\]\), not one path"):
        next(hubel.load(tmp_path / "m.safetensors").rank("a.png"))
