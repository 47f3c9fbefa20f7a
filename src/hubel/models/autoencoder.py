"""Convolutional autoencoder: compresses an image into a few small maps, and reconstructs it from them.

The idea: Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks"; with convolutions:
Masci et al. 2011, "Stacked convolutional auto-encoders". The layers are those of the Keras tutorial "Building
autoencoders in Keras" (2016), with 4 maps in the middle: 28 -> 14 -> 7 -> 4 pixels, and back 8 -> 16 -> 14 -> 28, where
one convolution without padding turns 16 into 14.

The outputs are an image `(n, c, 28, 28)` of logits: their sigmoids are pixels from 0 to 1.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from hubel.models.variant import InputShape, Variant, computed
from hubel.nn.blocks import ConvNorm, Style
from hubel.nn.layers import check_choice, check_share, he_initialise
from hubel.nn.network import Network

_STYLE = Style("relu", norm=False)


@dataclass(frozen=True)
class AutoencoderLayout:
    """Options of decoder and regularisation."""

    decoder: str = "upsample"  # upsample: convolutions between repeated pixels; transpose: transposed convolutions
    dropout: float = 0.0  # probability that a pixel of the code is set to zero


def build(layout: AutoencoderLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout; `num_classes` is ignored."""
    check_choice("decoder", layout.decoder, ("upsample", "transpose"))
    check_share(dropout=layout.dropout)
    encoder = [
        nn.Sequential(ConvNorm(shape.channels, 16, 3, style=_STYLE), nn.MaxPool2d(2)),
        nn.Sequential(ConvNorm(16, 8, 3, style=_STYLE), nn.MaxPool2d(2)),
        nn.Sequential(ConvNorm(8, 4, 3, style=_STYLE), nn.MaxPool2d(2, ceil_mode=True), nn.Dropout(layout.dropout)),
    ]
    decoder = _upsampling() if layout.decoder == "upsample" else _transposed()
    if layout.decoder == "upsample":
        image: nn.Module = nn.Conv2d(16, shape.channels, 3, padding=1)
    else:
        image = nn.ConvTranspose2d(16, shape.channels, 3, 2, padding=1, output_padding=1)
    network = Network(nn.Identity(), [*encoder, *decoder], nn.Sequential(OrderedDict(image=image)))
    he_initialise(network)
    return network


def _upsampling() -> list[nn.Sequential]:
    """Build the upsampling decoder: 4 -> 8, 8 -> 16, 16 -> 14 -> 28 pixels."""

    def stage(in_channels: int, out_channels: int, padding: int) -> nn.Sequential:
        convolution = ConvNorm(in_channels, out_channels, 3, padding=padding, style=_STYLE)
        return nn.Sequential(convolution, nn.Upsample(scale_factor=2))

    return [stage(4, 4, 1), stage(4, 8, 1), stage(8, 16, 0)]


def _transposed() -> list[nn.Sequential]:
    """Build the decoder of transposed convolutions: 4 -> 7, 7 -> 14 pixels."""
    return [
        nn.Sequential(nn.ConvTranspose2d(4, 8, 3, 2, padding=1), nn.ReLU(inplace=True)),
        nn.Sequential(nn.ConvTranspose2d(8, 16, 3, 2, padding=1, output_padding=1), nn.ReLU(inplace=True)),
    ]


_CODE = {"stage1": (16, 14, 14), "stage2": (8, 7, 7), "stage3": (4, 4, 4)}

VARIANTS = {
    "autoencoder_28": Variant(
        AutoencoderLayout(),
        "convolutional autoencoder: upsampling, code of 64 values",
        InputShape(1, 28, 28),
        1,
        computed(
            "160 + 1,160 + 292 + 148 + 296 + 1,168 + 145 parameters",
            params=3_369,
            macs=712_224,
            maps={
                **_CODE,
                "stage4": (4, 8, 8),
                "stage5": (8, 16, 16),
                "stage6.block1": (16, 14, 14),
                "stage6": (16, 28, 28),
                "logits": (1, 28, 28),
            },
        ),
        fixed_size=True,
        augment="none",
        output="image",
    ),
    "autoencoder_28_transposed": Variant(
        AutoencoderLayout("transpose"),
        "convolutional autoencoder: transposed convolutions",
        InputShape(1, 28, 28),
        1,
        computed(
            "160 + 1,160 + 292 + 296 + 1,168 + 145 parameters",
            params=3_221,
            macs=442_080,
            maps={**_CODE, "stage4": (8, 7, 7), "stage5": (16, 14, 14), "logits": (1, 28, 28)},
        ),
        fixed_size=True,
        augment="none",
        output="image",
    ),
}
