"""Tables and counts for people."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hubel.cli.tables import print_table


def test_a_line_break_in_a_cell_is_escaped_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [["one\ntwo"]])
    (shown,) = [line for line in capsys.readouterr().out.splitlines() if "one" in line]
    assert "two" in shown
    print_table(["name"], [["one\ntwo"]], multiline=True)
    (shown,) = [line for line in capsys.readouterr().out.splitlines() if "one" in line]
    assert "two" not in shown


def test_data_counts_grey_images(hubel: Callable[..., Any]) -> None:
    for number, mode in enumerate(("L", "RGB", "RGB")):
        Path("p/a").mkdir(parents=True, exist_ok=True)
        Image.new(mode, (9, 9)).save(f"p/a/{number}.png")
    answer = hubel("data", "p")
    assert answer.code == 0, answer.err
    assert "colours   1 grey, 2 in colour" in answer.out
