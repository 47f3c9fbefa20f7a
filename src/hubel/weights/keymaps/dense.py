"""Key maps of dense networks, whose backbone has the names of the classifier; see `hubel.weights.keymaps`."""

from __future__ import annotations

from hubel.nn.dense import DenseNetwork
from hubel.weights.keymaps.classic import resnet
from hubel.weights.keymaps.mobile import mobilenet_features_tv
from hubel.weights.keymaps.pairs import Pairs, conv_norm


def lraspp_tv(network: DenseNetwork) -> Pairs:
    """Map the names of torchvision's LR-ASPP on MobileNetV3."""
    for ours, theirs in mobilenet_features_tv(network.backbone, v3=True):
        yield f"backbone.{ours}", f"backbone.{theirs.removeprefix('features.')}"
    yield from conv_norm("head.project", "classifier.cbr.0", "classifier.cbr.1")
    yield "head.gate.1", "classifier.scale.1"
    yield "head.coarse_scores", "classifier.high_classifier"
    yield "head.fine_scores", "classifier.low_classifier"


def fcn_tv(network: DenseNetwork) -> Pairs:
    """Map the names of torchvision's FCN on ResNet, and of its auxiliary head."""
    for ours, theirs in resnet(network.backbone):
        if not ours.startswith("head."):
            yield f"backbone.{ours}", f"backbone.{theirs}"
    heads = {"head": "classifier", **{f"auxiliary.{name}": "aux_classifier" for name in network.auxiliary}}
    for ours, theirs in heads.items():
        yield from conv_norm(f"{ours}.conv", f"{theirs}.0", f"{theirs}.1")
        yield f"{ours}.scores", f"{theirs}.4"
