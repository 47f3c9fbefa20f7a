"""What every test has: a cache of its own, so that no test depends on another; and reports without figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubel.plots.png import to_png
from hubel.plots.style import canvas

sys.path.insert(
    0, str(Path(__file__).parent)
)  # for `peers`, `pages`, `small_card`, `stopping`, which `--import-mode=importlib` does not arrange


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HUBEL_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session", autouse=True)
def plain_reports() -> Iterator[None]:
    """Put a dot in the place of each figure of a report: to draw them takes most of a small run's time."""
    dot = to_png(canvas(0.1, 0.1, layout=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hubel.evaluation.write.to_png", lambda figure: dot)
        yield


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the figures of reports after all."""
    monkeypatch.setattr("hubel.evaluation.write.to_png", to_png)
