"""Find images by words: encoders of images and texts, and the index that is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.retrieval.clip import CLIPEncoder as CLIPEncoder
    from hubel.retrieval.concepts import ConceptsEncoder as ConceptsEncoder
    from hubel.retrieval.encoder import Encoder as Encoder
    from hubel.retrieval.encoders import find_encoder as find_encoder
    from hubel.retrieval.paired import PairedEncoder as PairedEncoder
    from hubel.retrieval.search import Answer as Answer
    from hubel.retrieval.search import PhotoSearch as PhotoSearch
    from hubel.retrieval.search import index_photos as index_photos
    from hubel.retrieval.search import search_photos as search_photos
    from hubel.retrieval.zero_shot import NamedClasses as NamedClasses

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.retrieval.clip": ("CLIPEncoder",),
        "hubel.retrieval.concepts": ("ConceptsEncoder",),
        "hubel.retrieval.encoder": ("Encoder",),
        "hubel.retrieval.encoders": ("find_encoder",),
        "hubel.retrieval.paired": ("PairedEncoder",),
        "hubel.retrieval.search": ("Answer", "PhotoSearch", "index_photos", "search_photos"),
        "hubel.retrieval.zero_shot": ("NamedClasses",),
    },
)
