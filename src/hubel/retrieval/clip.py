"""The encoder `clip`: a checkpoint of CLIP as two towers behind the interface of all encoders."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.core.errors import WeightsError
from hubel.core.vectors import unit
from hubel.data.preprocess import Preprocess
from hubel.inference.forward import forward, reportable
from hubel.weights.clip import CLIPFiles, CLIPTowers, clip_files, load_clip, read_preprocess

__all__ = ["CLIPEncoder", "CLIPTokenizer"]

_START, _END = "<|startoftext|>", "<|endoftext|>"
_BATCH = 64  # texts that are computed at once


class CLIPTokenizer:
    """Byte pairs of lower-cased text, between a token of start and one of end.

    Args:
        file: `tokenizer.json` of a checkpoint.

    Raises:
        WeightsError: it is no such file, or lacks the two tokens.
    """

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # of tokenizers, which has no class of its own for them
            raise WeightsError(f"{file} is no tokenizer: {str(error).splitlines()[0]}") from None
        start, end = map(self._tokenizer.token_to_id, (_START, _END))
        if start is None or end is None or end != self._tokenizer.get_vocab_size() - 1:
            raise WeightsError(f"{file} is no tokenizer of CLIP: {_END} is not its last token")
        self._start, self._end = start, end

    def encode(self, texts: Sequence[str], context: int) -> NDArray[np.int64]:
        """Return tokens int64 `(n, t)`, filled with zeros; of a text of more than `context` tokens the first ones.

        Marks of HTML are resolved, as CLIP's own tokenizer does it; mis-decoded text is not repaired.
        """
        rows = []
        for text in texts:
            plain = " ".join(html.unescape(html.unescape(text)).split()).lower()
            tokens = self._tokenizer.encode(plain, add_special_tokens=False).ids[: context - 2]
            rows.append([self._start, *tokens, self._end])
        longest = max(map(len, rows), default=0)
        return np.array([row + [0] * (longest - len(row)) for row in rows], np.int64).reshape(len(rows), longest)


class CLIPEncoder:
    """A checkpoint of CLIP; see `hubel.retrieval.encoder.Encoder`. The towers are loaded when they are first needed.

    Args:
        checkpoint: a key of `hubel.weights.clip.CHECKPOINTS`, or a folder with the three files of one.

    Raises:
        UnknownNameError: there is neither such a checkpoint nor such a folder.
        WeightsError: files are missing or damaged, or cannot be downloaded.
    """

    def __init__(self, checkpoint: str) -> None:
        self._files: CLIPFiles = clip_files(checkpoint)
        self.name = f"clip:{checkpoint}"
        self.preprocess: Preprocess = read_preprocess(self._files)

    @cached_property
    def digest(self) -> str:
        """Digest of the weights and their description."""
        return self._files.digest()

    @cached_property
    def towers(self) -> CLIPTowers:
        """Both towers."""
        return load_clip(self._files)

    @property
    def scale(self) -> float:
        """Factor of cosines before a softmax."""
        return self.towers.scale

    @cached_property
    def _tokenizer(self) -> CLIPTokenizer:
        return CLIPTokenizer(self._files.tokenizer)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self.towers.text.layout.embedding

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit vectors float32 `(n, d)` of resized images uint8 `(n, h, w, 3)`, RGB."""
        return unit(forward(self.towers.image, pixels, self.preprocess))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 `(n, d)` of texts, of which English ones are understood."""
        tower = self.towers.text
        tokens = self._tokenizer.encode(texts, tower.layout.context)
        if tokens.size and int(tokens.max()) >= tower.layout.vocabulary:
            raise WeightsError(f"{self._files.tokenizer} has tokens that the text tower does not know")
        with torch.inference_mode():
            parts = [tower(torch.from_numpy(tokens[i : i + _BATCH])).numpy() for i in range(0, len(tokens), _BATCH)]
        empty = np.zeros((0, tower.layout.embedding), np.float32)
        return unit(reportable(np.concatenate([empty, *parts]), "vectors of texts"))
