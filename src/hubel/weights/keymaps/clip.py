"""Key maps of CLIP: OpenAI's names, which OpenCLIP kept; see `hubel.weights.keymaps`."""

from __future__ import annotations

from torch import nn

from hubel.nn.network import Network
from hubel.nn.text_transformer import TextTransformer
from hubel.weights.keymaps.modern import convnext_timm
from hubel.weights.keymaps.pairs import Pairs, blocks, conv_norm

__all__ = ["image_tower", "text_tower", "timm_tower"]


def image_tower(network: Network) -> Pairs:
    """Map the modified ResNet; the names of a whole model have "visual." before them."""
    for i in range(3):
        yield from conv_norm(f"stem.{i}", f"conv{i + 1}", f"bn{i + 1}")
    for s, b, ours, block in blocks(network):
        theirs = f"layer{s + 1}.{b}"
        for i, part in enumerate(("reduce", "conv", "expand"), start=1):
            yield from conv_norm(f"{ours}.residual.{part}", f"{theirs}.conv{i}", f"{theirs}.bn{i}")
        if not isinstance(block.shortcut, nn.Identity):
            yield from conv_norm(f"{ours}.shortcut.conv", f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    yield "head.pool.positions", "attnpool.positional_embedding"
    for part, letter in (("query", "q"), ("key", "k"), ("value", "v")):
        yield f"head.pool.{part}", f"attnpool.{letter}_proj"
    yield "head.linear", "attnpool.c_proj"


def timm_tower(network: Network) -> Pairs:
    """Map a network of timm below a projection."""
    for ours, theirs in convnext_timm(network):
        yield ours, "head.proj" if ours == "head.linear" else f"trunk.{theirs}"


def text_tower(tower: TextTransformer) -> Pairs:
    """Map the transformer; in models with more than one kind of text tower the names have "text." before them."""
    yield "tokens", "token_embedding"
    yield "positions", "positional_embedding"
    for i in range(len(tower.blocks)):
        ours, theirs = f"blocks.{i}", f"transformer.resblocks.{i}"
        yield f"{ours}.norm1", f"{theirs}.ln_1"
        yield f"{ours}.norm2", f"{theirs}.ln_2"
        for part in ("weight", "bias"):
            yield f"{ours}.query_key_value.{part}", f"{theirs}.attn.in_proj_{part}"
        yield f"{ours}.project", f"{theirs}.attn.out_proj"
        yield f"{ours}.widen", f"{theirs}.mlp.c_fc"
        yield f"{ours}.narrow", f"{theirs}.mlp.c_proj"
    yield "norm", "ln_final"
    yield "projection", "text_projection"
