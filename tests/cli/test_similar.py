"""`hubel similar`: every format, the sheet, and mistakes in one line."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Call = Callable[..., Any]


def test_table_json_and_csv(hubel: Call, model: Path, photos: Path) -> None:
    query = photos / "red" / "1.png"
    answer = hubel("similar", model, photos, query)
    assert (answer.code, answer.err) == (0, "")
    rows = [line.split() for line in answer.out.splitlines() if ".png" in line]
    assert len(rows) == 10
    assert rows[0] == [str(query), "1.0000"]
    assert "30 images searched, 30 of them new" in answer.out
    listed = json.loads(hubel("similar", model, photos, query, "--json", "--top", 30).out)
    assert len({row["path"] for row in listed}) == 30
    assert [row["path"] for row in listed[:10]] == [path for path, _ in rows]
    similarities = [row["similarity"] for row in listed]
    assert similarities == sorted(similarities, reverse=True)
    assert sum(Path(row["path"]).parent.name == "red" for row in listed[:5]) >= 4
    table = list(csv.DictReader(hubel("similar", model, photos, query, "--csv", "--top", 3).out.splitlines()))
    assert [row["path"] for row in table] == [row["path"] for row in listed[:3]]
    assert [float(row["similarity"]) for row in table] == [round(value, 6) for value in similarities[:3]]


def test_a_folder_without_labels_and_a_sheet(hubel: Call, model: Path, photos: Path) -> None:
    flat = Path("flat")
    flat.mkdir()
    for path in photos.rglob("*.png"):
        shutil.copy(path, flat / f"{path.parent.name}-{path.name}")
    (flat / "bad.jpg").write_bytes(b"broken")
    (flat / "notes.txt").write_text("no image")
    answer = hubel("similar", model, flat, photos / "blue" / "2.png", "--top", 7, "--sheet", "new/sheet.png")
    assert answer.code == 3
    passed, unreadable = answer.err.splitlines()
    assert passed == "note: 1 file passed over: not images (txt)"
    assert unreadable.startswith("unreadable: flat")
    assert "blue-2.png" in answer.out.splitlines()[3]
    with Image.open("new/sheet.png") as sheet:
        assert np.ptp(np.asarray(sheet.convert("L"))) > 100


MISTAKES = {
    "RUN photos missing.png": "missing.png: there is no such file",
    "RUN nowhere photos/red/1.png": "nowhere: no such folder or table; expected one with images in it, at any depth",
    "RUN photos photos/red/1.png --root .": "that the paths of a table start at; photos is no table",
    "RUN photos photos": "photos: a folder, not a regular file",
    "RUN photos photos/red/1.png --top 0": "--top is at least 1, not 0",
    "RUN photos photos/red/1.png --json --csv": "choose one of --json and --csv",
    "RUN photos": "similar needs QUERY; see hubel similar --help",
    "nothing photos photos/red/1.png": "no model file, run or network is called 'nothing'",
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes(hubel: Call, model: Path, photos: Path, words: str, message: str) -> None:
    answer = hubel("similar", *(str(model) if word == "RUN" else word for word in words.split()))
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert line.startswith("hubel: ")
    assert message in line
