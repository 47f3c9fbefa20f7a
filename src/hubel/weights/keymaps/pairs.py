"""Building blocks of key maps."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from hubel.nn.network import Network

__all__ = ["Pairs", "blocks", "conv_norm"]

Pairs = Iterator[tuple[str, str]]  # our layer, their layer


def conv_norm(ours: str, conv: str, norm: str) -> Pairs:
    """Map a `ConvNorm` to the names of its two layers."""
    yield f"{ours}.conv", conv
    yield f"{ours}.norm", norm


def blocks(network: Network) -> Iterator[tuple[int, int, str, nn.Module]]:
    """Yield stage index, block index, name and module of each block."""
    for s, stage in enumerate(network.stages):
        assert isinstance(stage, nn.Sequential)
        for b, block in enumerate(stage):
            yield s, b, f"stages.{s}.{b}", block
