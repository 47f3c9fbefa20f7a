"""CLIP's text tower: a transformer whose last token stands for the sentence.

Radford et al. 2021, arXiv:2103.00020, Section 2.4: "a 63M-parameter 12-layer 512-wide model with 8 attention heads",
with layer norm before each part (Radford et al. 2019, "Language models are unsupervised multitask learners"), over
byte pairs of lower-cased text, at most 76 of them between the tokens of start and end. Attention is causal, so that
only the last token has seen all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.nn.layers import check_depth, check_positive

__all__ = ["TextLayout", "TextTransformer"]


@dataclass(frozen=True, kw_only=True)
class TextLayout:
    """Columns of Table 19, and what the paper has in words.

    Attributes:
        layers: blocks.
        width: of the residual stream.
        heads: of each attention.
        embedding: length of the output.
        vocabulary: number of tokens.
        context: the most tokens of a text, those of start and end included.
        quick_gelu: approximate GELU as x sigmoid(1.702 x), as the weights of the paper need it.
    """

    layers: int = 12
    width: int = 512
    heads: int = 8
    embedding: int = 1024
    vocabulary: int = 49408
    context: int = 77
    quick_gelu: bool = False

    def __post_init__(self) -> None:
        names = ("layers", "width", "heads", "embedding", "vocabulary", "context")
        check_positive(**{name: getattr(self, name) for name in names})
        check_depth([self.layers])
        if self.width % self.heads:
            raise OptionError(f"{self.heads} heads do not divide a width of {self.width}")


class TextBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)) with four times the width inside."""

    def __init__(self, layout: TextLayout) -> None:
        super().__init__()
        width = layout.width
        self.heads, self.quick_gelu = layout.heads, layout.quick_gelu
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, t, width)` to the same shape."""
        n, t, width = x.shape
        parts = self.query_key_value(self.norm1(x)).view(n, t, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.project(seen.transpose(1, 2).reshape(n, t, width))
        wide = self.widen(self.norm2(x))
        narrow: Tensor = self.narrow(wide * torch.sigmoid(1.702 * wide) if self.quick_gelu else F.gelu(wide))
        return x + narrow


class TextTransformer(nn.Module):
    """The text tower.

    Args:
        layout: its sizes.
    """

    def __init__(self, layout: TextLayout) -> None:
        super().__init__()
        self.layout = layout
        self.tokens = nn.Embedding(layout.vocabulary, layout.width)
        self.positions = nn.Parameter(torch.randn(layout.context, layout.width) * 0.01)
        self.blocks = nn.Sequential(*(TextBlock(layout) for _ in range(layout.layers)))
        self.norm = nn.LayerNorm(layout.width)
        self.projection = nn.Parameter(torch.randn(layout.width, layout.embedding) * layout.width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens int64 `(n, t)`, t at most the context, to `(n, embedding)`.

        The token of the end is the largest number of a text; whatever follows it changes nothing.
        """
        x = self.blocks(self.tokens(tokens) + self.positions[: tokens.shape[1]])
        last = x[torch.arange(len(x), device=x.device), tokens.argmax(1)]
        vectors: Tensor = self.norm(last) @ self.projection
        return vectors
