"""HTML of notebooks: well-formed, and nothing of a user's names is taken for markup."""

from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubel.plots.notebook import list_html, picture_html, table_html
from hubel.training.train import RunResult

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


@given(st.lists(st.tuples(words, words), max_size=3), words)
def test_text_stays_text(rows: list[tuple[str, str]], caption: str) -> None:
    table = ElementTree.fromstring(table_html(["<a>", "b & c"], rows, caption=caption))
    assert [[cell.text or "" for cell in row] for row in table.find("tbody") or []] == [list(row) for row in rows]
    assert [cell.text for cell in table.iter("th")] == ["<a>", "b & c"]
    assert (table.findtext("caption") or "") == caption


def test_lists_and_pictures() -> None:
    assert list_html([]) == ""
    assert list_html(["a < b"]) == "<ul><li>a &lt; b</li></ul>"
    file = io.BytesIO()
    Image.new("RGB", (3, 2)).save(file, "png")
    shown = picture_html(file.getvalue(), 'a "map"')
    assert 'alt="a &quot;map&quot;"' in shown
    data = shown.partition("base64,")[2].partition('"')[0]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (3, 2)


def test_a_run_that_was_stopped_says_so() -> None:
    shown = RunResult(folder=Path("runs/a"), model=Path("runs/a/model.safetensors"), stopped_by=2)._repr_html_()
    assert shown == "<ul><li>runs/a: stopped; hubel.resume continues</li></ul>"
