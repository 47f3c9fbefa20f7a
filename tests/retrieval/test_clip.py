"""Checkpoints of CLIP: files, descriptions, and what is said where something is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch

import fake_texts
from clip_checkpoint import SMALL, write_config, write_tokenizer, write_weights
from hubel.core.errors import MismatchError, UnknownNameError, WeightsError
from hubel.models.catalogue import build_model
from hubel.nn.network import Network
from hubel.nn.text_transformer import TextLayout, TextTransformer
from hubel.retrieval.clip import CLIPEncoder
from hubel.retrieval.encoder import Encoder
from hubel.retrieval.encoders import find_encoder
from hubel.retrieval.zero_shot import NamedClasses
from hubel.weights.foreign import parameter_names
from hubel.weights.keymaps.clip import image_tower, text_tower


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint, written by way of the key maps."""
    folder = tmp_path_factory.mktemp("checkpoint")
    config = json.loads(json.dumps(SMALL))
    config["text_cfg"]["vocab_size"] = 600
    write_config(folder, config)
    write_tokenizer(folder / "tokenizer.json")
    torch.manual_seed(0)
    image = build_model("clip_resnet50", num_classes=24, input_size=(64, 64), options={"depths": "1,2,1,1", "width": 4})
    text = TextTransformer(TextLayout(layers=2, width=32, heads=2, embedding=24, vocabulary=600, quick_gelu=True))
    assert isinstance(image, Network)
    weights = {"logit_scale": torch.tensor(4.6)}
    for tower, pairs, prefix in ((image, image_tower(image), "visual."), (text, text_tower(text), "")):
        state = tower.state_dict()
        names = parameter_names({their: our for our, their in pairs}, state)
        assert sorted(names.values()) == sorted(state), "each weight has a name in the files"
        weights |= {prefix + their: state[our] for their, our in names.items()}
    write_weights(folder, weights)
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    to.mkdir(exist_ok=True)
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_vectors(folder: Path) -> None:
    encoder = CLIPEncoder(str(folder))
    assert isinstance(encoder, Encoder)
    assert (encoder.dimension, encoder.preprocess.resize, encoder.preprocess.interpolation) == (24, "crop", "bicubic")
    images = encoder.encode_images(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    texts = encoder.encode_texts(["red dog", "RED  Dog", "cat"])
    assert (images.shape, texts.shape, encoder.encode_texts([]).shape) == ((2, 24), (3, 24), (0, 24))
    assert np.allclose(np.linalg.norm(np.concatenate([images, texts]), axis=1), 1, atol=1e-5)
    assert np.array_equal(texts[0], texts[1])
    assert not np.allclose(texts[0], texts[2])


def test_classify_by_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores are the softmax of the checkpoint's own scale times the cosines to the means of prompts."""
    fake_texts.use(monkeypatch)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8)
    encoder, names = CLIPEncoder(str(folder)), ("red dog", "cat")
    assert encoder.scale == pytest.approx(np.exp(4.6), rel=1e-6)
    prompts = ("a photo of a {}.", "a close-up photo of a {}.", "a photo of the {}.", "a picture of many {}.")
    texts = np.stack([encoder.encode_texts([prompt.format(name) for prompt in prompts]).mean(0) for name in names])
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    logits = encoder.scale * (encoder.encode_images(pixels) @ texts.T)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    found = NamedClasses(find_encoder(f"clip:{folder}"), names).rows(pixels)
    np.testing.assert_allclose(found, shares / shares.sum(1, keepdims=True), atol=1e-4)


def test_by_its_name(folder: Path) -> None:
    assert find_encoder(f"clip:{folder}").name == f"clip:{folder}"
    with pytest.raises(UnknownNameError, match="no CLIP checkpoint or folder with one is called 'RN49'"):
        find_encoder("clip:RN49")
    with pytest.raises(UnknownNameError, match="no encoder is called 'clip RN50'; did you mean clip:RN50"):
        find_encoder("clip RN50")


def test_the_digest_is_that_of_weights_and_description(folder: Path, tmp_path: Path) -> None:
    digest = CLIPEncoder(str(folder)).digest
    other = copy_of(folder, tmp_path / "other")
    assert CLIPEncoder(str(other)).digest == digest
    config = json.loads((other / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    (other / "open_clip_config.json").write_text(json.dumps(config))
    assert CLIPEncoder(str(other)).digest != digest


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError) as raised:
        CLIPEncoder("RN50")
    assert str(raised.value).count("\n") == 0
    assert str(raised.value).startswith("weights 'resnet50_clip.openai' of CLIP RN50: ")
    assert "is not in the cache, and HF_HUB_OFFLINE is set" in str(raised.value)
    assert str(raised.value).endswith("or give a folder with open_clip_config.json, tokenizer.json, "
                                      "open_clip_model.safetensors: --encoder clip:FOLDER")  # fmt: skip
    shown = capsys.readouterr()
    assert "licence of the weights: mit" in shown.out + shown.err


def test_unknown_names() -> None:
    with pytest.raises(
        UnknownNameError, match="no CLIP checkpoint or folder with one is called 'RN51'; did you mean RN50"
    ):
        CLIPEncoder("RN51")


@pytest.mark.parametrize("file", ["open_clip_config.json", "tokenizer.json", "open_clip_model.safetensors"])
def test_missing_files(folder: Path, tmp_path: Path, file: str) -> None:
    part = copy_of(folder, tmp_path / "part")
    (part / file).unlink()
    with pytest.raises(WeightsError, match=f"is no CLIP checkpoint: it lacks {file}"):
        CLIPEncoder(str(part))


def _vit(config: dict[str, Any]) -> None:
    config["vision_cfg"] = {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32}


def _mobile(config: dict[str, Any]) -> None:
    config["vision_cfg"] = {"timm_model_name": "fastvit_mci0", "image_size": 256}


def _bert(config: dict[str, Any]) -> None:
    config["text_cfg"]["hf_model_name"] = "bert"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_vit, "its image tower is a vision transformer; hubel has CLIP's ResNets and convnext_base"),
        (_mobile, "its image tower is fastvit_mci0"),
        (_bert, "hubel does not know hf_model_name"),
        (lambda config: config.pop("embed_dim"), "it lacks 'embed_dim'"),
        (lambda config: config["text_cfg"].update(heads=3), "3 heads do not divide a width of 32"),
        (lambda config: config["text_cfg"].update(width="wide"), "describes no CLIP"),
        (lambda config: config.update(vision_cfg=[]), "describes no CLIP"),
    ],
)
def test_other_descriptions(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    other = copy_of(folder, tmp_path / "other")
    described = json.loads((other / "open_clip_config.json").read_text())
    change(described["model_cfg"])
    (other / "open_clip_config.json").write_text(json.dumps(described))
    with pytest.raises(WeightsError, match=reason):
        CLIPEncoder(str(other))


def test_weights_of_another_size(folder: Path, tmp_path: Path) -> None:
    other = copy_of(folder, tmp_path / "other")
    described = json.loads((other / "open_clip_config.json").read_text())
    described["model_cfg"]["embed_dim"] = 25
    (other / "open_clip_config.json").write_text(json.dumps(described))
    with pytest.raises(MismatchError):
        CLIPEncoder(str(other)).encode_texts(["a"])


def test_no_tokenizer(folder: Path, tmp_path: Path) -> None:
    other = copy_of(folder, tmp_path / "other")
    (other / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="is no tokenizer"):
        CLIPEncoder(str(other)).encode_texts(["a"])
