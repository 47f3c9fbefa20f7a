"""Small CLIP checkpoints with random weights, in the layout in which they are published."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor

SMALL: dict[str, Any] = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 4, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
# Byte pairs in the order in which they are merged; enough for a few words.
FEW_MERGES = ("r e", "re d</w>", "d o", "do g</w>", "c a", "ca t</w>")
_PATTERN = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def byte_letters() -> list[str]:
    """The letter that stands for each byte, in the order of CLIP's vocabulary (that of GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [*map(chr, printable), *(chr(256 + i) for i in range(len(others)))]


def merges_of(vocabulary: Path) -> list[str]:
    """The byte pairs in the file that OpenAI's and OpenCLIP's code has."""
    return gzip.open(vocabulary, "rt", encoding="utf-8").read().split("\n")[1 : 49152 - 256 - 2 + 1]


def write_tokenizer(path: Path, merges: list[str] | tuple[str, ...] = FEW_MERGES) -> None:
    """Write `tokenizer.json` as the repositories of the checkpoints have it."""
    letters = byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={word: number for number, word in enumerate(words)},
            merges=[(left, right) for left, right in (merge.split() for merge in merges)],
            unk_token="<|endoftext|>",
            end_of_word_suffix="</w>",
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    tokenizer.save(str(path))


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write `open_clip_config.json`."""
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    described = {"model_cfg": config, "preprocess_cfg": {"mean": mean, "std": std}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))


def write_weights(folder: Path, weights: dict[str, Tensor]) -> None:
    """Write the weights as the hub has them."""
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "open_clip_model.safetensors")


def shaken(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of which none is as it was initialised: some start at zero, which hides what they are for.

    Convolutions get the gain of rectifiers: behind norms that have seen nothing, all images would come out alike.
    """
    torch.manual_seed(0)
    found = {}
    for name, tensor in state.items():
        if name.endswith("running_var"):
            found[name] = torch.rand_like(tensor) + 0.5
        elif tensor.is_floating_point() and tensor.ndim < 2:
            found[name] = tensor + 0.2 * torch.randn_like(tensor)
        else:
            found[name] = tensor * 6**0.5 if tensor.ndim == 4 else tensor
    return found
