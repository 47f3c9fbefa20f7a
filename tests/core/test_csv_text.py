"""Tables that a spreadsheet opens without computing anything."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.core.csv_text import csv_text, without_formula

CELLS = st.text("=+-@'\"ab1.,;é \t\r\n", max_size=6) | st.integers()


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1))
def test_cells_come_back_and_none_is_a_formula(rows: list[list[str | int]]) -> None:
    assert read(csv_text(rows, formulas=True)) == [list(map(str, row)) for row in rows]
    for row, found in zip(rows, read(csv_text(rows)), strict=True):
        for cell, text in zip(row, found, strict=True):
            assert text.removeprefix("'") == str(cell).removeprefix("'")
            if isinstance(cell, str) and text[:1] in tuple("=+-@\t\r"):
                float(text)  # a number is no formula


@pytest.mark.parametrize("name", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "-1+1", "=HYPERLINK(1)"])
def test_names_that_would_be_formulas(name: str) -> None:
    assert without_formula(name) == f"'{name}"


@pytest.mark.parametrize("value", ["a=b", "-0.5", "+1e3", "", "a", -0.5, None])
def test_others_stay(value: object) -> None:
    assert without_formula(value) == value
