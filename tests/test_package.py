"""The sources as a whole: their rules about pickles; what they look like is ruff's."""

from __future__ import annotations

import re
from pathlib import Path

import hubel

SOURCES = sorted(Path(hubel.__file__).parent.rglob("*.py"))


def test_nothing_unpickles() -> None:
    """No pickle anywhere; one place opens strangers' files, and never runs what is in them."""
    assert len(SOURCES) > 200
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        pickles = r"^\s*(import|from)\s+(pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b"
        assert not re.search(pickles, text, re.MULTILINE), path
        loads = re.findall(r"torch\.load\(.*", text)
        assert all("weights_only=True" in load for load in loads), path
        assert len(loads) == 2 * (path.name == "weight_file.py"), path
        assert "weights_only=False" not in text, path
        assert "allow_pickle=True" not in text, path
