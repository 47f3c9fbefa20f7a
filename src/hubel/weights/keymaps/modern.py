"""Key maps of ConvNeXt; see `hubel.weights.keymaps`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from hubel.nn.network import Network
from hubel.weights.keymaps.pairs import Pairs, blocks

__all__ = ["convnext_timm", "convnext_tv"]

_TIMM = {"depthwise": "conv_dw", "norm": "norm", "expand": "mlp.fc1", "reduce": "mlp.fc2", "scale": "gamma"}
_TORCHVISION = {
    "depthwise": "block.0", "norm": "block.2", "expand": "block.3", "reduce": "block.5", "scale": "layer_scale",
}  # fmt: skip


def _block(ours: str, theirs: str, parts: Mapping[str, str]) -> Pairs:
    for part, their in parts.items():
        yield f"{ours}.{part}", f"{theirs}.{their}"


def convnext_timm(network: Network) -> Pairs:
    """Map stages of "downsample" and "blocks"."""
    yield from (("stem.conv", "stem.0"), ("stem.norm", "stem.1"))
    for s, b, ours, block in blocks(network):
        theirs = f"stages.{s}"
        if isinstance(block, nn.Sequential):
            yield from ((f"{ours}.norm", f"{theirs}.downsample.0"), (f"{ours}.conv", f"{theirs}.downsample.1"))
        else:
            yield from _block(ours, f"{theirs}.blocks.{b - (s > 0)}", _TIMM)
    yield from (("head.norm", "head.norm"), ("head.linear", "head.fc"))


def convnext_tv(network: Network) -> Pairs:
    """Number stages and the layers between them consecutively, after the stem."""
    yield from (("stem.conv", "features.0.0"), ("stem.norm", "features.0.1"))
    for s, b, ours, block in blocks(network):
        if isinstance(block, nn.Sequential):
            yield from ((f"{ours}.norm", f"features.{2 * s}.0"), (f"{ours}.conv", f"features.{2 * s}.1"))
        else:
            yield from _block(ours, f"features.{2 * s + 1}.{b - (s > 0)}", _TORCHVISION)
    yield from (("head.norm", "classifier.0"), ("head.linear", "classifier.2"))
