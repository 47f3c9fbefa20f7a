"""Make `src/hubel/retrieval/imagenet_texts.npy`: ImageNet's classes in MiniLM's space of texts, int8 `(1000, 384)`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hubel.retrieval.concepts import ConceptSpace
from hubel.weights.imagenet import imagenet_classes

TARGET = Path(__file__).parents[1] / "src" / "hubel" / "retrieval" / "imagenet_texts.npy"

if __name__ == "__main__":
    exact = ConceptSpace(imagenet_classes()).made_vectors()
    rounded = np.round(exact * 127 / np.abs(exact).max(1, keepdims=True)).astype(np.int8)
    np.save(TARGET, rounded, allow_pickle=False)
    back = rounded / np.linalg.norm(rounded, axis=1, keepdims=True)
    print(f"{TARGET.stat().st_size:,} bytes, least cosine to the exact vectors {(back * exact).sum(1).min():.5f}")
