"""An exported file carries its card, and is noticed when it is damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.core.errors import ModelFileError
from hubel.data.preprocess import Preprocess
from hubel.inference import onnx_file
from hubel.inference.load import load
from hubel.inference.onnx_cost import cost_of
from hubel.inference.onnx_file import described, is_exported, read_onnx
from hubel.inference.onnx_nodes import UINT8, Value, read_graph
from hubel.inference.protobuf import bytes_field
from hubel.weights.card import ModelCard

CARD = ModelCard(
    "convnet", ("ä", "b"), Preprocess(8, 8, mean=(0.0,) * 3, std=(1 / 255,) * 3), {"filters": [4]}, temperature=1.5
)


def tensor(dims: tuple[int, ...], raw: bytes, kind: int = 1, name: bytes = b"w", extra: bytes = b"") -> bytes:
    """A TensorProto."""
    packed = b"".join(map(varint, dims))
    return f(1, packed) + v(2, kind) + f(8, name) + f(9, raw) + extra


def varint(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


f = bytes_field


def v(field: int, value: int) -> bytes:
    """A field of a whole number."""
    return varint(field << 3) + varint(value)


def value(name: bytes, kind: int, shape: tuple[int, ...]) -> bytes:
    """A ValueInfoProto for any number of images."""
    sizes = [f(1, f(2, b"n")), *(f(1, v(1, size)) for size in shape)]
    return f(1, name) + f(2, f(1, v(1, kind) + f(2, b"".join(sizes))))


def node(operator: bytes, inputs: tuple[bytes, ...], output: bytes, extra: bytes = b"") -> bytes:
    return b"".join([*(f(1, name) for name in inputs), f(2, output), f(4, operator), extra])


IMAGES, SCORES, LOGITS = value(b"images", 2, (8, 8, 3)), value(b"scores", 1, (2,)), value(b"logits", 1, (2,))
# scores = softmax(logits), logits = mean(float(images)) @ w
NODES = (
    node(b"Cast", (b"images",), b"x", f(5, f(1, b"to") + v(3, 1) + v(20, 2))),
    node(b"ReduceMean", (b"x",), b"m", f(5, f(1, b"axes") + f(8, varint(1) + varint(2)) + v(20, 7))
         + f(5, f(1, b"keepdims") + v(3, 0) + v(20, 2))),
    node(b"MatMul", (b"m", b"w"), b"logits"),
    node(b"Softmax", (b"logits",), b"scores"),
)  # fmt: skip
WEIGHTS = tensor((3, 2), np.arange(6, dtype="<f4").tobytes())


def network(
    nodes: tuple[bytes, ...] = NODES,
    weights: tuple[bytes, ...] = (WEIGHTS,),
    ends: tuple[bytes, ...] = (IMAGES, SCORES, LOGITS),
    graph: bytes = b"",
    model: bytes = b"",
) -> bytes:
    """A serialised ModelProto, made without the onnx package."""
    inputs, *outputs = ends
    parts = [f(1, part) for part in nodes] + [f(2, b"g")] + [f(5, part) for part in weights] + [f(11, inputs)]
    whole = b"".join([*parts, *(f(12, part) for part in outputs), graph])
    return v(1, 8) + f(2, b"torch") + f(7, whole) + f(8, v(2, 17)) + model


NETWORK = network()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(described(NETWORK, CARD, {"opset": 17}))
    return path


def test_card_and_facts_come_back(file: Path) -> None:
    read = read_onnx(file)
    assert (read.card, read.facts) == (CARD, {"opset": 17})
    assert read.model == file.read_bytes()
    assert hashlib.sha256(read.model[: read.model.rindex(b"\x72", 0, -80)]).hexdigest() == read.digest


def test_every_onnx_tool_sees_them(file: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto.FromString(file.read_bytes())
    entries = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert entries["hubel.classes"] == ["ä", "b"]
    assert entries["hubel.temperature"] == 1.5
    assert entries["hubel.preprocess"] == CARD.preprocess.to_json() | {"mean": [0.0] * 3, "std": [1 / 255] * 3}
    assert model.producer_name == "torch"


def test_nothing_may_follow_the_checksum(file: Path) -> None:
    for more in (b"\x72\x06\x0a\x01k\x12\x01v", NETWORK, b"\0"):
        file.write_bytes(described(NETWORK, CARD, {}) + more)
        with pytest.raises(ModelFileError):
            read_onnx(file)


def test_files_of_format_1_are_read(tmp_path: Path) -> None:
    """The checksum of hubel 0.1 stood before the card, and covered the network alone."""
    entries = {"format": 1, "sha256": hashlib.sha256(NETWORK).hexdigest(), **dataclasses.asdict(CARD), "facts": {}}
    written = [
        f(14, f(1, f"hubel.{name}".encode()) + f(2, json.dumps(said).encode())) for name, said in entries.items()
    ]
    path = tmp_path / "old.onnx"
    path.write_bytes(NETWORK + b"".join(written))
    assert read_onnx(path).card == CARD
    path.write_bytes(NETWORK.replace(b"torch", b"Torch") + b"".join(written))
    with pytest.raises(ModelFileError, match="checksum"):
        read_onnx(path)


@pytest.mark.parametrize("n", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("start", [0, len(NETWORK)], ids=["anywhere", "card"])
def test_any_flipped_bit_is_noticed(n: int, start: int, tmp_path: Path) -> None:
    whole, path = described(NETWORK, CARD, {"opset": 17}), tmp_path / "m.onnx"
    for bit in np.random.default_rng(0).integers(8 * start, 8 * len(whole), n).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            read_onnx(path)


@given(st.integers(0, len(described(NETWORK, CARD, {})) - 1))
def test_each_cut_is_noticed(length: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(described(NETWORK, CARD, {})[:length])
        with pytest.raises(ModelFileError):
            read_onnx(path)


def shape(*dims: int) -> bytes:
    return tensor((len(dims),), np.array(dims, "<i8").tobytes(), 7, b"s")


FOREIGN = f(13, f(1, b"location") + f(2, b"*/_ORT_MEM_ADDR_/*")) + v(14, 1)


def constant(name: bytes, value: bytes) -> bytes:
    return node(b"Constant", (), name, f(5, f(1, b"value") + f(5, value) + v(20, 4)))


HOSTILE: dict[str, tuple[bytes, str]] = {
    "external data": (network(weights=(tensor((3, 2), b"", extra=FOREIGN),)), "field 13"),
    "external data in a constant": (
        network((*NODES, constant(b"c", tensor((3, 2), b"", extra=FOREIGN)))), "field 13"
    ),
    "location alone": (network(weights=(tensor((3, 2), bytes(24), extra=v(14, 1)),)), "field 14"),
    "a loop": (network((*NODES, node(b"Loop", (b"x",), b"l"))), "operator 'Loop'"),
    "a branch with graphs": (network((*NODES, node(b"Cast", (b"x",), b"l", f(5, f(6, b""))))), "field 6"),
    "several graphs": (network((*NODES, node(b"Cast", (b"x",), b"l", f(5, f(11, b""))))), "field 11"),
    "a function": (network(model=f(25, b"")), "field 25"),
    "training": (network(model=f(20, b"")), "field 20"),
    "sparse weights": (network(graph=f(15, b"")), "field 15"),
    "two graphs": (network(model=f(7, b"")), "2 graphs"),
    "no graph": (v(1, 8), "0 graphs"),
    "an operator of another domain": (network((*NODES, node(b"Add", (), b"l", f(7, b"com.microsoft")))), "microsoft"),
    "expansion": (
        network((*NODES, node(b"Expand", (b"w", b"s"), b"l")), (WEIGHTS, shape(2**36, 3, 2))), "values of 1,649,267"
    ),
    "tiling": (network((*NODES, node(b"Tile", (b"w", b"s"), b"l")), (WEIGHTS, shape(2**36, 1))), "values of 1,649,267"),
    "a filled map": (
        network((*NODES, node(b"ConstantOfShape", (b"s",), b"l")), (WEIGHTS, shape(2**20, 2**20))),
        "values of 4,398,046",
    ),
    "a filled map of a constant": (
        network((*NODES, constant(b"s", shape(2**31)), node(b"ConstantOfShape", (b"s",), b"l"))),
        "values of 8,589,934",
    ),
    "a tensor without its numbers": (network(weights=(tensor((2**15, 2**15), bytes(24)),)), "tensor of shape"),
    "negative sizes": (network(weights=(tensor((2**63 + 5, 2**63 + 5), bytes(24)),)), "tensor of shape"),
    "another input": (
        network(
            (NODES[0].replace(b"images", b"photos"), *NODES[1:]),
            ends=(value(b"photos", 2, (8, 8, 3)), SCORES, LOGITS),
        ),
        "inputs photos instead of images",
    ),
    "another type": (network(ends=(value(b"images", 1, (8, 8, 3)), SCORES, LOGITS)), "an input images of type 1"),
    "another size": (network(ends=(value(b"images", 2, (9, 8, 3)), SCORES, LOGITS)), r"shape \[9, 8, 3\]"),
    "other classes": (network(ends=(IMAGES, value(b"scores", 1, (7,)), LOGITS)), r"shape \[7\].*card has \[2\]"),
    "one output": (network(ends=(IMAGES, SCORES)), "outputs scores instead of scores, logits"),
    "more inputs": (network(graph=f(11, value(b"more", 1, (2,)))), "inputs images, more"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_only_graphs_that_hubel_exports(kind: str, tmp_path: Path) -> None:
    """With a card and a checksum that are right: what a hostile author would send."""
    content, words = HOSTILE[kind]
    path = tmp_path / "m.onnx"
    path.write_bytes(described(content, CARD, {}))
    with pytest.raises(ModelFileError, match=words) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value)


def scored(path: Path, *last: bytes) -> Any:
    """The scores of a file whose last operators are others."""
    path.write_bytes(described(network((*NODES[:3], *last)), CARD, {}))
    return load(path).predict_proba(np.full((1, 8, 8, 3), 200, np.uint8))


def test_scores_are_probabilities(tmp_path: Path) -> None:
    """Neither 7.5 nor -1, NaN and infinity leave, whatever a graph computes."""
    pytest.importorskip("onnxruntime")
    assert scored(tmp_path / "fine.onnx", NODES[3]).sum() == pytest.approx(1)
    negative = node(b"Neg", (b"logits",), b"l")
    for number, last in enumerate(
        [[node(operator, (b"logits",), b"scores")] for operator in (b"Identity", b"Neg", b"Exp")]
        + [[negative, node(b"Log", (b"l",), b"scores")]]
    ):
        with pytest.raises(ModelFileError, match=r"no numbers from 0 to 1 of shape \(1, 2\)"):
            scored(tmp_path / f"{number}.onnx", *last)


def doubling(times: int) -> bytes:
    """A file whose map of 8x8x3 pixels doubles so many times."""
    axis = f(5, f(1, b"axis") + v(3, 1) + v(20, 2))
    doubled = [node(b"Concat", (b"x%d" % i,) * 2, b"x%d" % (i + 1), axis) for i in range(times)]
    last = b"x%d" % times
    start, mean = NODES[0].replace(b"\x01x", b"\x02x0"), NODES[1].replace(b"\x01x", bytes([len(last)]) + last)
    return described(network((start, *doubled, mean, *NODES[2:])), CARD, {})


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)])
def test_memory_is_bounded(tmp_path: Path, engine: str) -> None:
    """A map that doubles 40 times is refused, long before the machine's memory ends."""
    pytest.importorskip(engine)
    (tmp_path / "m.onnx").write_bytes(doubling(40))
    with pytest.raises(ModelFileError, match="bytes for one image"):
        load(tmp_path / "m.onnx", engine=engine).predict_proba(np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.peer)])
def test_as_many_images_are_computed_at_once_as_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    pytest.importorskip(engine)
    # The images, which stay, as bytes; beside them those in float32 and their means; a map and one of twice its size.
    for times, bytes_alive in ((0, 8 * 8 * 3 * 5 + 3 * 4), (3, 8 * 8 * 3 * (1 + 4 * (4 + 8)))):
        images = Value((1, 8, 8, 3), UINT8)
        assert cost_of(read_graph(memoryview(doubling(times))), images).bytes == bytes_alive
    (tmp_path / "m.onnx").write_bytes(doubling(3))
    photos = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8)
    model = load(tmp_path / "m.onnx", engine=engine)
    whole, sizes = model.predict_proba(photos), []
    monkeypatch.setattr("hubel.inference.engines.engine.available_memory", lambda: 4 * bytes_alive)
    monkeypatch.setattr(
        "hubel.inference.engines.bounded.cost_of",
        lambda graph, images: (sizes.append(images.shape[0]), cost_of(graph, images))[1],
    )
    parts = load(tmp_path / "m.onnx", engine=engine).predict_proba(photos)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert sizes == [7, 3, 1, 2, 4]
    monkeypatch.setattr("hubel.inference.engines.engine.available_memory", lambda: 2 * bytes_alive - 2)
    with pytest.raises(ModelFileError, match="values of 9,408 bytes for one image; 9,407 are the most"):
        load(tmp_path / "m.onnx", engine=engine)


def test_a_map_that_grows_with_the_square_of_the_images_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image needs few bytes, and each part of a batch as many as it needs itself."""
    twice = f(5, f(1, b"perm") + f(8, varint(1) + varint(0)) + v(20, 7))
    square = (
        *NODES[:2],
        node(b"Transpose", (b"m",), b"t", twice),
        node(b"MatMul", (b"m", b"t"), b"pairs"),
        node(b"MatMul", (b"pairs", b"m"), b"same"),
        node(b"MatMul", (b"same", b"w"), b"logits"),
        NODES[3],
    )
    (tmp_path / "m.onnx").write_bytes(described(network(square), CARD, {}))
    monkeypatch.setattr("hubel.inference.engines.engine.available_memory", lambda: 2 * 2**20)
    model, images = load(tmp_path / "m.onnx"), np.zeros((4096, 8, 8, 3), np.uint8)
    assert model.predict_proba(images).shape == (4096, 2)
    graph = read_graph(memoryview(network(square)))
    one, many = (cost_of(graph, Value((n, 8, 8, 3), UINT8)).bytes for n in (1, 4096))
    assert one < 1024
    assert many > 4096**2 * 4


def test_files_with_too_many_parts_are_refused_soon(tmp_path: Path) -> None:
    started = time.process_time()
    for parts, words in (
        (network(graph=f(13, b"") * 2**21), "more than 262,144 fields"),
        (
            network((*NODES, node(b"Transpose", (b"x",), b"l", f(5, f(1, b"perm") + f(8, bytes(2**21)) + v(20, 7))))),
            "field",
        ),
        (network(model=f(14, b"") * 2**17), "damaged"),
        (network(NODES * 2049), "more than 8,192 nodes"),
        (network((*NODES, node(b"Max", (b"x",) * 513, b"l"))), "more than 512 operators read"),
        (
            network((*NODES, node(b"Add", (b"x", b"b"), b"a"), node(b"Add", (b"x", b"a"), b"b"))),
            "reads what it computes",
        ),
        (network((*NODES, NODES[0])), "two values of one name"),
        (network((*NODES, node(b"Neg", (b"nothing",), b"l"))), "an input that there is not"),
        (network()[:2] + network()[2:].replace(v(2, 17), v(2, 18)), "the operators of 18 instead of 17"),
    ):
        (tmp_path / "m.onnx").write_bytes(described(parts, CARD, {}))
        with pytest.raises(ModelFileError, match=words):
            read_onnx(tmp_path / "m.onnx")
    assert time.process_time() - started < 30


@given(st.binary(max_size=200))
def test_other_files_are_refused(content: bytes) -> None:
    try:
        entries, _ = onnx_file._entries(Path("x.onnx"), content)
    except ModelFileError:
        return
    assert entries == {}


@pytest.mark.parametrize(
    ("content", "word"),
    [(NETWORK, "hubel export"), (b"hello", "ONNX"), (b"", "hubel export")],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=word):
        read_onnx(tmp_path / "x.onnx")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "f.onnx").mkdir()
    with pytest.raises(ModelFileError, match="no such file"):
        read_onnx(tmp_path / "x.onnx")
    with pytest.raises(ModelFileError, match="folder"):
        read_onnx(tmp_path / "f.onnx")


def test_the_name_says_what_is_meant() -> None:
    assert is_exported("a/B.ONNX")
    assert not is_exported("model.safetensors")
