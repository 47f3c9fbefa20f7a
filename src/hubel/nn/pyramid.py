"""Feature pyramids: maps of all strides that each know what the coarser ones have seen."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FeaturePyramid"]


class FeaturePyramid(nn.Module):
    """A feature pyramid. Lin et al. 2017, "Feature pyramid networks for object detection", arXiv:1612.03144, Section 3.

    A 1x1 convolution gives each map of the backbone the same number of channels; from the coarsest one down, each is
    added to the next finer one, enlarged twice (nearest neighbour); a 3x3 convolution ends each level. Coarser levels
    are made from the last one by 3x3 convolutions of stride 2 (Tian et al. 2019, Section 3.2: from P5, not from C5).

    Args:
        in_channels: of the maps of the backbone, the finest first.
        width: channels of all levels.
        extra: coarser levels.
    """

    def __init__(self, in_channels: Sequence[int], width: int, extra: int = 1) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in in_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in in_channels)
        self.extra = nn.ModuleList(nn.Conv2d(width, width, 3, 2, padding=1) for _ in range(extra))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels `(n, width, ...)` of maps `(n, c, ...)` of a backbone, the finest first."""
        sums = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        for finer in range(len(sums) - 2, -1, -1):
            sums[finer] = sums[finer] + F.interpolate(sums[finer + 1], sums[finer].shape[2:], mode="nearest")
        levels = [smooth(x) for smooth, x in zip(self.smooth, sums, strict=True)]
        for shrink in self.extra:
            levels.append(shrink(F.relu(levels[-1]) if len(levels) > len(maps) else levels[-1]))
        return levels
