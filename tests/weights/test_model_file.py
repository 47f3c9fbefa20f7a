"""The model file: whole or refused, whatever happened to it."""

from __future__ import annotations

import json
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from hubel.core.errors import HubelError, ModelFileError, OptionError
from hubel.data.preprocess import Preprocess
from hubel.weights import model_file
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model, model_path, read_card, save_model, too_large

CARD = ModelCard(
    "linear",
    ("cat", "dog"),
    Preprocess(2, 3, 1, mean=(0.5,), std=(0.25,)),
    temperature=1.5,
    provenance={"seed": 3, "shares": [0.1, 0.2], "data": "photos"},
)


def weights(card: ModelCard = CARD) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return card.create().state_dict()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save_model(path, weights(), CARD)
    return path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place") / "model.safetensors"


def refused(path: Path) -> str:
    """The message with which a file is refused: one line that names the file."""
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def signed(path: Path, change: Any) -> Path:
    """A file with another card, and a checksum that is right: what a hostile author would send."""
    save_model(path, weights(), CARD)
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header["__metadata__"]["hubel"])
    card["sha256"] = model_file._NO_DIGEST
    card = change(card) or card
    text = card if isinstance(card, str) else json.dumps(card)
    unsigned = save(weights(), {"hubel": text})
    digest = model_file.hashlib.sha256(unsigned).hexdigest()
    stored = model_file._as_stored
    path.write_bytes(unsigned.replace(stored(model_file._NO_DIGEST), stored(digest), 1))
    return path


def test_round_trip(place: Path) -> None:
    save_model(place, weights(), CARD)
    network, card = load_model(place)
    assert card == CARD == read_card(place)
    assert not network.training
    for name, tensor in weights().items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert model_path(place) == model_path(place.parent) == place


def test_cards_of_reconstructions_have_no_classes(place: Path) -> None:
    card = ModelCard("autoencoder_28", (), Preprocess(28, 28, 1, mean=(0.0,), std=(1.0,)), scores="sigmoid")
    save_model(place, weights(card), card)
    network, found = load_model(place)
    assert found == card == read_card(place)
    assert (card.task, CARD.task) == ("reconstruct", "classify")
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 1, 28, 28)


def test_equal_input_gives_equal_bytes(place: Path, whole: bytes) -> None:
    backwards = dict(reversed(weights().items()))
    save_model(place, backwards, replace(CARD, provenance=dict(reversed(CARD.provenance.items()))))
    assert place.read_bytes() == whole
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_maps_of_many_pixels_are_too_large() -> None:
    """16 maps of 8,000 x 8,000 numbers of 4 bytes are 3,906 MiB."""
    for side, words in ((2_000, ""), (8_000, "would take 3,906 MiB for one map; 512 MiB are the most")):
        card = ModelCard("resnet20", ("cat", "dog"), Preprocess(side, side, 3, mean=(0.5,) * 3, std=(0.25,) * 3))
        with torch.device("meta"):
            found = too_large(card.create(), card)
        assert found.endswith(words)
        assert bool(found) == bool(words)


def test_memory_order_does_not_matter(tmp_path: Path) -> None:
    card = replace(CARD, model="resnet20", preprocess=Preprocess(8, 8, 3))
    plain = weights(card)
    save_model(tmp_path / "a", plain, card)
    turned = {k: v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v for k, v in plain.items()}
    save_model(tmp_path / "b", turned, card)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nothing_is_pickled(whole: bytes) -> None:
    assert b"cposix" not in whole
    with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError)):
        pickle.loads(whole)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_detected(whole: bytes, place: Path, data: st.DataObject) -> None:
    position, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(whole)
    damaged[position] ^= 1 << bit
    place.write_bytes(damaged)
    refused(place)


def test_any_flipped_byte_of_the_header_is_detected(whole: bytes, place: Path) -> None:
    """Every byte once: here JSON could read the same from other letters."""
    (length,) = struct.unpack_from("<Q", whole)
    for position in range(8 + length):
        damaged = bytearray(whole)
        damaged[position] ^= 0x20  # upper and lower case, quotes, spaces
        place.write_bytes(damaged)
        refused(place)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_truncation_is_detected(whole: bytes, place: Path, data: st.DataObject) -> None:
    place.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refused(place)


def test_appended_bytes_are_detected(whole: bytes, place: Path) -> None:
    place.write_bytes(whole + b"\0")
    assert "has extra bytes at its end" in refused(place)
    place.write_bytes(whole[:-1])
    assert f"is truncated: {len(whole) - 1:,} bytes, expected {len(whole):,}" in refused(place)


def test_other_files_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "missing.safetensors")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    assert "is not a safetensors file" in refused(tmp_path / "empty")
    (tmp_path / "text").write_text("The quick brown fox jumps over the lazy dog.\n" * 9)
    assert "is not a safetensors file" in refused(tmp_path / "text")
    torch.save({"w": torch.zeros(3)}, tmp_path / "net.pth")
    assert "hubel weights convert" in refused(tmp_path / "net.pth")
    save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors")
    assert "not a model file of hubel" in refused(tmp_path / "other.safetensors")
    save_file({"w": torch.zeros(3)}, tmp_path / "pt.safetensors", {"format": "pt"})
    assert "not a model file of hubel" in refused(tmp_path / "pt.safetensors")


def test_a_run_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file in this folder"):
        model_path(tmp_path)
    with pytest.raises(ModelFileError, match=r"no such model file; expected model\.safetensors or the folder of a run"):
        model_path(tmp_path / "nothing")


HEADERS = [b"[]", b"{}", b"null", b"3", b'{"a": 3}', b'{"a": {"data_offsets": []}}',
           b'{"a": {"data_offsets": ["x", "y"]}}',
           b'{"__metadata__": 3}', b'{"__metadata__": {"hubel": "3"}}', b'{"__metadata__": {"hubel": 3}}',
           b'{"__metadata__": {"hubel": "[]"}}', b'{"__metadata__": {"hubel": "{}"}}', b"[" * 100_000, b"\xff\xfe",
           json.dumps({"__metadata__": {"hubel": "[" * 100_000}}).encode(),
           b'{"a": {"data_offsets": [0, 1e999]}}', b'{"a": {"data_offsets": [0, -5]}}']  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_strange_headers(place: Path, header: bytes) -> None:
    place.write_bytes(struct.pack("<Q", len(header)) + header)
    refused(place)


HOSTILE: dict[str, dict[str, Any]] = {
    "unknown model": {"model": "resnet9000"},
    "model no text": {"model": ["linear"]},
    "unknown option": {"options": {"nonsense": 1}},
    "options no table": {"options": [1]},
    "giant option": {"model": "mlp", "options": {"hidden": [10**15]}},
    "option beyond integers": {"model": "mlp", "options": {"hidden": [10**40]}},
    "giant images": {"model": "knn", "options": {"samples": 10**13}},
    "giant depth": {"model": "resnet20", "options": {"depths": [10**9, 1, 1]}},
    "giant repeat": {"model": "convnet", "options": {"repeat": 10**9}},
    "many options": {"model": "mlp", "options": {"hidden": [1] * 100_000}},
    "no classes": {"classes": []},
    "other number of classes": {"classes": ["a", "b", "c"]},
    "classes no list": {"classes": "ab"},
    "classes no text": {"classes": [1, 2]},
    "equal classes": {"classes": ["a", "a"]},
    "preprocess no table": {"preprocess": [1, 2]},
    "preprocess empty": {"preprocess": {}},
    "preprocess null": {"preprocess": None},
    "temperature 0": {"temperature": 0},
    "temperature negative": {"temperature": -1.0},
    "temperature NaN": {"temperature": float("nan")},
    "temperature infinite": {"temperature": float("inf")},
    "temperature text": {"temperature": "1"},
    "temperature true": {"temperature": True},
    "temperature missing value": {"temperature": None},
    "unknown scores": {"scores": "x"},
    "scores no text": {"scores": []},
    "provenance no table": {"provenance": "me"},
    "later format": {"format": 2},
    "unknown field": {"extra": 1},
    "checksum no text": {"sha256": 64 * [0]},
    "checksum short": {"sha256": "abc"},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_cards(place: Path, change: dict[str, Any]) -> None:
    refused(signed(place, lambda card: card.update(change)))


PREPROCESS: dict[str, Any] = {
    "height": [0, -1, "2", 2.5, None, True, 10**12, [2]],
    "width": [0, float("nan"), float("inf")],
    "channels": [0, 2, 4, 3, "1", None],
    "resize": ["stretch", None, [], 3],
    "interpolation": ["lanczos", None, []],
    "mean": [[], [0.5, 0.5], ["a"], [float("nan")], [None], 3, "x"],
    "std": [[], [0.0], [-1.0], ["a"], [float("nan")], [float("inf")], None],
    "crop": [0.5, 0, 2, float("nan"), "x", None, []],
    "colour": [1],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in PREPROCESS.items() for value in values], ids=str
)
def test_hostile_preprocessing(place: Path, name: str, value: Any) -> None:
    refused(signed(place, lambda card: card["preprocess"].update({name: value})))


@pytest.mark.parametrize("name", ["model", "classes", "preprocess", "options", "provenance", "sha256", "format"])
def test_missing_fields(place: Path, name: str) -> None:
    def remove(card: dict[str, Any]) -> None:
        del card[name]

    refused(signed(place, remove))


def test_mismatched_weights_are_named(place: Path) -> None:
    fitting = weights()
    name = next(key for key in fitting if key.endswith("weight"))
    save_model(place, {**fitting, name: torch.zeros(2, 5)}, CARD)
    assert f"{name!r} is float32 (2, 5) in the file and float32 (2, 6) in the network" in refused(place)
    save_model(place, {**fitting, name: fitting[name].double()}, CARD)
    assert f"{name!r} is float64 (2, 6) in the file" in refused(place)
    save_model(place, {key: value for key, value in fitting.items() if key != name}, CARD)
    assert f"{name!r} is absent in the file" in refused(place)
    save_model(place, {**fitting, "more": torch.zeros(1)}, CARD)
    assert "'more' is float32 (1,) in the file and absent in the network" in refused(place)


@pytest.mark.parametrize(
    "names",
    [
        ("猫", "σκύλος", "🐎", "a b\tc", "\\\"'", "", "\n"),
        tuple(f"class {i}" for i in range(10_000)),
        (model_file._NO_DIGEST, model_file._as_stored(model_file._NO_DIGEST).decode()),
    ],
    ids=["unicode", "many", "placeholder"],
)
def test_any_class_names(place: Path, names: tuple[str, ...]) -> None:
    card = replace(CARD, classes=names)
    save_model(place, weights(card), card)
    assert load_model(place)[1].classes == names


@pytest.mark.parametrize(
    "change", [{"classes": ()}, {"classes": ("a", "a")}, {"temperature": 0.0}, {"scores": "probit"}], ids=str
)
def test_cards_are_validated(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        replace(CARD, **change)


def test_errors_are_hubels() -> None:
    assert issubclass(ModelFileError, HubelError)
    assert issubclass(ModelFileError, OSError)


def test_what_a_card_does_not_state() -> None:
    card = ModelCard("linear", ("a", "b"), Preprocess(8, 8))
    assert (card.temperature, card.offset, card.tta, card.costs, card.novelty) == (1.0, 0.0, False, None, None)
