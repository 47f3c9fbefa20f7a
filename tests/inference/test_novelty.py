"""A model that calls images unknown says the same in Python, on the command line, over HTTP, and when exported."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

import hubel
from hubel.cli import main
from hubel.core.errors import HubelError, ModelFileError, OptionError
from hubel.data.inputs import collect
from hubel.data.samples import network_input
from hubel.evaluation.evaluate import evaluate_file
from hubel.export.ensemble import ensemble
from hubel.export.run import export
from hubel.features.novelty import fit_novelty
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.inference.onnx_file import described, read_onnx
from hubel.inference.predictor import Predictor, load_network
from hubel.nn.freezing import frozen_part, last_linear, with_novelty
from hubel.nn.network import Network
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings
from hubel.tasks.catalogue import find_task
from hubel.training.novelty import Unseen, add_novelty
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model, save_model
from hubel.weights.weight_file import read_weights
from small_card import CARD

ATOL = 1e-4  # of the novelty, of which the threshold is 1


def pictures(number: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (number, 12, 10, 3), np.uint8)


def made() -> tuple[Network, ModelCard]:
    """A network with random weights, whose rule is fitted to noise."""
    torch.manual_seed(0)
    network = CARD.create().eval()
    assert isinstance(network, Network)
    with torch.inference_mode():
        x = network_input(pictures(60, 0), CARD.preprocess)
        unseen = Unseen(frozen_part(network, "all")(x).numpy(), network(x).numpy())
    card, _ = add_novelty(network, CARD, find_task("classify"), unseen, reject=0.2, seed=0)
    assert card.novelty is not None
    return network, card


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file, and photos of which some are known and some are not."""
    place = tmp_path_factory.mktemp("novelty")
    network, card = made()
    save_model(place / "model.safetensors", network.state_dict(), card)
    (place / "photos").mkdir()
    for number, pixels in enumerate(
        [*pictures(12, 1), *(pictures(6, 2) // 8), *([np.full((12, 10, 3), 255, np.uint8)])]
    ):
        Image.fromarray(pixels).save(place / "photos" / f"{number:02}.png")
    return place


@pytest.fixture
def photos(folder: Path) -> list[Path]:
    return sorted((folder / "photos").glob("*.png"))


def answers(model: Any, photos: list[Path]) -> tuple[NDArray[np.float64], list[bool | None]]:
    found = [prediction for _, prediction in model.rank(collect(photos))]
    return np.array([one.novelty for one in found], np.float64), [one.unknown for one in found]


def test_the_row_is_that_of_the_layers(folder: Path, photos: list[Path]) -> None:
    model = hubel.load(folder / "model.safetensors", device="cpu")
    network, card = load_network(folder / "model.safetensors")
    assert isinstance(network, Network)
    assert card.novelty is not None
    layer = last_linear(network)
    assert layer is not None
    pixels = np.stack([np.asarray(Image.open(path)) for path in photos])
    with torch.inference_mode():
        features = frozen_part(network, "all")(network_input(pixels, card.preprocess))
        assert network.novelty is not None
        expected = network.novelty(features, layer(features)).numpy()
    novelty, unknown = answers(model, photos)
    np.testing.assert_allclose(novelty, expected, atol=ATOL)
    assert unknown == [value > card.novelty.threshold for value in expected.tolist()]
    assert len(set(unknown)) == 2
    # Nothing else sees the column: scores are as without it.
    plain = dataclasses.replace(card, novelty=None)
    network.novelty = None
    scores = Predictor(network, plain).predict_proba(photos)
    np.testing.assert_array_equal(model.predict_proba(photos), scores)
    assert with_novelty(network) is network


def test_views_leave_the_novelty_as_it_is(folder: Path, photos: list[Path]) -> None:
    one, several = (hubel.load(folder / "model.safetensors", device="cpu", tta=tta) for tta in (False, True))
    np.testing.assert_allclose(answers(several, photos)[0], answers(one, photos)[0], atol=ATOL)
    assert not np.allclose(several.predict_proba(photos), one.predict_proba(photos), atol=1e-4)


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)])
def test_exported_files_answer_alike(engine: str, folder: Path, photos: list[Path]) -> None:
    if engine not in installed_onnx_engines():
        pytest.skip(f"needs {engine}")
    done = export(folder / "model.safetensors", folder / f"{engine}.onnx")
    assert done.parity.largest_novelty_difference is not None
    assert done.parity.largest_novelty_difference < ATOL
    assert "novelty by at most" in done.lines()[0]
    expected = answers(hubel.load(folder / "model.safetensors", device="cpu"), photos)
    novelty, unknown = answers(hubel.load(done.path, engine=engine), photos)
    np.testing.assert_allclose(novelty, expected[0], atol=ATOL)
    assert unknown == expected[1]
    many = hubel.load(done.path, engine=engine).for_many(1000)[0]
    np.testing.assert_allclose(many(pictures(12, 1))[:, -1], expected[0][:12], atol=ATOL)


def test_a_file_that_averages_views_says_the_novelty_of_the_image_itself(folder: Path, photos: list[Path]) -> None:
    done = export(folder / "model.safetensors", folder / "t.onnx", tta=True)
    several = hubel.load(folder / "model.safetensors", device="cpu", tta=True)
    (novelty, unknown), expected = answers(hubel.load(done.path), photos), answers(several, photos)
    np.testing.assert_allclose(novelty, expected[0], atol=ATOL)
    assert unknown == expected[1]
    np.testing.assert_allclose(hubel.load(done.path).predict_proba(photos), several.predict_proba(photos), atol=1e-4)


def test_an_ensemble_of_such_models_calls_nothing_unknown(folder: Path, tmp_path: Path, photos: list[Path]) -> None:
    torch.manual_seed(1)
    save_model(tmp_path / "model.safetensors", CARD.create().state_dict(), CARD)
    done = ensemble([folder / "model.safetensors", tmp_path / "model.safetensors"], tmp_path / "e.onnx")
    assert answers(hubel.load(done.path), photos[:1])[1] == [None]


def test_int8_files_answer_nearly_alike(folder: Path, photos: list[Path]) -> None:
    done = export(folder / "model.safetensors", folder / "i.onnx", int8=True, data=str(folder / "photos"), max_drop=1)
    expected, _ = answers(hubel.load(folder / "model.safetensors", device="cpu"), photos)
    novelty, _ = answers(hubel.load(done.path), photos)
    np.testing.assert_allclose(novelty, expected, rtol=0.1, atol=0.25)  # random weights; the threshold is 1
    names = [node.name for node in _graph(done.path).graph.node if node.op_type == "QuantizeLinear"]
    assert names


def run(*arguments: object) -> None:
    """Call the command, which has to succeed."""
    with pytest.raises(SystemExit) as done:
        main([*map(str, arguments)])
    assert done.value.code == 0


def _graph(path: Path) -> Any:
    import onnx

    return onnx.load(path)


@pytest.fixture
def rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    run("predict", folder / "model.safetensors", folder / "photos", "--jsonl")
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_command_line_says_what_python_says(
    folder: Path, photos: list[Path], rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    novelty, unknown = answers(hubel.load(folder / "model.safetensors", device="cpu"), photos)
    np.testing.assert_allclose([row["novelty"] for row in rows], novelty, atol=ATOL)
    assert [row["unknown"] for row in rows] == unknown
    for suffix in ("csv", "parquet"):
        output = tmp_path / f"a.{suffix}"
        run("predict", folder / "model.safetensors", folder / "photos", "-o", output)
    with (tmp_path / "a.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["novelty"]) for row in table] == [row["novelty"] for row in rows]
    assert [row["unknown"] for row in table] == [str(value).lower() for value in unknown]
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == rows
    capsys.readouterr()
    run("predict", folder / "model.safetensors", *photos)
    printed = capsys.readouterr().out
    assert printed.count(", unknown") == sum(map(bool, unknown))


def test_the_server_says_what_python_says(folder: Path, photos: list[Path]) -> None:
    model = hubel.load(folder / "model.safetensors", device="cpu")
    novelty, unknown = answers(model, photos)
    with running_server({"model": model}, ServerSettings(port=0)) as url:
        connection = HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=30)
        found = []
        for path in photos:
            connection.request("POST", "/v1/predict", path.read_bytes(), {"content-type": "image/png"})
            found += json.loads(connection.getresponse().read())["images"]
        connection.close()
    np.testing.assert_allclose([one["novelty"] for one in found], novelty, atol=ATOL)
    assert [one["unknown"] for one in found] == unknown


def test_a_model_without_the_rule_says_nothing_of_it(tmp_path: Path, photos: list[Path]) -> None:
    torch.manual_seed(0)
    save_model(tmp_path / "model.safetensors", CARD.create().state_dict(), CARD)
    model = hubel.load(tmp_path / "model.safetensors", device="cpu")
    ((_, prediction),) = model.rank(collect(photos[:1]))
    assert (prediction.novelty, prediction.unknown) == (None, None)
    assert "novelty" not in CARD.to_json()
    with pytest.raises(OptionError, match="calls no image unknown"):
        evaluate_file(tmp_path / "model.safetensors", str(photos[0].parent), unknown=photos[0].parent)


def test_images_that_are_measured_or_taught_are_not_unknown(folder: Path, photos: list[Path], tmp_path: Path) -> None:
    for photo, name in zip(photos, (*CARD.classes, *CARD.classes), strict=False):
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "data" / name)
    known = len(list((tmp_path / "data").rglob("*.png")))
    shutil.copytree(tmp_path / "data", tmp_path / "others")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "others" / "new.png")
    said = {}
    for unknown in ("others", "new"):
        (tmp_path / "new").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "others" / "new.png", tmp_path / "new")
        done = evaluate_file(
            folder / "model.safetensors", str(tmp_path / "data"), unknown=tmp_path / unknown, out=tmp_path / unknown[0]
        )
        said[unknown] = [note for note in done.notes if "unknown images" in note]
    assert said["others"] == [
        f"{known} of {known + 1} unknown images taught the model or are measured here, so they are not unknown"
    ]
    assert not said["new"]


def test_the_file_is_read_back_and_its_weights_start_other_networks(folder: Path) -> None:
    network, card = made()
    again, read = load_model(folder / "model.safetensors")
    assert read == card
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)
    assert sum(name.startswith("novelty.") for name in again.state_dict()) == 5
    assert read_weights(folder / "model.safetensors").keys() == CARD.create().state_dict().keys()
    assert read_onnx(export(folder / "model.safetensors", folder / "x.onnx").path).card == card


def _hostile() -> Iterator[tuple[dict[str, Any], str]]:
    good = {"reject": 0.05, "threshold": 1.0, "rank": 2, "images": 60}
    for change, message in [
        ({"reject": 0}, "reject is above 0"),
        ({"reject": True}, "reject is a finite number"),
        ({"reject": 0.7}, "reject is above 0"),
        ({"threshold": "1"}, "threshold is a finite number"),
        ({"rank": 0}, "rank is a whole number"),
        ({"rank": 2.0}, "rank is a whole number"),
        ({"rank": 10**6}, "1000000 directions of novelty among 8 features"),
        ({"rank": 3}, "'novelty.directions' is float32"),
        ({"images": -1}, "images is a whole number"),
        ({"more": 1}, "novelty is a table of"),
    ]:
        yield {**good, **change}, message
    yield {}, "novelty is a table of"  # type: ignore[misc]


@pytest.mark.parametrize(("rule", "message"), list(_hostile()))
def test_a_hostile_rule_is_refused_in_one_line(rule: dict[str, Any], message: str, tmp_path: Path) -> None:
    network, card = made()
    with pytest.raises(ModelFileError, match=message) as caught:
        _load_with(network, card, rule, tmp_path / "model.safetensors")
    assert "\n" not in str(caught.value)


def _load_with(network: Network, card: ModelCard, rule: Any, path: Path) -> None:
    class Written(ModelCard):
        def to_json(self) -> dict[str, Any]:
            return {**card.to_json(), "novelty": rule}

    fields = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    save_model(path, network.state_dict(), Written(**fields))
    load_model(path)


@pytest.mark.parametrize(("name", "value"), [("scale", 0.0), ("scale", -1.0), ("mean", float("nan"))])
def test_tensors_that_make_no_number_are_refused(name: str, value: float, tmp_path: Path) -> None:
    network, card = made()
    getattr(network.novelty, name).fill_(value)
    save_model(tmp_path / "model.safetensors", network.state_dict(), card)
    with pytest.raises(ModelFileError, match=f"novelty.{name}"):
        load_model(tmp_path / "model.safetensors")


def test_a_card_and_a_graph_that_disagree_are_refused(folder: Path, tmp_path: Path) -> None:
    network, card = made()
    path = tmp_path / "wrong.onnx"
    from hubel.export.onnx_graph import onnx_network

    for graph, beside in [(onnx_network(network, card), CARD), (onnx_network(network, CARD), card)]:
        path.write_bytes(described(graph, beside, {}))
        with pytest.raises(HubelError, match="is no graph that hubel exports: the outputs"):
            hubel.load(path)


def test_too_few_images_and_other_networks_have_no_rule() -> None:
    network, card = made()
    assert isinstance(network, Network)
    network.novelty = None
    few = Unseen(np.ones((5, 8), np.float32), np.ones((5, 3), np.float32))
    task = find_task("classify")
    for unseen, said in [(few, "5 held-out images are too few"), (None, "no image is held out")]:
        found, sentence = add_novelty(network, CARD, task, unseen, reject=0.05, seed=0)
        assert found == CARD
        assert said in sentence
    assert add_novelty(network, CARD, task, few, reject=0.0, seed=0) == (CARD, "")
    assert add_novelty(network, CARD, find_task("multi_label"), few, reject=0.05, seed=0) == (CARD, "")
    found, sentence = add_novelty(torch.nn.Linear(8, 3), CARD, task, few, reject=0.05, seed=0)
    assert "ends in no linear layer" in sentence
    assert fit_novelty(few.features, few.logits, reject=0.05) is None
    assert card.novelty is not None
