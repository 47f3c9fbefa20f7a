"""One thread, a pretrained network that needs no download, and the import path of `small_networks`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import hubel
from hubel.inference.predictor import Predictor

sys.path.insert(0, str(Path(__file__).parent))  # which `--import-mode=importlib` does not arrange

IMAGENET = Path(__file__).parents[3] / "shared" / "data" / "imagenet-100"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def lite0() -> Predictor:
    return hubel.load("efficientnet_lite0", device="cpu")


@pytest.fixture(scope="session")
def imagenet() -> list[Path]:
    """Return twenty photos of one object each, all of different classes."""
    if not IMAGENET.is_dir():
        pytest.skip("needs ../shared/data/imagenet-100")
    return sorted(IMAGENET.glob("*.JPEG"))[2::5][:20]
