"""What feeds a network, timed part by part: the parts are what a training uses, the verdict follows from the rates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hubel.core.errors import OptionError
from hubel.data.pictures import Pictures
from hubel.training import feeding
from hubel.training.feeding import Feeding, measure_feeding
from hubel.training.recipe import Recipe

QUICK = Recipe(model="convnet", threads=1, loading_threads=1, size="16", weights="none")
FAST = Feeding("convnet", "auto", (16, 16), 40, 1, 1, 1000.0, 500.0, 2000.0, 100.0)


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
    usual = Pictures.decoded
    monkeypatch.setattr(Pictures, "decoded", lambda self, p, size: decoded.append(p) or usual(self, p, size))
    seen: list[int] = []

    def rate(again, seconds: float) -> float:
        before = len(decoded)
        images = sum(again())
        seen.append(len(decoded) - before)
        return float(images)

    monkeypatch.setattr(feeding, "_rate", rate)
    found = measure_feeding(photos, QUICK)
    train = 28  # of 40: 4 of each class measure, 2 choose
    assert found.images == train
    assert (found.decode, found.augmented, found.kept) == (train, train, train)
    assert found.network > 0
    assert seen[0] == seen[1] == train, "what is not kept is decoded each time"
    assert seen[2] == 0, "what is kept is not"


@pytest.mark.parametrize("augment", ["none", "standard", "strong"])
def test_rates_are_finite(photos: str, augment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(Path(photos).parent / "cache"))
    found = measure_feeding(photos, dataclasses.replace(QUICK, augment=augment), seconds=0.02)
    assert all(0 < rate < np.inf for rate in (found.decode, found.augmented, found.kept, found.network))
    assert found.to_json()["kept_images_per_second"] == round(found.kept, 1)


def test_the_verdict() -> None:
    assert FAST.brake.startswith("the network is the brake: it learns from 100 of 2,000 images/s")
    assert dataclasses.replace(FAST, network=9000.0).brake.startswith("feeding is the brake: 2,000 images/s")


def test_mistakes(photos: str) -> None:
    with pytest.raises(OptionError, match="--seconds is above 0, not 0"):
        measure_feeding(photos, QUICK, seconds=0)
    with pytest.raises(OptionError, match="remembers the images"):
        measure_feeding(photos, dataclasses.replace(QUICK, model="knn"), seconds=0.01)
