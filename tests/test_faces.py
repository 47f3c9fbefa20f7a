"""The public interface: the names that `hubel` and its faces declare; the documentation imports no others."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import hubel

ROOT = Path(__file__).parents[1]
ROOMS = """analysis audit data evaluation explain export features inference metrics models retrieval studio tasks teach
training weights"""
FACES = ["hubel", *(f"hubel.{room}" for room in ROOMS.split())]
NAMES = [(face, name) for face in FACES for name in importlib.import_module(face).__all__]
HEAVY = {"torch", "numpy", "PIL", "cv2", "scipy", "sklearn", "matplotlib", "onnxruntime"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").glob("*.py"))]


@pytest.mark.parametrize(("face", "name"), NAMES)
def test_names_resolve_and_are_documented(face: str, name: str) -> None:
    value = getattr(importlib.import_module(face), name)
    assert not inspect.ismodule(value)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__name__ == name
        assert value.__doc__
    else:
        home = Path(inspect.getfile(importlib.import_module(vars(importlib.import_module(face))["_homes"][name])))
        assert re.search(rf"^#: .+\n(#.*\n)*{name}\b", home.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("face", FACES)
def test_type_checkers_see_the_same_names(face: str) -> None:
    module = importlib.import_module(face)
    assert sorted(module.__all__) == module.__all__ == dir(module)
    stated = re.findall(r"from (\S+) import (\w+) as \2\n", inspect.getsource(module))
    assert sorted(stated) == sorted((home, name) for name, home in vars(module)["_homes"].items())


def test_each_name_has_one_address() -> None:
    homes = Counter(home for face in FACES for home in vars(importlib.import_module(face))["_homes"].items())
    assert max(homes.values()) == 1


def test_importing_is_instant() -> None:
    script = f"import sys, {', '.join(FACES)}; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_do_not_hide_names() -> None:
    """A function stays what its face exports when the module of the same name is imported after or before it."""
    script = "import hubel.data.decode as m, hubel.data; from hubel.data import decode; print(decode.__name__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "decode"


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'hubel' has no attribute 'nonsense'"):
        hubel.nonsense  # noqa: B018


@pytest.mark.parametrize("face", FACES)
def test_reference_has_a_page_for_each_face(face: str) -> None:
    page = ROOT / "docs" / "reference" / f"{face.rpartition('.')[2]}.md"
    assert f".. automodule:: {face}\n" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documentation_imports_only_faces(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = [text] if page.suffix == ".py" else re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for node in ast.walk(ast.parse("\n".join(blocks))):
        if isinstance(node, ast.Import):
            assert {name.name for name in node.names if name.name.partition(".")[0] == "hubel"} <= set(FACES)
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "hubel":
            assert {(node.module, name.name) for name in node.names} <= set(NAMES)
