"""Key maps of the families whose layers have the same names in all their blocks; see `hubel.weights.keymaps`."""

from __future__ import annotations

from torch import nn

from hubel.nn.network import Network
from hubel.weights.keymaps.pairs import Pairs, blocks, conv_norm

# ResNet: torchvision and timm agree; akamaster's are for CIFAR.


def resnet(network: Network, downsample: str = "downsample", last: str = "fc") -> Pairs:
    """Map stages to "layer1", "layer2", ..., and number the convolutions of a unit."""
    yield from conv_norm("stem.0", "conv1", "bn1")
    for s, b, ours, block in blocks(network):
        theirs = f"layer{s + 1}.{b}"
        assert isinstance(block.residual, nn.Sequential)
        for i in range(len(block.residual)):
            yield from conv_norm(f"{ours}.residual.{i}", f"{theirs}.conv{i + 1}", f"{theirs}.bn{i + 1}")
        yield from conv_norm(f"{ours}.shortcut", f"{theirs}.{downsample}.0", f"{theirs}.{downsample}.1")
    yield "head.linear", last


def akamaster(network: Network) -> Pairs:
    """Map the names of akamaster's CIFAR ResNets."""
    yield from resnet(network, "shortcut", "linear")


# AlexNet and VGG: layers are numbered consecutively, including those without weights.


def alexnet_tv(network: Network) -> Pairs:
    """Number the layers consecutively."""
    yield "stem.0.conv", "features.0"
    yield "stages.0.1.conv", "features.3"
    for i, number in enumerate((6, 8, 10), start=1):
        yield f"stages.1.{i}.conv", f"features.{number}"
    yield from (("head.fc6", "classifier.1"), ("head.fc7", "classifier.4"), ("head.linear", "classifier.6"))


def _vgg(network: Network, dense: tuple[str, str, str]) -> Pairs:
    number = 0
    for _, _, ours, block in blocks(network):
        if isinstance(block, nn.MaxPool2d):
            number += 1
            continue
        assert isinstance(block, nn.Sequential)
        yield from conv_norm(ours, f"features.{number}", f"features.{number + 1}")
        number += len(block)
    yield from zip(("head.fc1", "head.fc2", "head.linear"), dense, strict=True)


def vgg_tv(network: Network) -> Pairs:
    """Map hidden layers to the numbers of torchvision."""
    yield from _vgg(network, ("classifier.0", "classifier.3", "classifier.6"))


def vgg_timm(network: Network) -> Pairs:
    """Map hidden layers to the named convolutions of timm."""
    yield from _vgg(network, ("pre_logits.fc1", "pre_logits.fc2", "head.fc"))


# Inception.


def _same(ours: str, theirs: str) -> Pairs:
    """Map a `ConvNorm` whose parts are named "conv" and "bn"."""
    yield from conv_norm(ours, f"{theirs}.conv", f"{theirs}.bn")


def googlenet_tv(network: Network) -> Pairs:
    """Map modules to the paper's names, and branches to numbers."""
    for ours, theirs in (("stem.0", "conv1"), ("stem.2", "conv2"), ("stem.3.0", "conv3")):
        yield from _same(ours, theirs)
    for s, b, ours, _ in blocks(network):
        if b == 0:  # a pooling
            continue
        theirs = f"inception{s + 3}{'abcde'[b - 1]}"
        yield from _same(f"{ours}.branch1", f"{theirs}.branch1")
        for i in (0, 1):
            yield from _same(f"{ours}.branch3.{i}", f"{theirs}.branch2.{i}")
            yield from _same(f"{ours}.branch5.{i}", f"{theirs}.branch3.{i}")
        yield from _same(f"{ours}.pool.1", f"{theirs}.branch4.1")
    for name, theirs in (("stage2_block2", "aux1"), ("stage2_block5", "aux2")):
        yield from _same(f"auxiliary.{name}.conv", f"{theirs}.conv")
        yield from ((f"auxiliary.{name}.fc", f"{theirs}.fc1"), (f"auxiliary.{name}.linear", f"{theirs}.fc2"))
    yield "head.linear", "fc"


_A = {"branch1": "branch1x1", "branch5": "branch5x5", "branch3": "branch3x3dbl"}
_B = {"branch1": "branch1x1", "branch7": "branch7x7", "branch13": "branch7x7dbl"}
_C = {"branch1": "branch1x1", "branch3": "branch3x3", "branch5": "branch3x3dbl"}
_TO_17 = {"branch3": "branch3x3", "branch5": "branch3x3dbl"}
_TO_8 = {"branch3": "branch3x3", "branch7": "branch7x7x3"}
# The modules in order: their number and letter, and their names of our branches, without the pooling branch.
_INCEPTION_V3 = (
    ("5b", _A), ("5c", _A), ("5d", _A),
    ("6a", _TO_17), ("6b", _B), ("6c", _B), ("6d", _B), ("6e", _B),
    ("7a", _TO_8), ("7b", _C), ("7c", _C),
)  # fmt: skip


def inception_v3(network: Network) -> Pairs:
    """Map the names of the TensorFlow model."""
    stem = {0: "1a_3x3", 1: "2a_3x3", 2: "2b_3x3", 4: "3b_1x1", 5: "4a_3x3"}
    for i, theirs in stem.items():
        yield from _same(f"stem.{i}", f"Conv2d_{theirs}")
    for (_, _, ours, block), (mixed, names) in zip(blocks(network), _INCEPTION_V3, strict=True):
        for name, theirs in names.items():
            branch = getattr(block, name)
            yield from _branch(f"{ours}.{name}", branch, f"Mixed_{mixed}.{theirs}")
        yield from _same(f"{ours}.pool.1", f"Mixed_{mixed}.branch_pool")
    for ours, theirs in (("conv1", "conv0"), ("conv2", "conv1")):
        yield from _same(f"auxiliary.stage2.{ours}", f"AuxLogits.{theirs}")
    yield from (("auxiliary.stage2.linear", "AuxLogits.fc"), ("head.linear", "fc"))


def _branch(ours: str, branch: nn.Module, theirs: str) -> Pairs:
    if hasattr(branch, "conv"):
        yield from _same(ours, theirs)
        return
    for i, part in enumerate(branch.children()):
        if hasattr(part, "conv"):
            yield from _same(f"{ours}.{i}", f"{theirs}_{i + 1}")
        else:  # 1x3 and 3x1 in parallel
            yield from _same(f"{ours}.{i}.wide", f"{theirs}_{i + 1}a")
            yield from _same(f"{ours}.{i}.tall", f"{theirs}_{i + 1}b")


# DenseNet: torchvision and timm agree.


def densenet(network: Network) -> Pairs:
    """Map the names of the authors' Torch code."""
    yield from conv_norm("stem.0", "features.conv0", "features.norm0")
    for s, b, ours, block in blocks(network):
        if not isinstance(block, nn.Sequential):
            theirs = f"features.denseblock{s + 1}.denselayer{b + (s == 0)}"
            yield from ((f"{ours}.{part}", f"{theirs}.{part}") for part in ("norm1", "conv1", "norm2", "conv2"))
        elif b == 0:
            yield from ((f"{ours}.0", f"features.transition{s}.norm"), (f"{ours}.2", f"features.transition{s}.conv"))
        else:
            yield f"{ours}.0", "features.norm5"
    yield "head.linear", "classifier"
