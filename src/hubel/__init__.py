"""hubel: convolutional image classifiers. Train them on a folder of photos, see what every layer does, ship them.

>>> import hubel
>>> network = hubel.create_model("resnet50", num_classes=10)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.analysis.drawing.draw import draw as draw
    from hubel.analysis.summary import summary as summary
    from hubel.core.errors import CheckpointError as CheckpointError
    from hubel.core.errors import DataError as DataError
    from hubel.core.errors import DecodeError as DecodeError
    from hubel.core.errors import DivergedError as DivergedError
    from hubel.core.errors import HubelError as HubelError
    from hubel.core.errors import MismatchError as MismatchError
    from hubel.core.errors import MissingPackageError as MissingPackageError
    from hubel.core.errors import ModelFileError as ModelFileError
    from hubel.core.errors import OptionError as OptionError
    from hubel.core.errors import UnknownNameError as UnknownNameError
    from hubel.core.errors import WeightsError as WeightsError
    from hubel.core.version import __version__ as __version__
    from hubel.inference.generator import generate as generate
    from hubel.inference.load import load as load
    from hubel.inference.predictor import Predictor as Predictor
    from hubel.models.catalogue import list_models as list_models
    from hubel.training.estimator import ImageClassifier as ImageClassifier
    from hubel.training.recipe import Recipe as Recipe
    from hubel.training.search.tune import tune as tune
    from hubel.training.train import resume as resume
    from hubel.training.train import train as train
    from hubel.weights.create import create_model as create_model

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.analysis.drawing.draw": ("draw",),
        "hubel.analysis.summary": ("summary",),
        "hubel.core.errors": (
            "CheckpointError",
            "DataError",
            "DecodeError",
            "DivergedError",
            "HubelError",
            "MismatchError",
            "MissingPackageError",
            "ModelFileError",
            "OptionError",
            "UnknownNameError",
            "WeightsError",
        ),
        "hubel.core.version": ("__version__",),
        "hubel.inference.generator": ("generate",),
        "hubel.inference.load": ("load",),
        "hubel.inference.predictor": ("Predictor",),
        "hubel.models.catalogue": ("list_models",),
        "hubel.training.estimator": ("ImageClassifier",),
        "hubel.training.recipe": ("Recipe",),
        "hubel.training.search.tune": ("tune",),
        "hubel.training.train": ("resume", "train"),
        "hubel.weights.create": ("create_model",),
    },
)
