"""Insertion and deletion separate good maps from bad ones; every CAM beats the controls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from small_networks import noise, pixels, predictor
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.explain.comparison import compare_methods
from hubel.explain.faithfulness import CONTROLS, deletion, gaussian_blur, insertion
from hubel.explain.methods import METHODS
from hubel.inference.predictor import Predictor


class Spot(nn.Module):
    """Scores class 0 by the brightness of a square in the corner; its outputs are scores without softmax."""

    def forward(self, x: Tensor) -> Tensor:
        white = x[:, :, :8, :8].mean((1, 2, 3))
        return torch.stack([white, 1 - white], 1)


def image() -> Tensor:
    x = torch.zeros(1, 3, 32, 32)
    x[:, :, :8, :8] = 1
    return x


def areas(values: Tensor, steps: int = 32) -> tuple[float, float]:
    target = torch.tensor([0])
    found = (f(Spot(), image(), target, values[None], steps=steps, score=lambda p: p) for f in (insertion, deletion))
    one, other = (float(area) for area in found)
    return one, other


def test_areas_of_known_maps() -> None:
    """The square is a sixteenth of the image: two steps of 32, in which it appears or disappears evenly."""
    right = image()[0, 0]
    inserted, deleted = areas(right)
    assert deleted == pytest.approx(1 / 32)  # a triangle of the base 2 / 32
    assert inserted > 0.98
    inserted, deleted = areas(-right)
    assert deleted == pytest.approx(1 - 1 / 32)
    assert inserted < 0.9
    _, deleted = areas(torch.zeros(32, 32))  # in no order: half of it
    assert deleted == pytest.approx(0.5, abs=0.05)


def test_every_pixel_comes_once() -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.clone())
            return torch.zeros(len(x), 2)

    x = noise(1)
    deletion(Watching(), x, torch.tensor([0]), torch.zeros(1, 16, 16), steps=8)
    frames = torch.cat(seen)
    assert len(frames) == 9
    assert torch.equal(frames[0], x[0])
    assert [int((frame[0] == 0).sum()) for frame in frames] == [32 * step for step in range(9)]


def test_blur_against_scipy() -> None:
    x = noise(2, 40)
    expected = gaussian_filter(x.double().numpy(), (0, 0, 2.0, 2.0), mode="nearest", radius=(0, 0, 6, 6))
    torch.testing.assert_close(gaussian_blur(x, 2.0).double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


def test_controls() -> None:
    x, targets = noise(3, 32), torch.zeros(3, dtype=torch.int64)
    middle = CONTROLS["centred Gaussian"](nn.Identity(), x, targets, None)
    assert divmod(int(middle[0].argmax()), 32) in {(r, c) for r in (15, 16) for c in (15, 16)}
    random = CONTROLS["random map"](nn.Identity(), x, targets, None)
    assert random.shape == middle.shape == (3, 32, 32)
    assert not torch.allclose(random[0], random[1])
    assert torch.equal(random[1:2], CONTROLS["random map"](nn.Identity(), x[1:2], targets[1:2], None))


def test_comparison_leaves_out_what_cannot_explain() -> None:
    rows = compare_methods(predictor(), pixels(2))
    assert [row.method for row in rows] == [*METHODS, *CONTROLS]
    assert all(len(row.shown) == 2 and 0 <= row.insertion <= 1 and 0 <= row.deletion <= 1 for row in rows)
    rows = compare_methods(predictor(average="false"), pixels(1))
    assert [row.method for row in rows] == [*(name for name in METHODS if name != "cam"), *CONTROLS]
    with pytest.raises(OptionError, match="at least one image"):
        compare_methods(predictor(), np.empty((0, 16, 16, 3), np.uint8))


@pytest.mark.slow
def test_every_cam_beats_maps_that_know_nothing(lite0: Predictor, imagenet: list[Path]) -> None:
    rows = compare_methods(lite0, imagenet, methods=["gradcam", "gradcam++", "layercam", "eigencam", "cam"])
    for row in rows:
        print(f"{row.method:18} insertion {row.insertion:.3f} deletion {row.deletion:.3f} {row.ms:6.0f} ms")
    found = {row.method: row.insertion for row in rows}
    for method in found.keys() - CONTROLS.keys():
        assert found[method] > max(found[control] for control in CONTROLS), method
