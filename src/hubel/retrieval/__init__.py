"""Find images by words: encoders of images and texts, and the index that is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.retrieval.clip import CLIPEncoder as CLIPEncoder
    from hubel.retrieval.encoder import Encoder as Encoder
    from hubel.retrieval.paired import PairedEncoder as PairedEncoder

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.retrieval.clip": ("CLIPEncoder",),
        "hubel.retrieval.encoder": ("Encoder",),
        "hubel.retrieval.paired": ("PairedEncoder",),
    },
)
