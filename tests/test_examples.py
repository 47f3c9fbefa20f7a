"""The scripts in examples/ run."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
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
