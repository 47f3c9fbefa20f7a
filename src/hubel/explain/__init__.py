"""Explain predictions and networks: attribution maps, activation maps, filters, class templates, embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.explain.activation_maximisation import maximise_activation as maximise_activation
    from hubel.explain.comparison import MethodFaithfulness as MethodFaithfulness
    from hubel.explain.comparison import compare_methods as compare_methods
    from hubel.explain.embedding import Embedding as Embedding
    from hubel.explain.embedding import draw_embedding as draw_embedding
    from hubel.explain.embedding import embed as embed
    from hubel.explain.explanation import Explanation as Explanation
    from hubel.explain.explanation import explain as explain
    from hubel.explain.feature_maps import activation_maps as activation_maps
    from hubel.explain.feature_maps import draw_activation_maps as draw_activation_maps
    from hubel.explain.figures import draw_explanation as draw_explanation
    from hubel.explain.filters import draw_filters as draw_filters
    from hubel.explain.filters import first_filters as first_filters
    from hubel.explain.images import PreparedImage as PreparedImage
    from hubel.explain.images import prepare_images as prepare_images
    from hubel.explain.layers import default_layer as default_layer
    from hubel.explain.layers import layer_names as layer_names
    from hubel.explain.methods import METHODS as METHODS
    from hubel.explain.methods import Method as Method
    from hubel.explain.methods import find_method as find_method
    from hubel.explain.templates import class_templates as class_templates
    from hubel.explain.templates import draw_templates as draw_templates
    from hubel.explain.units import PeakActivation as PeakActivation
    from hubel.explain.units import Unit as Unit
    from hubel.explain.units import peak_activations as peak_activations
    from hubel.explain.units import receptive_field as receptive_field
    from hubel.explain.units import top_patches as top_patches

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.explain.activation_maximisation": ("maximise_activation",),
        "hubel.explain.comparison": ("MethodFaithfulness", "compare_methods"),
        "hubel.explain.embedding": ("Embedding", "draw_embedding", "embed"),
        "hubel.explain.explanation": ("Explanation", "explain"),
        "hubel.explain.feature_maps": ("activation_maps", "draw_activation_maps"),
        "hubel.explain.figures": ("draw_explanation",),
        "hubel.explain.filters": ("draw_filters", "first_filters"),
        "hubel.explain.images": ("PreparedImage", "prepare_images"),
        "hubel.explain.layers": ("default_layer", "layer_names"),
        "hubel.explain.methods": ("METHODS", "Method", "find_method"),
        "hubel.explain.templates": ("class_templates", "draw_templates"),
        "hubel.explain.units": ("PeakActivation", "Unit", "peak_activations", "receptive_field", "top_patches"),
    },
)
