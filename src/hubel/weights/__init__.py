"""Weights on disk: the model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.weights.card import ModelCard as ModelCard
    from hubel.weights.class_tree import ClassTree as ClassTree
    from hubel.weights.convert import Converted as Converted
    from hubel.weights.convert import convert_file as convert_file
    from hubel.weights.coverage import CoverageTable as CoverageTable
    from hubel.weights.hub_card import hub_card as hub_card
    from hubel.weights.imagenet import imagenet_classes as imagenet_classes
    from hubel.weights.imagenet import imagenet_synsets as imagenet_synsets
    from hubel.weights.model_file import load_model as load_model
    from hubel.weights.model_file import read_card as read_card
    from hubel.weights.model_file import save_model as save_model
    from hubel.weights.novelty_rule import NoveltyRule as NoveltyRule
    from hubel.weights.own_class import OwnClass as OwnClass
    from hubel.weights.own_class import OwnModel as OwnModel
    from hubel.weights.pretrained import Pretrained as Pretrained
    from hubel.weights.pretrained import find_weights as find_weights
    from hubel.weights.pretrained import list_weights as list_weights

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.weights.card": ("ModelCard",),
        "hubel.weights.class_tree": ("ClassTree",),
        "hubel.weights.convert": ("Converted", "convert_file"),
        "hubel.weights.coverage": ("CoverageTable",),
        "hubel.weights.hub_card": ("hub_card",),
        "hubel.weights.imagenet": ("imagenet_classes", "imagenet_synsets"),
        "hubel.weights.model_file": ("load_model", "read_card", "save_model"),
        "hubel.weights.novelty_rule": ("NoveltyRule",),
        "hubel.weights.own_class": ("OwnClass", "OwnModel"),
        "hubel.weights.pretrained": ("Pretrained", "find_weights", "list_weights"),
    },
)
