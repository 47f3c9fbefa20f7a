"""Checkpoints of CLIP give what OpenCLIP's own model gives, image and text, and its tokenizer the same tokens."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import peers
from clip_checkpoint import SMALL, merges_of, shaken, write_config, write_tokenizer, write_weights
from hubel.retrieval.clip import CLIPEncoder, CLIPTokenizer

pytestmark = pytest.mark.peer

TEXTS = [
    "a red dress on a hanger", "It's  the\tcat's 12 hats, isn't it?!", "A &amp; B &lt;3", "", "naïve café ÉCOLE",
    "빨간 원피스", "🦔 hedgehog 👍🏽", "don't you'll we've I'm he'd they're", "x" * 200, "word " * 100, "3.14%",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    theirs = peers.open_clip().tokenizer
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path, merges_of(Path(theirs.default_bpe())))
    return path


def test_tokens(tokenizer_file: Path) -> None:
    theirs = peers.open_clip().tokenizer.SimpleTokenizer()(TEXTS).numpy()
    ours = CLIPTokenizer(tokenizer_file).encode(TEXTS, 77)
    assert ours.shape[1] == 77
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("half", [False, True])
def test_small_checkpoints(tokenizer_file: Path, tmp_path: Path, quick: bool, half: bool) -> None:
    equal_to_open_clip(tokenizer_file, tmp_path, {**SMALL, "quick_gelu": quick}, half=half)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RN50", "RN50-quickgelu", "RN50x4", "convnext_base_w"])
def test_the_published_sizes(tokenizer_file: Path, tmp_path: Path, name: str) -> None:
    equal_to_open_clip(tokenizer_file, tmp_path, peers.open_clip().get_model_config(name))


def test_convnext(tokenizer_file: Path, tmp_path: Path) -> None:
    """A tower of timm below a projection; narrower than the published ones, by timm's own arguments."""
    vision = {
        "timm_model_name": "convnext_tiny", "timm_model_pretrained": False, "timm_pool": "", "timm_proj": "linear",
        "timm_drop": 0.0, "timm_drop_path": 0.1, "image_size": 64,
    }  # fmt: skip
    equal_to_open_clip(tokenizer_file, tmp_path, {**SMALL, "quick_gelu": False, "vision_cfg": vision})


def test_other_places_and_files(tokenizer_file: Path, tmp_path: Path) -> None:
    """The same weights under the names of models with a choice of text towers, and as a torch file of OpenAI's."""
    config = copy.deepcopy(SMALL)
    weights = shaken(model_of(config).state_dict())
    vectors = []
    for place in ("plain", "custom", "openai"):
        (folder := tmp_path / place).mkdir()
        write_config(folder, config)
        (folder / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
        if place == "plain":
            write_weights(folder, weights)
        elif place == "custom":
            kept = ("visual.", "logit_scale")
            write_weights(folder, {n if n.startswith(kept) else f"text.{n}": t for n, t in weights.items()})
        else:
            sizes = {"input_resolution": torch.tensor(64), "context_length": torch.tensor(77)}
            torch.save({**weights, **sizes}, folder / "open_clip_pytorch_model.bin")
        vectors.append(CLIPEncoder(str(folder)).encode_texts(TEXTS))
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])


def model_of(config: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return peers.open_clip().model.CLIP(**copy.deepcopy(config)).eval()


def equal_to_open_clip(tokenizer_file: Path, folder: Path, config: dict[str, Any], *, half: bool = False) -> None:
    theirs = model_of(config)
    weights = shaken(theirs.state_dict())
    if half:  # as OpenAI's files have them
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    theirs.load_state_dict(weights)
    write_weights(folder, weights)
    write_config(folder, config)
    (folder / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
    encoder = CLIPEncoder(str(folder))
    side = config["vision_cfg"]["image_size"]
    few = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 3), np.uint8)  # of noise all images look alike
    pixels = few.repeat(side // 2, 1).repeat(side // 2, 2)
    normalised = torch.from_numpy(encoder.preprocess.normalise(pixels))
    tokens = peers.open_clip().tokenizer.SimpleTokenizer()(TEXTS)
    with torch.no_grad():
        images = theirs.encode_image(normalised, normalize=True).numpy()
        texts = theirs.encode_text(tokens, normalize=True).numpy()
    assert len(images) == 3
    assert np.abs(images - images[:1]).max() > 1e-3, "the images differ"
    assert np.abs(encoder.encode_images(pixels) - images).max() < 1e-4
    assert np.abs(encoder.encode_texts(TEXTS) - texts).max() < 1e-4
