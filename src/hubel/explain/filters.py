"""What units look for: the first layer's weights, and images that excite deeper units (activation maximisation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.core.random import permutation, uniform
from hubel.data.loading import blank_input
from hubel.data.preprocess import Preprocess
from hubel.explain.faithfulness import blurred
from hubel.explain.layer import before_activation, maps_at, section_names
from hubel.explain.untouched import untouched
from hubel.inference.device import device_of
from hubel.inference.predictor import Predictor
from hubel.plots.tiles import Row, Tile, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_picture", "draw_filters", "first_filters", "maximise"]

_SIDE = 112  # pixels of an image that excites a unit, at the most
_JITTER = 14  # pixels, for 112
_BLUR_EACH, _BLUR = 2, 0.9  # steps; pixels, for 112
_STEP = 0.1  # of the network's input, whose standard deviation is about 1
_FEWER = 32  # steps for a picture of all sections
_SMALL = 0.4  # of the first layer's filters, of which there are many
_IN_A_ROW, _MOST = 14, 98


def first_filters(network: nn.Module) -> NDArray[np.float32]:
    """Weights `(out, in, h, w)` of the first convolution.

    Raises:
        OptionError: there is none.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().float().cpu().numpy()
    raise OptionError("the network has no convolution, and so no filters; --templates may have something to show")


def maximise(
    network: nn.Module,
    preprocess: Preprocess,
    units: Sequence[int],
    layer: str | None = None,
    *,
    steps: int = 56,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Images that excite units as much as possible (Erhan et al. 2009, "Visualizing higher-layer features").

    Gradient ascent from faint noise. What keeps the images from being noise themselves: the image moves about by some
    pixels at each step (Mordvintsev et al. 2015, "Inceptionism"), is blurred now and then (Yosinski et al. 2015,
    arXiv:1506.06579, Section 3), and each gradient's frequencies are scaled as those of photos are, by 1 / f
    (Olah et al. 2017, "Feature visualization", "preconditioning").

    Args:
        network: any network, which stays as it is.
        preprocess: tells the colours that an image can have, and the size.
        units: channels of the layer, or class numbers.
        layer: a name among `layer_names`; the logits if not given. A unit of a layer is excited everywhere at once.
        steps: of the ascent.
        seed: of the noise and the moves.

    Returns:
        uint8 `(n, h, w, c)`; of a layer, at most 112 pixels each way.
    """
    h, w = preprocess.height, preprocess.width
    if layer is not None or _takes(network, preprocess, _SIDE):
        h, w = min(h, _SIDE), min(w, _SIDE)
    shape = len(units), preprocess.channels, h, w
    device = device_of(network)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (preprocess.mean, preprocess.std))
    noise = uniform(seed, np.arange(np.prod(shape))).reshape(shape)
    chosen = torch.as_tensor(list(units), device=device)
    moves = np.rint((uniform(seed, np.arange(steps)[:, None], np.arange(2)) * 2 - 1) * _JITTER * min(h, w) / _SIDE)
    with untouched(network) as quiet:
        x = ((torch.from_numpy(noise).float().to(device) * 0.1 + 0.45) - mean) / std
        for step, (down, across) in enumerate(moves.astype(int).tolist()):
            moved = x.roll((down, across), (2, 3)).requires_grad_()
            excited = _excitement(quiet, moved.clone(), chosen, layer)
            gradient = torch.autograd.grad(excited, moved)[0].roll((-down, -across), (2, 3))
            with torch.no_grad():
                gradient = _as_in_photos(gradient)
                x = x + _STEP * gradient / gradient.std((1, 2, 3), keepdim=True).clamp_min(1e-12)
                if step % _BLUR_EACH == _BLUR_EACH - 1 and step < steps - 1:
                    x = blurred(x, _BLUR * min(h, w) / _SIDE)
                x = x.maximum(-mean / std).minimum((1 - mean) / std)
        pixels = (x * std + mean).mul(255).round().byte()
        return pixels.permute(0, 2, 3, 1).cpu().numpy()


def as_picture(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Weights `(c, h, w)` as uint8 `(h, w)` or RGB `(h, w, 3)`, grey where they are zero; of other c, their mean."""
    values = weights.transpose(1, 2, 0) if len(weights) == 3 else weights.mean(0)
    most = float(np.abs(values).max()) or 1.0
    return np.asarray(np.rint(127.5 * (1 + values / most)), np.uint8)


def draw_filters(predictor: Predictor, layer: str | None = None, *, units: int = 6) -> Figure:
    """The first layer's filters, and for each section of the network some units with images that excite them.

    Args:
        predictor: a trained model, which stays as it is.
        layer: a name among `layer_names`, to see three times as many units of this layer only.
        units: how many of each section, drawn at random, always the same.
    """
    network, preprocess = predictor.network, predictor.card.preprocess
    x = blank_input(preprocess, device_of(network))
    first = first_filters(network)
    rows = []
    if layer is None:
        painted = [Tile(as_picture(weights)) for weights in first[:_MOST]]
        kind = "x".join(map(str, first.shape[:0:-1]))
        label = f"first convolution: weights of {len(painted)} of {len(first)} filters of {kind}"
        parts = [painted[start : start + _IN_A_ROW] for start in range(0, len(painted), _IN_A_ROW)]
        rows = [Row(part, "" if place else label, _SMALL) for place, part in enumerate(parts)]
    with untouched(network) as quiet, torch.no_grad():
        sizes = {n: m.shape[1] for n, m in maps_at(quiet, x, [layer] if layer else section_names(quiet, x)).items()}
    for name, channels in sizes.items():
        some = sorted(permutation(channels, 0)[: 3 * units if layer else units].tolist())
        images = maximise(network, preprocess, some, name, steps=_FEWER)
        painted = [Tile(image, f"{name}:{unit}") for image, unit in zip(images, some, strict=True)]
        parts = [painted[start : start + units] for start in range(0, len(painted), units)]
        label = f"{name}: images that excite {len(some)} of {channels} units"
        rows += [Row(part, "" if place else label) for place, part in enumerate(parts)]
    return tiles(rows, "What units look for", size=1.1)


def _takes(network: nn.Module, preprocess: Preprocess, side: int) -> bool:
    """Whether a network gives logits for images of another size than its own."""
    device = device_of(network)
    with untouched(network) as quiet, torch.no_grad():
        try:
            quiet(torch.zeros(1, preprocess.channels, side, side, device=device))
        except (RuntimeError, ValueError):
            return False
    return True


def _excitement(network: nn.Module, x: Tensor, units: Tensor, layer: str | None) -> Tensor:
    """The sum of what each image is to excite: its logit, or the mean of its map."""
    out = network(x) if layer is None else before_activation(network, x, layer).mean((2, 3))
    return out.gather(1, units[:, None]).sum()


def _as_in_photos(gradient: Tensor) -> Tensor:
    """A gradient `(n, c, h, w)` with its frequencies scaled by 1 / f, the lowest as the lowest but one."""
    h, w = gradient.shape[2:]
    down, across = torch.fft.fftfreq(h).to(gradient), torch.fft.rfftfreq(w).to(gradient)
    frequency = (down[:, None].square() + across.square()).sqrt().clamp_min(1 / max(h, w))
    scaled: Tensor = torch.fft.irfft2(torch.fft.rfft2(gradient) / frequency, s=(h, w))
    return scaled
