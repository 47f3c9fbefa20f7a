"""hubel: convolutional image classifiers. Train them on a folder of photos, see what every layer does, ship them.

>>> import hubel
>>> network = hubel.create_model("resnet50", num_classes=10)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hubel.core.version import __version__

if TYPE_CHECKING:
    from hubel.analysis.summary import summary as summary
    from hubel.core.errors import HubelError as HubelError
    from hubel.inference.load import load as load
    from hubel.inference.predictor import Predictor as Predictor
    from hubel.models.catalogue import list_models as list_models
    from hubel.training.estimator import ImageClassifier as ImageClassifier
    from hubel.training.recipe import Recipe as Recipe
    from hubel.training.train import resume as resume
    from hubel.training.train import train as train
    from hubel.weights.create import create_model as create_model


# Where each name lives; nothing is imported before it is used, so that `import hubel` is instant.
_HOMES = {
    "HubelError": "hubel.core.errors",
    "ImageClassifier": "hubel.training.estimator",
    "Predictor": "hubel.inference.predictor",
    "Recipe": "hubel.training.recipe",
    "create_model": "hubel.weights.create",
    "list_models": "hubel.models.catalogue",
    "load": "hubel.inference.load",
    "resume": "hubel.training.train",
    "summary": "hubel.analysis.summary",
    "train": "hubel.training.train",
}

__all__ = [
    "HubelError",
    "ImageClassifier",
    "Predictor",
    "Recipe",
    "__version__",
    "create_model",
    "list_models",
    "load",
    "resume",
    "summary",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hubel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
