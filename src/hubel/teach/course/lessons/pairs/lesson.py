"""Pictures and sentences: similarity by hand, towers that learn from pairs, search and classes without training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.teach.course.lesson import LANGUAGES, Lesson
from hubel.teach.course.lessons.pairs.live import HELD_OUT, IN_MATRIX, STEPS, find_scenes, held_out_pairs, train_live
from hubel.teach.course.lessons.pairs.scenes import COLOURS, EDITS, KINDS
from hubel.teach.course.photos import pack

__all__ = ["LESSON", "pair_contrast"]

Floats = NDArray[np.float64]

_PICTURES = np.array([[2.0, 1.0], [-1.0, 2.0], [0.5, -1.0]])
_SENTENCES = np.array([[1.0, 1.0], [-2.0, 1.0], [1.0, -1.5]])
_TEMPERATURE = 0.5
_BATCH_SIZES = (2, 10, 256, 32768)
_SHOWN = 8


def pair_contrast(pictures: Floats, sentences: Floats, temperature: float) -> Mapping[str, Any]:
    """Return similarities, both softmaxes and the loss of a batch of pairs, of vectors `(n, d)` of any length."""
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (pictures, sentences)]
    similar = unit[0] @ unit[1].T
    powers = np.exp(similar / temperature)
    rows, columns = powers / powers.sum(1, keepdims=True), powers / powers.sum(0, keepdims=True)
    loss = -(np.log(np.diag(rows)).mean() + np.log(np.diag(columns)).mean()) / 2
    return {"similar": similar, "rows": rows, "columns": columns, "loss": float(loss)}


def _data() -> Mapping[str, Any]:
    pairs = {language: held_out_pairs(language)[1] for language in LANGUAGES}
    return {
        "scenes": [pack(scene) for scene in pairs["en"].pixels[: max(_SHOWN, IN_MATRIX)].numpy()],
        "captions": {language: of.captions[: max(_SHOWN, IN_MATRIX)] for language, of in pairs.items()},
        "shown": _SHOWN,
        "kinds": KINDS,
        "colours": len(COLOURS),
        "training": KINDS - HELD_OUT,
        "held_out": HELD_OUT,
        "in_matrix": IN_MATRIX,
        "steps": STEPS,
        "edits": EDITS,
        "hand": {
            "pictures": _PICTURES,
            "sentences": _SENTENCES,
            "temperature": _TEMPERATURE,
            **pair_contrast(_PICTURES, _SENTENCES, _TEMPERATURE),
        },
        "sizes": _BATCH_SIZES,
    }


LESSON = Lesson(name="pairs", data=_data, live={"train": train_live, "find": find_scenes})
