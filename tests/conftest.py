"""What every test has: a cache of its own, so that no test depends on another; and reports without figures."""

from __future__ import annotations

import gc
import itertools
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # for `peers`, `pages`, `small_card`, `stopping`, which `--import-mode=importlib` does not arrange


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected, nor ever again among the 1.4 million objects that they leave."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield folders for caches: pytest looks at all earlier ones before it makes one, for which 8,000 are too many."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_cache(caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = next(caches)
    cache.mkdir()
    monkeypatch.setenv("HUBEL_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session", autouse=True)
def plain_reports() -> Iterator[dict[str, Any]]:
    """Leave the figures out of reports: they take most of the time of a small run. `drawn` leaves them in.

    Returns:
        What draws them, by its name.
    """
    names = ("hubel.evaluation.write._figures", "hubel.training.run_report._drawings")
    drawing = {name: resolve_name(name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(name, lambda *_: [])
        yield drawing


@pytest.fixture
def drawn(plain_reports: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures in the reports of this test."""
    for name, function in plain_reports.items():
        monkeypatch.setattr(name, function)
