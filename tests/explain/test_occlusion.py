"""Occlusion sensitivity against a loop over single squares."""

from __future__ import annotations

import pytest
import torch
from small_networks import noise, predictor

from hubel.explain import occlusion as module
from hubel.explain.occlusion import occlusion_sensitivity

TARGETS = torch.tensor([0, 2, 1])


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (5, 3), (16, 1), (3, 7), (40, 40)])
@pytest.mark.parametrize("exclusive", [True, False])
def test_plain_loop(window: int, stride: int, exclusive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIXELS_PER_BATCH", 5 * 16 * 20)  # five squares at once, so that some are left over
    network, x = predictor().network, noise(3, 20)[:, :, 2:18]

    def score(image: torch.Tensor, target: int) -> torch.Tensor:
        logits = network(image[None])[0]
        return (logits.log_softmax(0) if exclusive else logits)[target]

    found = occlusion_sensitivity(network, x, TARGETS, window=window, stride=stride, exclusive=exclusive)
    for image, target, ours in zip(x, TARGETS.tolist(), found, strict=True):
        total, times = torch.zeros(16, 20), torch.zeros(16, 20)
        with torch.no_grad():
            whole = score(image, target)
            tops = sorted({*range(0, max(0, 16 - window), stride), max(0, 16 - window)})
            lefts = sorted({*range(0, max(0, 20 - window), stride), max(0, 20 - window)})
            for top in tops:
                for left in lefts:
                    covered = image.clone()
                    covered[:, top : top + window, left : left + window] = 0
                    total[top : top + window, left : left + window] += whole - score(covered, target)
                    times[top : top + window, left : left + window] += 1
        expected = torch.where(times > 0, total / times.clamp_min(1), 0)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_only_what_matters_counts() -> None:
    class Corner(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, :4, :4].mean((2, 3))

    found = occlusion_sensitivity(
        Corner(), torch.ones(1, 3, 16, 16), torch.tensor([1]), window=4, stride=4, exclusive=False
    )
    assert found[0, :4, :4].min() == 1
    assert found[0, 4:].abs().max() == found[0, :, 4:].abs().max() == 0
