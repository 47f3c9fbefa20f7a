"""The shape that every network here has: a stem, stages of blocks, a head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["Network"]


class Network(nn.Module):
    """An image classifier: `head(stages(stem(x)))`.

    Args:
        stem: what meets the image first; `nn.Identity()` where there is none.
        stages: each a sequence of blocks; a stage keeps one resolution.
        head: what turns the last map into one number for each class.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Sequential], head: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Images `(n, c, h, w)`, normalised, to logits `(n, classes)`."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Every named intermediate map of images `(n, c, h, w)`: "stem", "stage1.block1", "stage1", ..., "logits"."""
        x = self.stem(x)
        named = {"stem": x}
        for s, stage in enumerate(self.stages, start=1):
            assert isinstance(stage, nn.Sequential)
            for b, block in enumerate(stage, start=1):
                x = block(x)
                named[f"stage{s}.block{b}"] = x
            named[f"stage{s}"] = x
        named["logits"] = self.head(x)
        return named
