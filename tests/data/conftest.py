"""Test modules import `picture_files` from beside them, which `--import-mode=importlib` does not arrange."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data sets, which lie beside the repository where there are any."""
    return Path(__file__).parents[3] / "shared" / "data"
