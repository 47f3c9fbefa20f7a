"""What every test has: a cache of its own, and one thread, so that no test depends on the machine or on another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # for `peers`, `pages`, `small_card`, `stopping`, which `--import-mode=importlib` does not arrange


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HUBEL_CACHE", str(cache))
    return cache
