"""Key maps of MobileNet and EfficientNet, whose blocks have optional parts; see `hubel.weights.keymaps`."""

from __future__ import annotations

from torch import nn

from hubel.nn.network import Network
from hubel.weights.keymaps.pairs import Pairs, blocks, conv_norm

_PARTS = ("expand", "depthwise", "excite", "project")


def _parts(block: nn.Module) -> list[str]:
    """Return the names of the parts of a block, in order."""
    return [part for part in _PARTS if not isinstance(getattr(block, part), nn.Identity)]


def _excite(ours: str, reduce: str, expand: str) -> Pairs:
    yield f"{ours}.excite.reduce", reduce
    yield f"{ours}.excite.expand", expand


# torchvision numbers the parts of a block.


def mobilenet_tv(network: Network) -> Pairs:
    """Number the blocks of V2 and V3 consecutively, after the stem."""
    v3 = hasattr(network.head, "hidden")
    yield from mobilenet_features_tv(network, v3=v3)
    if v3:
        yield "head.hidden", "classifier.0"
    yield "head.linear", "classifier.3" if v3 else "classifier.1"


def mobilenet_features_tv(network: Network, *, v3: bool) -> Pairs:
    """Number the blocks consecutively, and map the last convolution of the head to the number after them."""
    number = 0
    yield from conv_norm("stem.0", "features.0.0", "features.0.1")
    for number, (_, _, ours, block) in enumerate(blocks(network), start=1):
        yield from (_numbered_v3 if v3 else _numbered_v2)(ours, block, f"features.{number}")
    last = f"features.{number + 1}"
    yield from conv_norm("head.conv", f"{last}.0", f"{last}.1")


def efficientnet_tv(network: Network) -> Pairs:
    """Number the stages, after the stem."""
    yield from conv_norm("stem.0", "features.0.0", "features.0.1")
    for s, b, ours, block in blocks(network):
        yield from _numbered_v3(ours, block, f"features.{s + 1}.{b}")
    yield from conv_norm("head.conv", "features.8.0", "features.8.1")
    yield "head.linear", "classifier.1"


def _numbered_v2(ours: str, block: nn.Module, theirs: str) -> Pairs:
    *parts, last = _parts(block)
    for i, part in enumerate(parts):
        yield from conv_norm(f"{ours}.{part}", f"{theirs}.conv.{i}.0", f"{theirs}.conv.{i}.1")
    yield from conv_norm(f"{ours}.{last}", f"{theirs}.conv.{len(parts)}", f"{theirs}.conv.{len(parts) + 1}")


def _numbered_v3(ours: str, block: nn.Module, theirs: str) -> Pairs:
    for i, part in enumerate(_parts(block)):
        if part == "excite":
            yield from _excite(ours, f"{theirs}.block.{i}.fc1", f"{theirs}.block.{i}.fc2")
        else:
            yield from conv_norm(f"{ours}.{part}", f"{theirs}.block.{i}.0", f"{theirs}.block.{i}.1")


# timm names them; its stages are the rows of the papers' tables.


def mobilenet_v1_timm(network: Network) -> Pairs:
    """Map blocks without expansion, and no last convolution."""
    yield from conv_norm("stem.0", "conv_stem", "bn1")
    for s, b, ours, _ in blocks(network):
        theirs = f"blocks.{s}.{b}"
        yield from conv_norm(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn1")
        yield from conv_norm(f"{ours}.pointwise", f"{theirs}.conv_pw", f"{theirs}.bn2")
    yield "head.linear", "classifier"


def mobilenet_v2_timm(network: Network) -> Pairs:
    """Map the last convolution to "conv_head", before the pooling."""
    yield from _timm_blocks(network, (1, 2, 3, 4, 3, 3, 1))
    yield from conv_norm("head.conv", "conv_head", "bn2")
    yield "head.linear", "classifier"


def mobilenet_v3_timm(network: Network) -> Pairs:
    """Map the last convolution to a stage of its own; "conv_head" is the hidden layer after the pooling."""
    large = len(network.stages) == 5
    rows = (1, 2, 3, 4, 2, 3) if large else (1, 2, 3, 2, 3)
    yield from _timm_blocks(network, rows)
    last = f"blocks.{len(rows)}.0"
    yield from conv_norm("head.conv", f"{last}.conv", f"{last}.bn1")
    yield from (("head.hidden", "conv_head"), ("head.linear", "classifier"))


def efficientnet_timm(network: Network) -> Pairs:
    """Map stages to those of timm, which are the same."""
    yield from _timm_blocks(network, tuple(len(list(stage.children())) for stage in network.stages))
    yield from conv_norm("head.conv", "conv_head", "bn2")
    yield "head.linear", "classifier"


def _timm_blocks(network: Network, rows: tuple[int, ...]) -> Pairs:
    yield from conv_norm("stem.0", "conv_stem", "bn1")
    positions = ((row, unit) for row, units in enumerate(rows) for unit in range(units))
    for (_, _, ours, block), (row, unit) in zip(blocks(network), positions, strict=True):
        theirs = f"blocks.{row}.{unit}"
        wide = "expand" in _parts(block)
        names = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl" if wide else "conv_pw"}
        norm = 0
        for part in _parts(block):
            if part == "excite":
                yield from _excite(ours, f"{theirs}.se.conv_reduce", f"{theirs}.se.conv_expand")
            else:
                norm += 1
                yield from conv_norm(f"{ours}.{part}", f"{theirs}.{names[part]}", f"{theirs}.bn{norm}")


# lukemelas' efficientnet_pytorch and the packages of the Lite networks number the blocks consecutively.


def efficientnet_lukemelas(network: Network) -> Pairs:
    """Map names with leading underscores and norms numbered from 0."""
    yield from conv_norm("stem.0", "_conv_stem", "_bn0")
    names = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }
    for number, (_, _, ours, block) in enumerate(blocks(network)):
        theirs = f"_blocks.{number}"
        for part in _parts(block):
            if part == "excite":
                yield from _excite(ours, f"{theirs}._se_reduce", f"{theirs}._se_expand")
            else:
                conv, norm = names[part]
                yield from conv_norm(f"{ours}.{part}", f"{theirs}.{conv}", f"{theirs}.{norm}")
    yield from conv_norm("head.conv", "_conv_head", "_bn1")
    yield "head.linear", "_fc"
