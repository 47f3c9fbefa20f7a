"""Activation maximisation: images that maximise units or class logits, by gradient ascent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.random import uniform
from hubel.data.preprocess import Preprocess
from hubel.explain.faithfulness import gaussian_blur
from hubel.explain.layers import before_activation
from hubel.explain.untouched import untouched
from hubel.inference.device import device_of

__all__ = ["maximise_activation"]

_SIDE = 112  # largest side in pixels of an image for a unit of a layer
_JITTER = 14  # pixels, at a side of 112
_BLUR_EVERY, _BLUR = 2, 0.9  # steps; sigma in pixels, at a side of 112
_STEP = 0.1  # of the network's input, whose standard deviation is about 1


def maximise_activation(
    network: nn.Module,
    preprocess: Preprocess,
    units: Sequence[int],
    layer: str | None = None,
    *,
    steps: int = 56,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Return images that maximise units (Erhan et al. 2009, "Visualizing higher-layer features of a deep network").

    Gradient ascent from faint noise. Three regularisers suppress high-frequency noise: the image is jittered by a few
    pixels at each step (Mordvintsev et al. 2015, "Inceptionism"), blurred every second step (Yosinski et al. 2015,
    arXiv:1506.06579, Section 3), and the spectrum of each gradient is scaled by 1 / f, as in photographs (Olah et al.
    2017, "Feature visualization", "preconditioning").

    Args:
        network: any network, which is left unchanged.
        preprocess: normalisation, which bounds the pixel values, and the input size.
        units: channels of the layer, or class numbers.
        layer: a name among `layer_names`; the logits if not given. The mean of a channel's map is maximised.
        steps: steps of the ascent.
        seed: of the initial noise and the jitter.

    Returns:
        uint8 `(n, h, w, c)`; for units of a layer, at most 112 pixels each way.
    """
    h, w = preprocess.height, preprocess.width
    if layer is not None or _accepts_side(network, preprocess, _SIDE):
        h, w = min(h, _SIDE), min(w, _SIDE)
    shape = len(units), preprocess.channels, h, w
    device = device_of(network)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (preprocess.mean, preprocess.std))
    noise = uniform(seed, np.arange(np.prod(shape))).reshape(shape)
    unit_numbers = torch.as_tensor(list(units), device=device)
    jitter = np.rint((uniform(seed, np.arange(steps)[:, None], np.arange(2)) * 2 - 1) * _JITTER * min(h, w) / _SIDE)
    with untouched(network) as frozen:
        x = ((torch.from_numpy(noise).float().to(device) * 0.1 + 0.45) - mean) / std
        for step, (down, across) in enumerate(jitter.astype(int).tolist()):
            jittered = x.roll((down, across), (2, 3)).requires_grad_()
            activation = _sum_of_activations(frozen, jittered.clone(), unit_numbers, layer)
            gradient = torch.autograd.grad(activation, jittered)[0].roll((-down, -across), (2, 3))
            with torch.no_grad():
                gradient = _with_natural_spectrum(gradient)
                x = x + _STEP * gradient / gradient.std((1, 2, 3), keepdim=True).clamp_min(1e-12)
                if step % _BLUR_EVERY == _BLUR_EVERY - 1 and step < steps - 1:
                    x = gaussian_blur(x, _BLUR * min(h, w) / _SIDE)
                x = x.maximum(-mean / std).minimum((1 - mean) / std)
        pixels = (x * std + mean).mul(255).round().byte()
        return pixels.permute(0, 2, 3, 1).cpu().numpy()


def _accepts_side(network: nn.Module, preprocess: Preprocess, side: int) -> bool:
    """Return whether a network runs on images of `side` by `side` pixels."""
    device = device_of(network)
    with untouched(network) as frozen, torch.no_grad():
        try:
            frozen(torch.zeros(1, preprocess.channels, side, side, device=device))
        except (RuntimeError, ValueError):
            return False
    return True


def _sum_of_activations(network: nn.Module, x: Tensor, units: Tensor, layer: str | None) -> Tensor:
    """Return the sum over images of each one's own unit: its logit, or the mean of its map."""
    activations = network(x) if layer is None else before_activation(network, x, layer).mean((2, 3))
    return activations.gather(1, units[:, None]).sum()


def _with_natural_spectrum(gradient: Tensor) -> Tensor:
    """Scale the frequencies of a gradient `(n, c, h, w)` by 1 / f; the constant term like the lowest frequency."""
    h, w = gradient.shape[2:]
    down, across = torch.fft.fftfreq(h).to(gradient), torch.fft.rfftfreq(w).to(gradient)
    frequency = (down[:, None].square() + across.square()).sqrt().clamp_min(1 / max(h, w))
    scaled: Tensor = torch.fft.irfft2(torch.fft.rfft2(gradient) / frequency, s=(h, w))
    return scaled
