"""The package as a whole: its names, its promises about imports, its rules about pickles."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hubel

SOURCES = sorted(Path(hubel.__file__).parent.rglob("*.py"))
MODULES = [info.name for info in pkgutil.walk_packages(hubel.__path__, "hubel.")]


def test_all_is_complete() -> None:
    assert sorted(hubel.__all__) == hubel.__all__ == dir(hubel)
    assert set(hubel._HOMES) | {"__version__"} == set(hubel.__all__)
    text = Path(hubel.__file__).read_text(encoding="utf-8")
    stated = set(re.findall(r"from (\S+) import (\w+) as \2", text))
    assert stated == {(home, name) for name, home in hubel._HOMES.items()}


@pytest.mark.parametrize("name", hubel.__all__)
def test_names_resolve(name: str) -> None:
    value = getattr(hubel, name)
    if name != "__version__":
        assert value.__module__ == hubel._HOMES[name]
        assert value.__doc__


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'hubel' has no attribute 'nonsense'"):
        hubel.nonsense  # noqa: B018


def test_importing_is_instant() -> None:
    script = "import sys, hubel; print(sorted({'torch', 'numpy', 'PIL', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


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
