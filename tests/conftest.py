"""What every test has: a cache of its own, so that no test depends on another; and reports without figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # for `peers`, `pages`, `small_card`, `stopping`, which `--import-mode=importlib` does not arrange


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
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
