"""Loading and the network, timed part by part: the bottleneck follows from the rates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hubel.core.errors import OptionError
from hubel.data.decoded import DecodedImages
from hubel.training import bottleneck
from hubel.training.bottleneck import LoadingSpeed, measure_loading
from hubel.training.recipe import Recipe

QUICK = Recipe(model="convnet", threads=1, loading_threads=1, size="16", weights="none")
FAST = LoadingSpeed(
    model="convnet",
    augment="auto",
    size=(16, 16),
    images=40,
    loading_threads=1,
    threads=1,
    decode=1000.0,
    augmented=500.0,
    cached=2000.0,
    network=100.0,
)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            picture = Image.fromarray(random.integers(0, 256, (40, 60, 3), np.uint8))
            picture.save(tmp_path / "photos" / name / f"{i}.png")
    return str(tmp_path / "photos")


def test_what_is_measured(photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(Path(photos).parent / "cache"))
    decoded: list[int] = []
    usual = DecodedImages.decoded
    monkeypatch.setattr(DecodedImages, "decoded", lambda self, p, size: decoded.append(p) or usual(self, p, size))
    seen: list[int] = []

    def rate(again, seconds: float) -> float:
        before = len(decoded)
        images = sum(again())
        seen.append(len(decoded) - before)
        return float(images)

    monkeypatch.setattr(bottleneck, "_rate", rate)
    found = measure_loading(photos, QUICK)
    train = 28  # of 40: 4 of each class test, 2 validate
    assert found.images == train
    assert (found.decode, found.augmented, found.cached) == (train, train, train)
    assert found.network > 0
    assert seen[0] == seen[1] == train, "what is not kept is decoded each time"
    assert seen[2] == 0, "what is kept is not"


@pytest.mark.parametrize("augment", ["none", "standard", "strong"])
def test_rates_are_finite(photos: str, augment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(Path(photos).parent / "cache"))
    found = measure_loading(photos, dataclasses.replace(QUICK, augment=augment), seconds=0.02)
    assert all(0 < rate < np.inf for rate in (found.decode, found.augmented, found.cached, found.network))
    assert found.to_json()["cached_images_per_second"] == round(found.cached, 1)


def test_the_verdict() -> None:
    assert FAST.bottleneck.startswith(
        "the network is the bottleneck: it trains on 100 images/s, 5% of the 2,000 images/s"
    )
    assert dataclasses.replace(FAST, network=9000.0).bottleneck.startswith("loading is the bottleneck: 2,000 images/s")


def test_mistakes(photos: str) -> None:
    with pytest.raises(OptionError, match=r"--seconds is at least 0\.001, not 0"):
        measure_loading(photos, QUICK, seconds=0)
    with pytest.raises(OptionError, match="stores the images"):
        measure_loading(photos, dataclasses.replace(QUICK, model="knn"), seconds=0.01)
