"""The package as a whole: its names, its promises about imports, its rules about pickles."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import hubel

SOURCES = sorted(Path(hubel.__file__).parent.rglob("*.py"))
MODULES = [info.name for info in pkgutil.walk_packages(hubel.__path__, "hubel.")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_sources(path: Path) -> None:
    """No pickle anywhere, whatever it is called; every module says what it is; none is long."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no docstring"
    assert len(text.splitlines()) <= 300
    assert not re.search(r"^\s*(import|from)\s+(pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b", text, re.M)
    # One place opens strangers' files, and it never runs what is in them.
    loads = re.findall(r"torch\.load\(.*", text)
    assert all("weights_only=True" in load for load in loads)
    assert len(loads) == (path.name == "foreign.py")
    assert "weights_only=False" not in text
    assert "allow_pickle=True" not in text


@pytest.mark.parametrize("name", [name for name in MODULES if name != "hubel.__main__"])
def test_modules_export_what_they_have(name: str) -> None:
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", []):
        assert hasattr(module, exported), exported
