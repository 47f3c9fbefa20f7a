"""References of random numbers."""

from __future__ import annotations

import numpy as np

from hubel.audit.drifting.appearance import APPEARANCE
from hubel.audit.drifting.reference import FILE_TRAITS, MeasuredImages, Reference


def made(images: int = 60, outputs: int = 20, classes: int = 4, seed: int = 0) -> Reference:
    rng = np.random.default_rng(seed)

    def halves(*shape: int) -> np.ndarray:
        return rng.uniform(size=shape).astype(np.float16)

    return Reference(
        sample=MeasuredImages(
            appearance=halves(images, len(APPEARANCE)),
            files=halves(images, len(FILE_TRAITS)),
            formats=("JPEG",) * (images - 2) + ("PNG",) * 2,
            scores=halves(outputs, classes),
            confidence=halves(outputs),
            predicted=rng.integers(0, classes, outputs).astype(np.int16),
            features=halves(outputs, 64),
        )
    )
