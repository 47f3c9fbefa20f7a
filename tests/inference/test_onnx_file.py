"""An exported file carries its card, and is noticed when it is damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.core.errors import ModelFileError
from hubel.data.preprocess import Preprocess
from hubel.inference.onnx_file import described, is_exported, read_onnx
from hubel.weights.card import ModelCard

CARD = ModelCard("convnet", ("ä", "b"), Preprocess(8, 8), {"filters": [4]}, temperature=1.5, provenance={"seed": 1})
# Fields of all kinds: ir_version 8; a graph; a producer; one of eight bytes, one of four, and a larger number.
NETWORK = b"\x08\x08\x3a\x02\x10\x01\x12\x05torch\x21" + bytes(8) + b"\x25" + bytes(4) + b"\x28\xff\x01"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(described(NETWORK, CARD, {"opset": 17}))
    return path


def test_card_and_facts_come_back(file: Path) -> None:
    read = read_onnx(file)
    assert (read.card, read.facts) == (CARD, {"opset": 17})
    assert read.digest == hashlib.sha256(NETWORK).hexdigest()
    assert read.model == file.read_bytes()


def test_every_onnx_tool_sees_them(file: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto.FromString(file.read_bytes())
    entries = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert entries["hubel.classes"] == ["ä", "b"]
    assert entries["hubel.temperature"] == 1.5
    assert entries["hubel.preprocess"] == CARD.preprocess.to_json() | {"mean": [0.5] * 3, "std": [0.25] * 3}
    assert model.producer_name == "torch"


def test_entries_of_others_may_follow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\x72\x06\x0a\x01k\x12\x01v")
    assert read_onnx(file).card == CARD


@given(data=st.data())
def test_each_damaged_byte_is_noticed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = described(NETWORK, CARD, {})
    place = data.draw(st.integers(0, len(NETWORK) - 1))
    path = tmp_path_factory.mktemp("damaged") / "m.onnx"
    path.write_bytes(whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :])
    with pytest.raises(ModelFileError):
        read_onnx(path)


@given(st.integers(1, len(described(NETWORK, CARD, {})) - 1))
def test_each_cut_is_noticed(length: int) -> None:
    whole = described(NETWORK, CARD, {})
    path = Path(__file__)  # only its name is used
    from hubel.inference import onnx_file

    entries: dict[str, str] = {}
    try:
        entries, _ = onnx_file._entries(path, whole[:length])
    except ModelFileError:
        return
    assert "hubel.facts" not in entries, "the last entry is what a file cut short has not"


@given(st.binary(max_size=200))
def test_other_files_are_refused(content: bytes) -> None:
    from hubel.inference import onnx_file

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
