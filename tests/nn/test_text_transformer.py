"""The text tower of CLIP beside torch's own transformer, and the attention pooling beside torch's own attention."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model
from hubel.models.clip_resnet import AttentionPool
from hubel.nn.text_transformer import TextLayout, TextTransformer

SMALL = TextLayout(layers=2, width=32, heads=4, embedding=16, vocabulary=50, context=12)


def tower(layout: TextLayout = SMALL) -> TextTransformer:
    torch.manual_seed(0)
    made = TextTransformer(layout).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3)
    return made


def reference(ours: TextTransformer, tokens: torch.Tensor) -> torch.Tensor:
    """The same by `nn.TransformerEncoderLayer`, whose weights are ours."""
    x = ours.tokens.weight[tokens] + ours.positions[: tokens.shape[1]]
    mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
    for block in ours.blocks:
        layer = nn.TransformerEncoderLayer(
            32, 4, 128, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        ).eval()
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": block.query_key_value.weight,
                "self_attn.in_proj_bias": block.query_key_value.bias,
                "self_attn.out_proj.weight": block.project.weight,
                "self_attn.out_proj.bias": block.project.bias,
                "linear1.weight": block.widen.weight,
                "linear1.bias": block.widen.bias,
                "linear2.weight": block.narrow.weight,
                "linear2.bias": block.narrow.bias,
                "norm1.weight": block.norm1.weight,
                "norm1.bias": block.norm1.bias,
                "norm2.weight": block.norm2.weight,
                "norm2.bias": block.norm2.bias,
            }
        )
        x = layer(x, src_mask=mask)
    last = torch.stack([x[i, int(tokens[i].argmax())] for i in range(len(tokens))])
    return F.layer_norm(last, (32,), ours.norm.weight, ours.norm.bias) @ ours.projection


@torch.no_grad()
def test_it_is_torchs_transformer() -> None:
    ours = tower()
    tokens = torch.tensor([[3, 7, 1, 9, 49, 0], [3, 2, 49, 0, 0, 0], [3, 49, 4, 4, 4, 4]])
    torch.testing.assert_close(ours(tokens), reference(ours, tokens), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_nothing_after_the_end_counts() -> None:
    ours = tower()
    short, long = torch.tensor([[3, 8, 49]]), torch.tensor([[3, 8, 49, 5, 6, 0, 0]])
    torch.testing.assert_close(ours(short), ours(long))
    assert not torch.allclose(ours(short), ours(torch.tensor([[3, 9, 49]])))


@torch.no_grad()
def test_both_forms_of_gelu_differ() -> None:
    layout = TextLayout(layers=2, width=32, heads=4, embedding=16, vocabulary=50, context=12, quick_gelu=True)
    tokens = torch.tensor([[3, 8, 49]])
    exact, quick = tower()(tokens), tower(layout)(tokens)
    assert 1e-4 < (exact - quick).abs().max() < 0.3 * exact.abs().max()


def test_heads_divide_the_width() -> None:
    with pytest.raises(OptionError, match="5 heads do not divide a width of 32"):
        TextLayout(width=32, heads=5)
    with pytest.raises(OptionError, match="layers is above 0, not 0"):
        TextLayout(layers=0)


@torch.no_grad()
def test_pooling_is_torchs_attention() -> None:
    """Query: the mean, in front of the places; its answer alone is taken."""
    torch.manual_seed(1)
    pool, out = AttentionPool(128, 6), nn.Linear(128, 40)
    x = torch.randn(3, 128, 2, 3)
    places = torch.cat([x.mean((2, 3))[None], x.flatten(2).permute(2, 0, 1)]) + pool.positions[:, None]
    theirs, _ = F.multi_head_attention_forward(
        places, places, places, 128, 2, None, torch.cat([pool.query.bias, pool.key.bias, pool.value.bias]),
        None, None, False, 0.0, out.weight, out.bias, training=False, need_weights=False,
        use_separate_proj_weight=True, q_proj_weight=pool.query.weight, k_proj_weight=pool.key.weight,
        v_proj_weight=pool.value.weight,
    )  # fmt: skip
    torch.testing.assert_close(out(pool(x)), theirs[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (70, 51)])
def test_any_size_has_its_positions(size: tuple[int, int]) -> None:
    network = build_model("clip_resnet50", input_size=size, options={"depths": "1,1,1,1", "width": 4}).eval()
    assert network(torch.randn(1, 3, *size)).shape == (1, 1024)
