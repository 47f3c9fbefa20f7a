"""Parents of classes: folders in folders, a column of a table, a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest
from picture_files import RGB, encode
from pyarrow import parquet

from hubel.core.errors import DataError, OptionError
from hubel.data.dataset import open_dataset
from hubel.data.sources import open_source
from hubel.data.sources.listing import SPLITS, Listing
from hubel.data.sources.parents import read_parents

NESTED = ("animals/cats/1.png", "animals/dogs/day 1/2.png", "animals/dogs/3.png", "vehicles/cars/4.png", "hats/5.png")


def made(root: Path, names: Iterable[str]) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode(RGB // (number + 1), "PNG"))
    return root


def rows(listing: Listing) -> dict[str, tuple[str, str]]:
    return {listing.paths[i]: (listing.labels[listing.label[i]], SPLITS[listing.split[i]]) for i in range(len(listing))}


def test_the_topmost_folder_is_the_class_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    listing = open_source(made(tmp_path, NESTED)).listing()
    assert {label for label, _ in rows(listing).values()} == {"animals", "vehicles", "hats"}
    assert not listing.parents
    assert listing.notes == (
        "the images of animals, vehicles lie in folders of their own (animals/cats, animals/dogs, vehicles/cars), "
        "whose names do not count; if they are classes: hubel train --parents folders",
    )


@pytest.mark.parametrize(
    "names",
    [
        ("cats/1.png", "dogs/2.png"),
        ("cats/1.png", "cats/more/2.png", "dogs/3.png"),
        ("cats/monday/1.png", "cats/tuesday/1.png", "dogs/monday/2.png"),  # the same names: no classes
        ("cats/here/1.png", "dogs/there/2.png"),  # a folder each, as archives have them
    ],
)
def test_no_note_where_inner_folders_are_hardly_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert not open_source(made(tmp_path, names)).listing().notes


def test_folders_in_folders_of_their_parents(tmp_path: Path) -> None:
    names = [f"{split}/{name}" for split in ("train", "test") for name in NESTED]
    made(tmp_path, [*names, "train/animals/stray.png", "train/animals/cats/deep/er/6.png"])
    listing = open_source(tmp_path, parents="folders").listing()
    found = rows(listing)
    assert found["train/animals/cats/deep/er/6.png"] == ("er", "train")
    assert found["test/animals/dogs/day 1/2.png"] == ("day 1", "test")
    # What lies beside class folders is in none of them.
    beside = ["train/animals/stray.png"]
    beside += [f"{split}/animals/{name}.png" for split in ("train", "test") for name in ("cats/1", "dogs/3")]
    assert not set(beside) & set(found)
    assert sum(listing.skipped.values()) == len(beside)
    above = {"er": "deep", "deep": "cats", "cats": "animals", "day 1": "dogs", "dogs": "animals", "cars": "vehicles"}
    assert listing.parents == above


def test_folders_as_a_model_knows_their_parents(tmp_path: Path) -> None:
    parents = {"cats": "animals", "dogs": "animals", "cars": "vehicles"}
    found = rows(open_source(made(tmp_path / "nested", NESTED), parents=parents).listing())
    assert [label for label, _ in found.values()] == ["cats", "dogs", "dogs", "hats", "cars"]
    flat = made(tmp_path / "flat", ("cats/1.png", "dogs/day 1/2.png", "hats/animals/3.png"))
    assert [label for label, _ in rows(open_source(flat, parents=parents).listing()).values()] == [
        "cats",
        "dogs",
        "hats",
    ]


def test_a_class_has_one_parent(tmp_path: Path) -> None:
    made(tmp_path, ["animals/cats/1.png", "pets/cats/2.png"])
    with pytest.raises(DataError, match="the folder cats lies in animals and in pets; with --parents folders"):
        open_source(tmp_path, parents="folders").listing()


def test_only_folders_lie_in_folders(tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match="--parents folders is for class folders in the folders of their parents; this"
    ):
        open_source("digits", parents="folders")


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    made(folder, ["1.png", "2.png", "3.png"])
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        "path,label,parent\n1.png,cat,animal\n2.png,dog,animal\n3.png,car,\n",
        "path;Parent;label\n1.png; animal;cat\n2.png;animal;dog\n3.png;car;car\n",
    ],
)
def test_a_column(tmp_path: Path, text: str) -> None:
    found = open_dataset(table(tmp_path, text))
    assert found.index.parents == {"cat": "animal", "dog": "animal"}
    assert not found.notes()


def test_a_column_of_parquet(tmp_path: Path) -> None:
    made(tmp_path, ["1.png", "2.png"])
    columns = {"image_path": ["1.png", "2.png"], "label": ["cat", "dog"], "parent": ["animal", None]}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert open_dataset(tmp_path / "t.parquet").index.parents == {"cat": "animal"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1.png,cat,animal\n2.png,cat,pet\n3.png,car,\n", "line 3 says 'pet' of 'cat', another row 'animal'"),
        ("1.png,cat,car\n2.png,dog,car\n3.png,car,\n", "'car' is a label, too"),
    ],
)
def test_a_column_of_something_else_is_left_out(tmp_path: Path, text: str, reason: str) -> None:
    found = open_dataset(table(tmp_path, "path,label,parent\n" + text))
    assert not found.index.parents
    assert found.notes() == [f"t.csv: the column parent is no hierarchy of the labels and is left out: {reason}"]
    several = open_dataset(table(tmp_path, "path,label,parent\n" + text), multi_label=True)
    assert (several.index.parents, several.notes()) == ({}, [])


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "parents.csv"
    expected = {"cat": "animal", "animal": "thing"}
    for text in ("class,parent\ncat,animal\nanimal,thing\n", "\ufeffCat, animal\n\nanimal,thing\r\n".replace("C", "c")):
        file.write_bytes(text.encode())
        assert read_parents(file) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; expected CSV with class,parent in each row"),
        ("", "holds no rows; expected class,parent in each"),
        ("class,parent\n", "holds no rows"),
        ("cat,animal\ndog\n", r"line 2: expected class,parent, not \['dog'\]"),
        ("cat,animal,thing\n", "line 1: expected class,parent"),
        ("cat,animal\ncat,pet\n", "line 2: cat has two parents, animal and pet"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str | bytes | None, message: str) -> None:
    file = tmp_path / "parents.csv"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(OptionError, match=message) as error:
        read_parents(file)
    assert str(error.value).startswith(f"--parents {file}")
