"""Make `imagenet_texts.npy` and `imagenet_definitions.npy` of `src/hubel/retrieval`, each int8 `(1000, 384)`.

    python benchmarks/imagenet_texts.py /usr/share/wordnet

They have ImageNet's classes in MiniLM's space of texts: by names, as `ConceptSpace` makes them of any model, and by
their definitions in WordNet 3.0, whose folder is that of Debian's package wordnet-base.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.retrieval.concepts import ConceptSpace
from hubel.retrieval.minilm import load_minilm
from hubel.weights.imagenet import imagenet_classes, imagenet_synsets

FOLDER = Path(__file__).parents[1] / "src" / "hubel" / "retrieval"


def definitions(folder: Path) -> dict[str, str]:
    """Return the definition of each noun, without examples and what stands behind a semicolon."""
    lines = (folder / "data.noun").read_text(encoding="utf-8").splitlines()
    parts = [line.partition(" | ") for line in lines if not line.startswith("  ")]
    return {f"n{line.split()[0]}": gloss.partition(";")[0].partition('"')[0].strip() for line, _, gloss in parts}


def save(name: str, exact: NDArray[np.float32]) -> None:
    rounded = np.round(exact * 127 / np.abs(exact).max(1, keepdims=True)).astype(np.int8)
    np.save(FOLDER / name, rounded, allow_pickle=False)
    back = rounded / np.linalg.norm(rounded, axis=1, keepdims=True)
    size = (FOLDER / name).stat().st_size
    print(f"{name} {size:,} bytes, least cosine to the exact vectors {(back * exact).sum(1).min():.5f}")


if __name__ == "__main__":
    defined = definitions(Path(sys.argv[1]))
    texts = [f"{name}, {defined[one]}" for name, one in zip(imagenet_classes(), imagenet_synsets(), strict=True)]
    save("imagenet_texts.npy", ConceptSpace(imagenet_classes()).made_vectors())
    save("imagenet_definitions.npy", load_minilm().encode(texts))
