"""Tables of image paths and captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hubel.core.errors import DataError, OptionError
from hubel.data.sources.pair_table import is_pair_table, read_pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "빨강.png"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("image_path,caption", True),
        ("file_name\tsentence", True),
        ("Image;Description;split", True),
        ("image_path,label", False),
        ("image_path,label,caption", False),
        ("caption,text", False),
        ("", False),
    ],
)
def test_recognised_by_its_columns(tmp_path: Path, header: str, pairs: bool) -> None:
    path = written(tmp_path / "table.csv", f"{header}\n")
    assert is_pair_table(path) is pairs
    assert not is_pair_table(tmp_path)
    assert not is_pair_table(tmp_path / "none.csv")


def test_rows(folder: Path) -> None:
    text = "image_path,caption,split\na.png, a  red\tdress ,train\na.png,a dress,train\nb.png,\n"
    table = read_pairs(written(folder / "t.csv", f"{text}none.png,a hat,test\n빨강.png,빨간 원,Validation\n"))
    assert [(Path(pair.path).name, pair.caption, pair.split) for pair in table.pairs] == [
        ("a.png", "a red dress", 1), ("a.png", "a dress", 1), ("빨강.png", "빨간 원", 2),
    ]  # fmt: skip
    assert table.problems == ("line 4: the caption is empty", "line 5: there is no file 'none.png'")


def test_korean_code_page(folder: Path) -> None:
    table = read_pairs(written(folder / "t.csv", "image_path,caption\n빨강.png,크고 빨간 원\n", "cp949"))
    assert table.pairs[0].caption == "크고 빨간 원"
    assert "cp949" in table.notes[0]


def test_parquet(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = folder / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"image_path": ["a.png"], "caption": ["a dress"]}), path)
    assert is_pair_table(path)
    assert [pair.caption for pair in read_pairs(path).pairs] == ["a dress"]


def test_another_root(folder: Path, tmp_path: Path) -> None:
    (elsewhere := tmp_path / "tables").mkdir()
    path = written(elsewhere / "t.csv", "image_path,caption\na.png,a dress\n")
    with pytest.raises(DataError, match=r"has no pair that can be used; the first row, line 2: there is no file"):
        read_pairs(path)
    assert len(read_pairs(path, folder).pairs) == 1
    with pytest.raises(OptionError, match="is no folder"):
        read_pairs(path, folder / "a.png")


def test_what_is_wrong_is_said(folder: Path) -> None:
    with pytest.raises(DataError, match="needs the columns image_path and caption; its columns are image_path, label"):
        read_pairs(written(folder / "t.csv", "image_path,label\na.png,x\n"))
    with pytest.raises(DataError, match=r"t\.csv, line 2: split is train, val, test, not 'trousers'"):
        read_pairs(written(folder / "t.csv", "image_path,caption,split\na.png,x,trousers\n"))
