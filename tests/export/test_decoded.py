"""Graphs that decode answer as NumPy does, for whatever a network says, on each engine."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import hubel
from hubel.core.errors import OptionError
from hubel.data.preprocess import Preprocess
from hubel.export.decoded import decoded
from hubel.export.onnx_graph import check_answers, onnx_network
from hubel.inference.answers import answers
from hubel.inference.dense import DenseModel
from hubel.inference.dense_predictor import DensePredictor
from hubel.inference.engines.registry import installed_onnx_engines, open_onnx
from hubel.inference.onnx_check import check_graph
from hubel.inference.onnx_file import described, read_onnx
from hubel.inference.scores import network_scores
from hubel.nn.points import pyramid_points
from hubel.weights.card import ModelCard

SIDE = 64
POINTS = len(pyramid_points(SIDE, SIDE)[0])
TINY = {"backbone": "mobilenet_v1_025", "width": 16}
ENGINES = ["onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)]


def card_of(dense: str, classes: int, model: str = "", **more: object) -> ModelCard:
    kind = {"boxes": ("fcos", "identity", "detect"), "maps": ("unet", "softmax", "segment")}[dense]
    names = tuple(map(str, range(classes)))
    return ModelCard(
        model or kind[0],
        names,
        Preprocess(SIDE, SIDE),
        scores=kind[1],
        task=kind[2],
        dense=dense,
        **more,  # type: ignore[arg-type]
    )


def says(outputs: NDArray[np.float32]) -> bytes:
    """A network that says row 0 of a black image, row 1 of one whose pixels are 1: engines take images one by one."""
    known = numpy_helper.from_array(outputs, "known")
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["pixels"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Cast", ["brightest"], ["rows"], to=TensorProto.INT64),
        helper.make_node("Gather", ["known", "rows"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    stated = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", *outputs.shape[1:]])
    graph = helper.make_graph(nodes, "says", [images], [stated], initializer=[known])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def detector_says(points: int, classes: int, seed: int) -> NDArray[np.float32]:
    """Boxes in heaps, so that most are suppressed, some beyond the image; a part of them hardly on an object."""
    random = np.random.default_rng(seed)
    middle = random.choice(random.random((12, 2)) * 1.2 - 0.1, (2, points))
    middle, half = middle + random.normal(0, 0.02, middle.shape), 0.05 + 0.1 * random.random((2, points, 2))
    logits = random.normal(-1, 1.5, (2, points, 1 + classes))
    return np.concatenate([middle - half, middle + half, logits], axis=2).astype(np.float32)


def run_on(engine: str, model: bytes) -> NDArray[np.float32]:
    if engine not in installed_onnx_engines():
        pytest.skip(f"needs {engine}")
    images = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    images[1] = 1
    return open_onnx(engine, model, lanes=1)(images)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("classes", [1, 2, 30])
@pytest.mark.parametrize("seed", range(3))
def test_objects_are_those_of_numpy(engine: str, classes: int, seed: int) -> None:
    card, outputs = card_of("boxes", classes), detector_says(POINTS, classes, seed)
    expected, found = answers(outputs, card), run_on(engine, decoded(says(outputs), card))
    assert found.shape == (2, min(100, POINTS * classes), 6)
    kept = (expected[..., 4] > 0).sum(1)
    assert (kept > 10).all()
    assert (kept < POINTS * classes).all(), "most are suppressed"
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_found_where_nothing_is(engine: str) -> None:
    outputs = detector_says(POINTS, 2, 0)
    outputs[:, :, 4:] = -20
    outputs[1, 7, 4:6] = 3
    found = run_on(engine, decoded(says(outputs), card_of("boxes", 2)))
    assert not found[0, :, :5].any()
    assert (found[0, :, 5] == -1).all()
    assert (found[1, :, 4] > 0).sum() == 1
    np.testing.assert_allclose(found[1, 0, :4], outputs[1, 7, :4], atol=1e-6)


@pytest.mark.parametrize(("points", "allowed"), [(1, True), (POINTS, True), (POINTS + 1, False)])
def test_the_points_of_an_older_file_are_those_of_its_input(points: int, allowed: bool) -> None:
    """A detector has those of its pyramid, a localiser one."""
    model = onnx.load_from_string(says(detector_says(points, 2, 0)))
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["scores"]))
    model.graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", points, 7]))
    refused = contextlib.nullcontext() if allowed else pytest.raises(ValueError, match=r"an output scores")
    with refused:
        assert set(check_graph(memoryview(model.SerializeToString()), card_of("boxes", 2))) == {"scores", "logits"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_localiser_finds_one_object(engine: str) -> None:
    card, outputs = card_of("boxes", 4, "localiser"), detector_says(1, 4, 1)
    np.testing.assert_allclose(run_on(engine, decoded(says(outputs), card)), answers(outputs, card), atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_classes_of_pixels_are_those_of_numpy(engine: str, temperature: float) -> None:
    card = card_of("maps", 5, temperature=temperature)
    logits = np.random.default_rng(0).normal(0, 4, (2, 5, SIDE, SIDE)).astype(np.float32)
    found = run_on(engine, decoded(says(logits), card))
    np.testing.assert_allclose(found, answers(network_scores(logits, card), card), atol=1e-6)


@pytest.mark.parametrize(("dense", "options"), [("boxes", TINY), ("maps", {"backbone": "resnet20", "widths": "16"})])
def test_files_of_the_older_kind_answer_alike(dense: str, options: dict[str, object], tmp_path: Path) -> None:
    """The first files had scores and logits, from which objects and classes are found in NumPy."""
    torch.manual_seed(0)
    card = card_of(dense, 3, options=options)
    network = card.create().eval()
    if dense == "boxes":
        torch.nn.init.constant_(network.head.classify.bias, 2.0)  # type: ignore[union-attr, arg-type]
    graph = onnx_network(network, card)
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    found = []
    for name, part in (("old", graph), ("new", decoded(graph, card))):
        (tmp_path / f"{name}.onnx").write_bytes(described(part, card, {}))
        assert read_onnx(tmp_path / f"{name}.onnx").answers == (name == "new")
        model = hubel.load(tmp_path / f"{name}.onnx")
        assert isinstance(model, DenseModel)
        found.append(model.predict(list(pixels)))
    for old, new in zip(*found, strict=True):
        assert old.scores == pytest.approx(new.scores, abs=1e-5)
        assert old.annotation.classes.tolist() == new.annotation.classes.tolist()
        assert old.annotation.boxes == pytest.approx(new.annotation.boxes, abs=1e-2)
        assert dense == "boxes" or (old.annotation.mask == new.annotation.mask).mean() > 0.999
    onnx.checker.check_model(str(tmp_path / "new.onnx"))


def test_a_file_that_answers_otherwise_is_not_written() -> None:
    card = card_of("boxes", 3, options=TINY)
    network, other = card.create().eval(), card.create().eval()
    torch.nn.init.constant_(other.head.classify.bias, 9.0)  # type: ignore[union-attr, arg-type]
    torch.nn.init.constant_(other.head.centre.bias, 9.0)  # type: ignore[union-attr, arg-type]
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    with pytest.raises(OptionError, match="0 of 3 images have the same boxes as in torch"):
        check_answers(network, card, decoded(onnx_network(other, card), card), pixels)


def test_a_file_that_answers_alike_is_written() -> None:
    torch.manual_seed(0)
    card = card_of("boxes", 3, options=TINY, shown_score=0.3)
    network = card.create().eval()
    torch.nn.init.constant_(network.head.classify.bias, 2.0)  # type: ignore[union-attr, arg-type]
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    assert all((rows[:, 4] > 0.3).any() for rows in DensePredictor(network, card).outputs(pixels)), "some are shown"
    assert check_answers(network, card, decoded(onnx_network(network, card), card), pixels).top1_equal == 3
