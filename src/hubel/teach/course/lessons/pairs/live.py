"""Live computations of the lesson `pairs`: the training, and a search with the trained towers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.core.errors import OptionError, UnknownNameError
from hubel.teach.course.lesson import RefusedError
from hubel.teach.course.lessons.pairs.scenes import EDITS, SPOKEN, caption, edited, split_kinds
from hubel.teach.course.lessons.pairs.towers import TwoTowers
from hubel.teach.course.lessons.pairs.training import Pairs, embed_pairs, make_pairs, train_towers, vocabulary
from hubel.teach.course.photos import pack

__all__ = ["HELD_OUT", "IN_MATRIX", "STEPS", "find_scenes", "held_out_pairs", "train_live"]

#: Scenes that are measured and searched, of kinds that are never trained on.
HELD_OUT = 500
#: The first of them, whose similarities are shown.
IN_MATRIX = 10
#: Updates of a training on the page.
STEPS = 240
_BATCH = 128
_EVERY = 10  # updates from one event to the next
_FOUND = 6
_SEED = 0

_trained: dict[str, TwoTowers] = {}  # the towers of the last training, by language, which a search takes


def held_out_pairs(language: str) -> tuple[NDArray[np.int64], Pairs]:
    """Return the kinds of the scenes that are measured, and these with their captions."""
    kinds = split_kinds(HELD_OUT, _SEED)[1]
    return kinds, make_pairs(kinds, _SEED + 1, language)


def _language(body: Mapping[str, Any]) -> str:
    language = body.get("lang", "en")
    if language not in SPOKEN:
        raise UnknownNameError("language of captions", str(language), SPOKEN)
    return str(language)


def train_live(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train both towers; yield loss, similarities and measures before the first update and after every tenth.

    Args:
        body: {"lang": "en" or "ko"}, the language of the captions.

    Raises:
        UnknownNameError: there are no captions in this language.
    """
    language = _language(body)
    kinds, pairs = held_out_pairs(language)
    edits = _edited_words(kinds, pairs, language)
    towers, loss = None, None
    for step in train_towers(split_kinds(HELD_OUT, _SEED)[0], steps=STEPS, batch=_BATCH, seed=_SEED, language=language):
        if step.step == 0 or step.step % _EVERY == 0:
            towers, loss = step.towers, step.loss
            yield {"step": step.step, "loss": loss, **_measured(towers, pairs, edits)}
    assert towers is not None, "the last step is a multiple of those shown"
    _trained[language] = towers


def find_scenes(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Find the scenes that fit a sentence best, by the towers of the last training; yield them, the best first.

    Args:
        body: {"lang": "en" or "ko", "sentence": text}.

    Raises:
        RefusedError: nothing was trained yet, or the sentence has words that were never seen.
        UnknownNameError: there are no captions in this language.
    """
    language, sentence = _language(body), body.get("sentence")
    if not isinstance(sentence, str):
        raise OptionError(f"a sentence is text, not {sentence!r:.80}")
    words = vocabulary(language).encode([sentence])
    if language not in _trained:
        raise RefusedError("pairs", "find.error.untrained")
    _, pairs = held_out_pairs(language)
    towers = _trained[language]
    images, _ = embed_pairs(towers, pairs)
    towers.eval()
    with torch.no_grad():
        similarities = (images @ towers.read(words)[0]).numpy()
    for row in np.argsort(-similarities, kind="stable")[:_FOUND].tolist():
        scene = pack(pairs.pixels[row].numpy())
        yield {"similarity": float(similarities[row]), "scene": scene, "caption": pairs.captions[row]}


def _edited_words(kinds: NDArray[np.int64], pairs: Pairs, language: str) -> dict[str, torch.Tensor]:
    """Return captions that are wrong in one respect, as numbers of words, by respect."""
    swapped = [
        text != caption(kind, False, language) for kind, text in zip(kinds.tolist(), pairs.captions, strict=True)
    ]
    encode = vocabulary(language).encode
    return {
        edit: encode(
            [caption(kind, other, language) for kind, other in zip(edited(kinds, edit).tolist(), swapped, strict=True)]
        )
        for edit in EDITS
    }


def _measured(towers: TwoTowers, pairs: Pairs, edits: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    images, texts = embed_pairs(towers, pairs)
    similar = (images @ texts.T).numpy()
    right = np.diag(similar)
    towers.eval()
    with torch.no_grad():
        wrong = {edit: (images * towers.read(words)).sum(1).numpy() for edit, words in edits.items()}
    towers.train()
    return {
        "matrix": similar[:IN_MATRIX, :IN_MATRIX],
        "scale": float(towers.scale().detach()),
        "recall": {
            "scenes": 1 - float((similar > right[None]).any(0).mean()),
            "captions": 1 - float((similar > right[:, None]).any(1).mean()),
        },
        "told": {edit: float((right > other).mean()) for edit, other in wrong.items()},
    }
