"""The means of a network's maps as features: early maps know colours, late ones things."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.nn.freezing import ALL, between
from hubel.nn.network import Network

__all__ = ["PooledMaps"]


class PooledMaps(nn.Module):
    """The mean of the stem's and each stage's last map, and what enters the last linear layer.

    Args:
        network: a classifier; its layers stay its own.

    Raises:
        OptionError: it has no stem, stages and head.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if not isinstance(network, Network):
            raise OptionError("features of all stages need a classifier of the catalogue")
        self.sections = nn.ModuleList([network.stem, *network.stages])
        self.head = between(network, f"stage{len(network.stages)}", ALL)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, d)`."""
        means = []
        for section in self.sections:
            x = section(x)
            means.append(x.mean((2, 3)) if x.ndim == 4 else x)
        return torch.cat([*means, self.head(x).flatten(1)], 1)
