"""The architectures: one file a family, and the catalogue that lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.models.catalogue import build_model as build_model
    from hubel.models.catalogue import count_parameters as count_parameters
    from hubel.models.catalogue import find as find
    from hubel.models.catalogue import options_of as options_of
    from hubel.models.stack_cost import LayerCost as LayerCost
    from hubel.models.stack_cost import measure_stack as measure_stack
    from hubel.models.stack_table import StackTable as StackTable
    from hubel.models.stack_table import TableLayer as TableLayer
    from hubel.models.stack_table import read_stack as read_stack
    from hubel.models.variant import InputShape as InputShape
    from hubel.models.variant import Published as Published
    from hubel.models.variant import Variant as Variant
    from hubel.nn.dense import DenseHead as DenseHead
    from hubel.nn.dense import DenseNetwork as DenseNetwork
    from hubel.nn.features import FeatureMap as FeatureMap
    from hubel.nn.features import FeatureNetwork as FeatureNetwork
    from hubel.nn.features import feature_maps as feature_maps
    from hubel.nn.network import Network as Network
    from hubel.nn.network import Outputs as Outputs

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.models.catalogue": ("build_model", "count_parameters", "find", "options_of"),
        "hubel.models.stack_cost": ("LayerCost", "measure_stack"),
        "hubel.models.stack_table": ("StackTable", "TableLayer", "read_stack"),
        "hubel.models.variant": ("InputShape", "Published", "Variant"),
        "hubel.nn.dense": ("DenseHead", "DenseNetwork"),
        "hubel.nn.features": ("FeatureMap", "FeatureNetwork", "feature_maps"),
        "hubel.nn.network": ("Network", "Outputs"),
    },
)
