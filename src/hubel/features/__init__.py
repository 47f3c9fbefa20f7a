"""Run the frozen part of a network once: extractor, store, linear probe, nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.features.extractor import ExtractorSettings as ExtractorSettings
    from hubel.features.extractor import FeatureExtractor as FeatureExtractor
    from hubel.features.extractor import Features as Features
    from hubel.features.logits import cached_logits as cached_logits
    from hubel.features.logits import last_layer_features as last_layer_features
    from hubel.features.novelty import FittedNovelty as FittedNovelty
    from hubel.features.novelty import fit_novelty as fit_novelty
    from hubel.features.probe import Probe as Probe
    from hubel.features.probe import fit_probe as fit_probe
    from hubel.features.similar import index_folder as index_folder
    from hubel.features.similar import similar_images as similar_images
    from hubel.retrieval.index import FolderIndex as FolderIndex
    from hubel.retrieval.index import Neighbour as Neighbour

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.features.extractor": ("ExtractorSettings", "FeatureExtractor", "Features"),
        "hubel.features.logits": ("cached_logits", "last_layer_features"),
        "hubel.features.novelty": ("FittedNovelty", "fit_novelty"),
        "hubel.features.probe": ("Probe", "fit_probe"),
        "hubel.features.similar": ("index_folder", "similar_images"),
        "hubel.retrieval.index": ("FolderIndex", "Neighbour"),
    },
)
