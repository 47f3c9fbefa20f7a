"""A user's mistake is one line that says what was got and what was expected, and never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from hubel.data.preprocess import Preprocess
from hubel.weights.card import ModelCard
from hubel.weights.model_file import save_model
from small_card import CARD

Call = Callable[..., Any]


def line(answer: Any, *, code: int = 2) -> str:
    """The one line of an error."""
    assert answer.out == ""
    (only,) = answer.err.splitlines()
    assert answer.code == code, only
    assert only.startswith("hubel: ")
    return only.removeprefix("hubel: ")


COMMAND_LINES = {
    "train": "name the images: hubel train PHOTOS, or hubel train digits",
    "predict": "predict needs MODEL; see hubel predict --help",
    "predict run": "name the images: hubel predict MODEL IMAGE...",
    "evaluate run": "evaluate needs DATA; see hubel evaluate --help",
    "data": "data needs SOURCE; see hubel data --help",
    "trian photos": "no command is called 'trian'; did you mean train? See hubel --help",
    "classify": "no command is called 'classify'; there are data, search, similar, embed, train, ",
    "train digits --epochs many": "--epochs is a whole number, not 'many'; see hubel train --help",
    "train digits --lr fast": "--lr is a number, not 'fast'; see hubel train --help",
    "train digits --resume=maybe": "--resume is true or false, not 'maybe'; see hubel train --help",
    "train digits --balance often": "no balance is called 'often'; the known ones are: auto, effective, ",
    "train digits --loss bce --balance logit_adjustment": "balance logit_adjustment needs one class an image, and the "
    "loss cross_entropy",
    "train digits --epoch 3": "train has no option --epoch; did you mean --epochs? See hubel train --help",
    "train digits --quickly": "train has no option --quickly; see hubel train --help",
    "train digits --size": "--size needs a value; see hubel train --help",
    "train digits more": "train takes no argument 'more'; see hubel train --help",
    "train digits --recipe resnet-cifr": "no recipe is called 'resnet-cifr'; did you mean resnet-cifar?",
    "train digits --recipe no.toml": "--recipe no.toml: no such file; expected settings ",
    "train digits --recipe resnet-cifar --config no.json": "--config and --recipe both bring settings; give one",
    "train digits --config": "--config needs a value; see hubel train --help",
    "train digits --config no.json": "--config no.json: no such file; expected settings "
    "in TOML, or the config.json of a run",
    "evaluate a b --split tst": "--split is one of auto, train, val, test, all, not 'tst'; see hubel evaluate --help",
    "predict a b --top 0": "--top is at least 1, not 0",
    "predict a b --json --csv": "choose one of --json and --csv",
    "train digits --lr -1": "lr is at least 1e-30, not -1.0",
    "train digits --size 64x": "size is a number of pixels such as 64, or HEIGHTxWIDTH such as 48x64, not '64x'",
    "train digits --model resnet21": "no model is called 'resnet21'; did you mean resnet",
    "train digits --task paint": "no task is called 'paint'; the known ones are: classify, detect, generate, ",
    "tune shapes:count=9": "hubel tune searches settings of classifiers and regressions, not of the task detect",
    "train digits --task segment": "digits has labels of whole images, and no masks to learn from",
    "train digits --model pose": "digits has labels of whole images, and no points to learn from",
    "train shapes:count=9 --model unet --freeze stage9": "no part to freeze is called 'stage9'",
    "train shapes:count=9 --augment strong --balance sampling": "balance has no meaning for the task detect",
    "train digits --task reconstruct --model resnet20": "resnet20 is not for the task reconstruct; networks that are: "
    "autoencoder_28, autoencoder_28_transposed",
    "train digits --task classify --model autoencoder_28": "autoencoder_28 is not for the task classify; "
    "networks that are: ",
    "train digits --task reconstruct --balance inverse": "balance has no meaning for the task "
    "reconstruct; leave it out",
    "train digits --task reconstruct --size 32": "autoencoder_28 takes images of 28x28 pixels, not 32x32",
    "models zzz*": "no model is called 'zzz*'; none of the ",
    "models lenet6": "no model is called 'lenet6'; did you mean lenet or lenet5 or alexnet?",
    "train digits --resume": "a resumed run keeps its data and settings; use only --resume and --out RUN",
    "train nowhere": "nowhere",
    "data nowhere": "nowhere",
    "predict nowhere x.png": "no model file, run or network is called 'nowhere'; none of the ",
    "predict ./nowhere x.png": "nowhere: no such model file",
    "predict resnet20 x.png": "no model with pretrained weights is called 'resnet20'; did you mean",
    "predict vgg16.best x.png": "no set of weights of vgg16 is called 'best'; the known ones are: ",
    "summary resnet20 --csv --json": "choose one of --csv and --json",
    "summary resnet20 --input 3x4": "--input is CHANNELSxHEIGHTxWIDTH such as 3x224x224, not '3x4'",
    "summary alexnet --input 3x32x32": "alexnet needs images of at least 67 pixels each way, not 32x32",
    "compare": "name the networks",
    "compare resnet20 resnet21": "no model is called 'resnet21'",
    "verify zzz": "no model is called 'zzz'",
    "weights convert a.pth": "weights convert needs --model",
    "weights convert a.pth --model resnet20": "a.pth: no such file",
    "runs nowhere": "nowhere: no run in this folder; make one with hubel train",
}


@pytest.mark.parametrize(("words", "message"), COMMAND_LINES.items(), ids=COMMAND_LINES)
def test_command_lines(hubel: Call, words: str, message: str) -> None:
    assert message in line(hubel(*words.split()))
    assert not Path("runs").exists()


def test_misspelt_option_of_a_network(hubel: Call) -> None:
    answer = hubel("train", "digits", "--options.filtres", "3")
    assert (answer.code, answer.out) == (2, "")
    assert "no option of convnet is called 'filtres'; did you mean filters?" in answer.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not JSON", "no JSON: Expecting value: line 1 column 1"),
        ("[]", "holds no settings; expected TOML, or the config.json of a run"),
        ('{"recipe": 3}', "holds no settings; expected TOML, or the config.json of a run"),
        ("[" * 100_000, "no JSON: maximum recursion depth exceeded"),
        ('{"recipe": {"epoch": 3}}', "train has no option --epoch (from config.json); did you mean --epochs?"),
        ('{"recipe": {"epochs": "x"}}', "--epochs is a whole number, not 'x' (from config.json)"),
    ],
)
def test_config_files(hubel: Call, text: str, message: str) -> None:
    Path("config.json").write_text(text)
    assert message in line(hubel("train", "digits", "--config", "config.json"))


def test_data_sets(hubel: Call, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in line(hubel("train", "empty"))
    for name in ("blue", "green"):
        shutil.rmtree(photos / name)
    assert "red" in line(hubel("train", photos))


def test_only_broken_images(hubel: Call, photos: Path) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"broken")
    assert "photos" in line(hubel("train", photos))


def test_table_that_names_missing_files(hubel: Call, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("image_path,label\na.png,x\nb.png,y\n")
    message = line(hubel("train", "list.csv"))
    assert "list" in message or "a.png" in message
    (tmp_path / "other.csv").write_text("file,kind\na.png,x\n")
    assert "image_path" in line(hubel("train", "other.csv"))


def test_model_files(hubel: Call, model: Path, photos: Path, tmp_path: Path) -> None:
    whole = (model / "model.safetensors").read_bytes()
    image = photos / "red" / "1.png"
    path = tmp_path / "m.safetensors"
    path.write_bytes(whole[:-100])
    assert "m.safetensors is truncated" in line(hubel("predict", path, image))
    path.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    assert "m.safetensors is damaged" in line(hubel("predict", path, image))
    assert "m.safetensors is damaged" in line(hubel("evaluate", path, photos))
    save_file({"w": torch.zeros(2)}, path)
    assert "not a model file of hubel" in line(hubel("predict", path, image))
    assert "no model file in this folder" in line(hubel("predict", photos, image))


@pytest.mark.parametrize("model", ["convnet", "autoencoder_28"])
def test_weights_that_are_finite_and_far_too_large(hubel: Call, photos: Path, model: str) -> None:
    card = CARD if model == "convnet" else ModelCard(model, (), Preprocess(28, 28, 1, mean=(0.5,), std=(0.5,)))
    network = card.create()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e30)
    save_model(Path("huge.safetensors"), network.state_dict(), card)
    answer = hubel("evaluate", "huge.safetensors", photos, "--split", "all")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines()[-1].startswith("hubel: the network's outputs are NaN or infinite: its weights are")


def test_a_model_that_makes_images(hubel: Call, photos: Path) -> None:
    words = ["--task", "reconstruct", "--epochs", 1, "--threads", 1, "--out", "made"]
    assert hubel("train", photos, *words).code == 0
    photo = photos / "red" / "1.png"
    assert line(hubel("explain", "made", photo)) == (
        "autoencoder_28 reconstructs images and predicts no classes; hubel predict MODEL IMAGE --draw FOLDER shows "
        "them, hubel evaluate MODEL DATA measures it"
    )
    assert line(hubel("predict", "made", photo, "--tta")).endswith(
        "reconstructs images (its task is reconstruct): no --tta"
    )
    assert line(hubel("predict", "made", photo, "--labels", "x")) == (
        "--labels is for models that find objects, pixels or points; made reconstructs images"
    )
    assert (
        line(hubel("predict", "made", photo, "--sure", "0.9")) == "--sure is for classifiers; made reconstructs images"
    )


def test_missing_images(hubel: Call, model: Path, tmp_path: Path) -> None:
    assert line(hubel("predict", model, "missing.png")) == "missing.png: no such file or folder"
    (tmp_path / "nothing").mkdir()
    assert "there is no image in this folder" in line(hubel("predict", model, "nothing"))


def test_classes_that_the_model_does_not_know(hubel: Call, model: Path, photos: Path) -> None:
    (photos / "red").rename(photos / "violet")
    assert "violet" in line(hubel("evaluate", model, photos, "--split", "all"))


def test_places_that_cannot_be_written(hubel: Call, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for words in (["train", photos], ["evaluate", model, photos]):
        assert "file" in line(hubel(*words, "--out", "file/inside"), code=1)


def test_an_existing_run_is_not_overwritten(hubel: Call, model: Path, photos: Path) -> None:
    before = json.loads((model / "config.json").read_text())
    assert "already holds a run" in line(hubel("train", photos, "--out", model))
    assert json.loads((model / "config.json").read_text()) == before


def test_from_a_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hubel", "train", "nowhere"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("table", "name", "value", "message"),
    [
        ("optimization", "lr", float("nan"), "lr is from 1e-30 to 1e+12, not nan"),
        ("optimization", "epochs", "many", "epochs is a whole number, not 'many'"),
        ("optimization", "epochs", 1.5, "epochs is a whole number, not 1.5"),
        ("optimization", "loss", [], "loss is a name, not []"),
        ("network", "model", {"a": 1}, "model is a name, not {'a': 1}"),
        ("network", "options", 3, "options is a table, not 3"),
        ("network", "modle", "vgg11", "no setting is called 'modle'; did you mean model?"),
        ("", "data", ["photos"], "data is a path or a name, not ['photos']"),
        ("", "recipe", 3, "config.json: "),
        ("", "xo", 3, "config.json: "),
    ],
)
def test_a_run_whose_settings_were_edited(
    hubel: Call, model: Path, table: str, name: str, value: Any, message: str
) -> None:
    shutil.copytree(model, "edited")
    Path("edited/metrics.json").unlink()
    config = json.loads(Path("edited/config.json").read_text())
    (config["recipe"][table] if table else config)[name] = value
    Path("edited/config.json").write_text(json.dumps(config))
    assert message in line(hubel("train", "--resume", "--out", "edited"))
    if table:
        assert line(hubel("train", "digits", "--config", "edited/config.json"))


@pytest.mark.parametrize("words", [("--epochs", "1.5"), ("--epochs=1.5",), ("--config", "e.toml")])
def test_a_fraction_is_no_whole_number(hubel: Call, words: tuple[str, ...]) -> None:
    Path("e.toml").write_text("epochs = 1.5")
    assert "--epochs is a whole number, not '1.5'" in line(hubel("train", "xo", *words))


@pytest.mark.parametrize("split", ["", "test"])
def test_no_image_has_a_label(hubel: Call, model: Path, photos: Path, split: str) -> None:
    names = [path.relative_to(photos) for path in sorted(photos.rglob("*.png"))]
    (photos / "t.csv").write_text("image_path,label,split\n" + "".join(f"{name},,{split}\n" for name in names))
    shown = hubel("data", photos / "t.csv")
    assert (shown.code, shown.err) == (0, "")
    assert "t: 30 images, none with a label" in shown.out
    for words in (("evaluate", model), ("train",), ("train", "--task", "regress"), ("train", "--task", "multi_label")):
        if words[-1] == "multi_label":
            (photos / "t.csv").write_text("image_path,label\n" + "".join(f"{name},nan\n" for name in names))
        assert line(hubel(*words, photos / "t.csv")) == "t: none of the 30 readable images has a label"


def test_a_list_of_labels_is_refused_or_counted(hubel: Call, tmp_path: Path, photos: Path) -> None:
    paths = [str(path) for path in sorted(photos.rglob("*.png"))[:4]]
    labels = [["cat", "pet"], ["cat"], ["pet"], []]
    pq.write_table(pa.table({"image_path": paths, "label": labels}), tmp_path / "t.parquet")
    refused = "t.parquet, row 1: cat, pet are several labels; expected one, or --task multi_label"
    assert line(hubel("data", "t.parquet")) == refused
    shown = hubel("data", "t.parquet", "--task", "multi_label").out
    rows = [row.split() for row in shown.splitlines()]
    assert [r for r in rows if r and r[-1].isdecimal()] == [
        ["(no", "class)", "1"],
        ["cat", "2"],
        ["pet", "2"],
        ["all", "4"],
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("val run photos", "no command is called 'val'; did you mean evaluate?"),
        ("fit photos", "no command is called 'fit'; did you mean train?"),
        ("train digits --imgsz 64", "train has no option --imgsz; did you mean --size?"),
        ("train digits --learning_rate 1", "train has no option --learning_rate; did you mean --lr?"),
        ("train digits --batch 64", "train has no option --batch; did you mean --batch-size?"),
        (
            "train data=digits epochs=3",
            "not written as data=digits; did you mean: hubel train digits --epochs 3",
        ),
        ("train digits --device 0", "did you mean cuda:0?"),
        ("predict best.pt x.png", "hubel weights convert best.pt --model NAME"),
    ],
)
def test_habits_from_other_programs(hubel: Call, words: str, message: str) -> None:
    torch.save({"state_dict": {}}, "best.pt")
    assert message in line(hubel(*words.split()))


@pytest.mark.slow
def test_a_recipe_in_yaml(hubel: Call) -> None:
    Path("recipe.yaml").write_text("epochs: 1\nnetwork:\n  model: linear\n")
    assert hubel("train", "digits", "--config", "recipe.yaml").code == 0
    assert Path("runs/digits-linear-1").is_dir()
    Path("bad.yml").write_text("epochs: [1\n")
    assert "bad.yml: no YAML: " in line(hubel("train", "digits", "--config", "bad.yml"))
    Path("code.yaml").write_text("epochs: !!python/object/apply:os.mkdir [made]\n")
    assert "code.yaml: no YAML: " in line(hubel("train", "digits", "--config", "code.yaml"))
    assert not Path("made").exists()


def test_a_closed_standard_error_becomes_the_null_device() -> None:
    """Otherwise the next file that is opened would get its number, and with it what C libraries print."""
    code = """
import os
os.close(2)
from hubel.cli import main
try:
    main(["train", "nowhere"])
except SystemExit as ended:
    os._exit(ended.code if os.path.samestat(os.fstat(2), os.stat(os.devnull)) else 1)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 2
