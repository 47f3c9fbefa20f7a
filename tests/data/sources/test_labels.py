"""One meaning for the values of labels, in every kind of source."""

from __future__ import annotations

import csv
import enum
import json
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hf_files import saved
from hypothesis import given
from hypothesis import strategies as st
from picture_files import SAMPLES
from tar_files import archive, labels_of, picture

from hubel.core.errors import DataError
from hubel.data.sources import open_source
from hubel.data.sources.labels import LabelReader, checked_names

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "고양이é") for form in ("NFC", "NFD"))


class NAType:
    """As the missing value of pandas: it equals nothing, and is neither true nor false."""

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class Column:
    """As a column of pandas or polars: it becomes an array of objects."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.values, object)


class Pet(enum.Enum):
    CAT = "cat"
    FIRST = 1


def read(value: Any, **settings: Any) -> str | None:
    return LabelReader(where="t", **settings).read(value, "row 0")


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (" cat\t", "cat"),
        ("\ufeffcat\u00a0", "cat"),
        ("two\nlines", "two\nlines"),
        ("Cat", "Cat"),
        ("cat|dog", "cat|dog"),
        (DECOMPOSED, COMPOSED),
        (DECOMPOSED.encode(), COMPOSED),
        (b"cat", "cat"),
        (bytearray(b"cat "), "cat"),
        (np.bytes_(b"cat"), "cat"),
        (np.str_("cat "), "cat"),
        (memoryview(b"cat"), "cat"),
        (1, "1"),
        (1.0, "1"),
        ("1", "1"),
        ("1.0", "1"),
        (np.float32(1), "1"),
        (np.int64(1), "1"),
        (Decimal("1.00"), "1"),
        (np.array(1.0), "1"),
        (torch.tensor(1), "1"),
        (torch.tensor(1.0, requires_grad=True), "1"),
        (-0.0, "0"),
        (-3.0, "-3"),
        ("007", "007"),
        (1.5, "1.5"),
        ("1.50", "1.50"),
        (Decimal("1.50"), "1.5"),
        (2**70, f"{2**70}"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (True, "True"),
        (np.bool_(False), "False"),
        (Pet.CAT, "cat"),
        (Pet.FIRST, "1"),
        (["cat"], "cat"),
        (np.array(["cat"]), "cat"),
        ("['cat']", "cat"),
        ('["cat "]', "cat"),
        ("[3.0]", "3"),
        ("b'cat'", "cat"),
        (str([np.str_("cat")]), "cat"),
        ("[sic]", "[sic]"),
        ("[007]", "[007]"),
        ("(2020)", "(2020)"),
        ("'cat'", "'cat'"),
        ("<NA>", None),
        ("[]", None),
        ("[nan]", None),
        ("none", "none"),
        ("NA", "NA"),
        (None, None),
        ("", None),
        (" \u200b", None),
        (b"", None),
        ([], None),
        ([None], None),
        (float("nan"), None),
        ("nan", None),
        (" NaN ", None),
        (np.float32("nan"), None),
        (Decimal("NaN"), None),
        (Decimal("sNaN"), None),
        (NAType(), None),
        (np.datetime64("NaT"), None),
        (np.ma.masked, None),
        (np.array(np.nan), None),
        (torch.tensor(float("nan")), None),
    ],
)
def test_one_label(value: Any, label: str | None) -> None:
    assert read(value) == label
    assert read(value, labelled=False) == (label or "")


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("dog | cat", "cat|dog"),
        ("cat|dog|cat", "cat|dog"),
        ("b10|b9|", "b9|b10"),
        (["dog", "cat "], "cat|dog"),
        (("dog", "cat"), "cat|dog"),
        ({"dog", "cat"}, "cat|dog"),
        (np.array(["dog", "cat"]), "cat|dog"),
        ("['dog', 'cat']", "cat|dog"),
        ('["dog","cat"]', "cat|dog"),
        (str(np.array(["dog", "cat"])), "cat|dog"),
        (str([np.str_("dog's"), np.int64(3)]), "3|dog's"),
        ("('dog', 'cat')", "cat|dog"),
        ("{'dog', 'cat'}", "cat|dog"),
        (str(np.array([2.0, 10])), "2|10"),
        ("[]", ""),
        ([2, 10, 1.0], "1|2|10"),
        ([b"cat", None, ""], "cat"),
        (DECOMPOSED + "|" + COMPOSED, COMPOSED),
        (3, "3"),
        (3.0, "3"),
        ("", ""),
        ("|", ""),
        ([], ""),
        (" ", ""),
        (None, None),
        (float("nan"), None),
        ("nan", None),
    ],
)
def test_several_labels(value: Any, label: str | None) -> None:
    assert read(value, multi_label=True) == label


@pytest.mark.parametrize(
    ("value", "label"),
    [(1, "dog"), (1.0, "dog"), ("1", "dog"), (True, "dog"), ("emu", "emu"), (-1, None), (None, None)],
)
def test_numbers_with_names(value: Any, label: str | None) -> None:
    assert read(value, names=["cat", "dog"]) == label


@pytest.mark.parametrize(
    ("value", "settings", "message"),
    [
        (["cat", "dog"], {}, "^t, row 0: cat, dog are several labels; expected one, or --task multi_label$"),
        (np.array([1, 2]), {}, "1, 2 are several labels"),
        ("['cat', 'dog']", {}, "cat, dog are several labels"),
        ("[0 1 1]", {"multi_label": True}, "0, 1, 1 repeats a number"),
        ("c\0at", {}, "'c at' holds a zero byte, which no text has"),
        ([0, 1, 1, 0], {"multi_label": True}, "0, 1, 1, ... repeats a number; expected the classes"),
        ([True, False, True], {"multi_label": True}, "repeats a number"),
        ([["cat"]], {"multi_label": True}, "is a list in a list"),
        (["a|b"], {"multi_label": True}, r'the class \'a\|b\' has a "\|" in its name'),
        ({"a": 1}, {}, "a label is text, a number or a list of them, not dict"),
        (object(), {}, "not object"),
        (b"\xff", {}, "bytes that are no UTF-8 text"),
        ("\ud800", {}, "half a character"),
        ("9" * 5000, {}, "a label of 5,000 characters; a class name has at most 1,000$"),
        pytest.param(10**5000, {}, "a number of thousands of digits", id="digits"),
        (Decimal("1E+5000"), {}, "a label of 5,001 characters"),
        (2, {"names": ["a", "b"]}, "no class has the number 2; 2 classes are named"),
        pytest.param(10**5000, {"names": ["a", "b"]}, "a number of thousands of digits", id="digits of a name"),
    ],
)
def test_what_is_no_label(value: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(value, **settings)
    assert "\n" not in str(caught.value)


@given(
    st.lists(st.text(st.characters(exclude_characters="|['\"\0", exclude_categories=("Cs",)), max_size=4), max_size=5)
)
def test_a_list_is_what_its_text_is(names: list[str]) -> None:
    found = read(names, multi_label=True)
    assert found == read(found, multi_label=True)  # a label that was read once stays as it is
    if "|".join(names).strip().lower() != "nan":
        assert found == read("|".join(names), multi_label=True)


def test_names_of_numbers_are_read_as_labels_are() -> None:
    assert checked_names([" cat", DECOMPOSED, 3], "t") == ["cat", COMPOSED, "3"]
    with pytest.raises(DataError, match="calls two classes"):
        checked_names([DECOMPOSED, COMPOSED], "t")
    with pytest.raises(DataError, match="half a character"):
        checked_names(["\ud800"], "t")


# The same in every kind of source ----------------------------------------------------------------

MakeSource = Callable[[Path, list[Any]], Any]


def paths_in(folder: Path, n: int) -> list[str]:
    for i in range(n):
        (folder / f"{i}.png").write_bytes(SAMPLES["PNG"])
    return [f"{i}.png" for i in range(n)]


def text(folder: Path, labels: list[Any]) -> Path:
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("image_path", "label"), *zip(paths_in(folder, len(labels)), labels, strict=True)])
    return folder / "t.csv"


def paths(folder: Path, labels: list[Any]) -> Path:
    pq.write_table(pa.table({"image_path": paths_in(folder, len(labels)), "label": labels}), folder / "t.parquet")
    return folder / "t.parquet"


def images(folder: Path, labels: list[Any]) -> Path:
    pq.write_table(pa.table({"image": [picture(i) for i in range(len(labels))], "label": labels}), folder / "t.parquet")
    return folder / "t.parquet"


def arrow(folder: Path, labels: list[Any]) -> Path:
    return saved(folder / "set", [pa.table({"image": [picture(i) for i in range(len(labels))], "label": labels})], {})


def tar(folder: Path, labels: list[Any]) -> Path:
    texts = [label.decode() if isinstance(label, bytes) else label for label in labels]
    members = [
        member
        for i, label in enumerate(texts)
        for member in ((f"{i}.png", picture(i)), (f"{i}.json", json.dumps({"label": label})))
    ]
    return archive(folder / "t.tar", members)


def pair(folder: Path, labels: list[Any]) -> Any:
    return np.zeros((len(labels), 4, 4), np.uint8), labels


def array(folder: Path, labels: list[Any]) -> Any:
    return np.zeros((len(labels), 4, 4), np.uint8), np.array(labels)


def column(folder: Path, labels: list[Any]) -> Any:
    return np.zeros((len(labels), 4, 4), np.uint8), Column(labels)


ALL = [text, paths, images, arrow, tar, pair, array, column]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([" cat", "cat ", "", "dog"], ["cat", "cat", None, "dog"]),
        ([1.0, float("nan"), 0.0], ["1", None, "0"]),
        ([1, None, 0], ["1", None, "0"]),
        ([DECOMPOSED, COMPOSED], [COMPOSED, COMPOSED]),
        ([True, False], ["True", "False"]),
    ],
)
def test_all_sources_agree(tmp_path: Path, make: MakeSource, labels: list[Any], expected: list[str | None]) -> None:
    assert labels_of(open_source(make(tmp_path, labels)).listing()) == expected


@pytest.mark.parametrize("make", [paths, images, arrow, tar, pair])
def test_lists(tmp_path: Path, make: MakeSource) -> None:
    data = make(tmp_path, [["dog", "cat"], ["dog"], []])
    assert labels_of(open_source(data, multi_label=True).listing()) == ["cat|dog", "dog", ""]
    with pytest.raises(DataError, match="dog, cat are several labels; expected one, or --task multi_label"):
        open_source(data).listing()


@pytest.mark.parametrize("make", [text, paths, images, arrow, tar, pair])
def test_texts_of_several_labels(tmp_path: Path, make: MakeSource) -> None:
    data = make(tmp_path, ["dog | cat", "cat|dog", "dog"])
    assert labels_of(open_source(data, multi_label=True).listing()) == ["cat|dog", "cat|dog", "dog"]


@pytest.mark.parametrize("make", [text, paths, images, arrow, tar, pair])
def test_too_many_digits(tmp_path: Path, make: MakeSource) -> None:
    with pytest.raises(DataError, match="a label of 5,000 characters"):
        open_source(make(tmp_path, ["9" * 5000, "1"])).listing()


def test_lists_of_numbers_with_names(tmp_path: Path) -> None:
    features = {"label": {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    table = pa.table({"image": [picture(i) for i in range(3)], "label": [[1, 0], [1], None]})
    listing = open_source(saved(tmp_path / "set", [table], features), multi_label=True).listing()
    assert labels_of(listing) == ["cat|dog", "dog", None]
