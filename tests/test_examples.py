"""The scripts and notebooks in examples/ run."""

from __future__ import annotations

import ast
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
SHOWN = {  # in the order of the cells that show something
    "draw_and_compare_architectures": ["svg", "svg", "svg", "svg", "html", "plain"],
    "see_what_a_network_sees": ["plain", "png", "png", "png", "png"],
    "train_and_read_the_result": ["plain", "html", "plain", "plain"],
}
PRINTED = {
    "export_and_serve": "[{'class': '",
    "train_and_predict": "3/3.png: ",
    "transfer_features": "50 images, 1280 features each\naccuracy: ",
}


def test_all_are_run() -> None:
    assert [example.stem for example in EXAMPLES] == sorted(PRINTED)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_runs(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(example), run_name="__main__")
    assert PRINTED[example.stem] in capsys.readouterr().out


def shown(value: Any) -> tuple[str, str]:
    """Kind and text of what a notebook shows of a cell's last value."""
    for kind in ("svg", "html", "png"):
        content = getattr(value, f"_repr_{kind}_", lambda: None)()
        if content is not None:  # as of matplotlib's own `_repr_html_`
            return kind, str(content)
    return "plain", repr(value)


def run_cells(notebook: Path) -> list[tuple[str, str]]:
    """Run the cells in order, as Jupyter does; return what they show."""
    names: dict[str, Any] = {"__name__": "__main__"}
    results = []
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{notebook.name}, cell {number}", "exec"), names)
        if isinstance(last, ast.Expr):
            results.append(shown(eval(compile(ast.Expression(last.value), notebook.name, "eval"), names)))
    return results


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = run_cells(notebook)
    assert [kind for kind, _ in results] == SHOWN[notebook.stem]
    assert all(text for _, text in results)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook_has_no_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
