"""Folders of Parquet as the Hugging Face hub has them: splits by README or by name, and no more in memory than fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hf_files import parquet
from tar_files import level, one_line, picture

from hubel.core.errors import DecodeError
from hubel.data.index import scan
from hubel.data.sources import columns, encoded, open_source
from hubel.data.sources.encoded import ColumnPart, EncodedImages, memory_budget
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.parquet import ParquetSource


def levels(source: Any, rows: int) -> list[int]:
    return [level(source.read(row, "")) for row in range(rows)]


def readme(folder: Path, header: str) -> None:
    (folder / "README.md").write_text(f"---\n{header}\n---\n\n# A data set\n")


def splits_of(folder: Path) -> dict[str, str]:
    listing = open_source(folder).listing()
    return {listing.paths[row]: SPLITS[listing.split[row]] for row in range(len(listing))}


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    for i, name in enumerate(("data/part-0", "data/part-1", "data/other", "x/y/z/deep")):
        parquet(tmp_path / f"{name}.parquet", [i, i + 10], [0, 1])
    return tmp_path


@pytest.mark.parametrize(
    "files",
    [
        "[{split: train, path: data/part-*}, {split: test, path: x/y/z/deep.parquet}]",
        "[{split: train, path: [data/part-0.parquet, data/part-1.parquet]}, {split: test, path: x/**}]",
        "{train: data/part-*.parquet, test: [x/y/z/*]}",
    ],
)
def test_a_readme_names_files_and_splits(layout: Path, files: str) -> None:
    expected = {f"part-{i}.parquet[{row}]": "train" for i in range(2) for row in range(2)}
    expected |= {f"deep.parquet[{row}]": "test" for row in range(2)}
    readme(layout, f"license: mit\nconfigs:\n- config_name: default\n  data_files: {files}")
    assert splits_of(layout) == expected
    one = "{config_name: one, data_files: data/other.parquet}"
    readme(layout, f"configs:\n- {one}\n- {{config_name: two, default: true, data_files: {files}}}")
    assert splits_of(layout) == expected
    assert levels(open_source(layout), 6) == [0, 10, 1, 11, 3, 13]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "license: mit",
        "configs: 3",
        "configs: [{config_name: x}]",
        "configs: [{data_files: nothing/*.csv}]",
        "a: [1]",
    ],
)
def test_a_readme_that_names_none(layout: Path, header: str) -> None:
    """Then the files that lie near count, with the splits in their names."""
    readme(layout, header)
    assert set(splits_of(layout)) == {
        f"{name}.parquet[{row}]" for name in ("part-0", "part-1", "other") for row in (0, 1)
    }


def test_a_folder_of_which_only_the_readme_knows(tmp_path: Path) -> None:
    parquet(tmp_path / "a" / "b" / "c" / "0.parquet", [1, 2], [0, 1])
    readme(tmp_path, "configs:\n- data_dir: a/b\n  data_files: c/*.parquet")
    assert set(splits_of(tmp_path).values()) == {"train"}


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("a: [", "the YAML header of"),
        ("- 1", "the YAML header of"),
        ("a: " + "[" * 5000, "the YAML header of"),
        ("configs: [{data_files: ../x.parquet}]", "names '../x.parquet'; expected files inside its own folder"),
        ("configs: [{data_files: /etc/passwd}]", "names '/etc/passwd'; expected files inside its own folder"),
        ("configs: [{data_files: 'https://example.org/x.parquet'}]", "expected files inside its own folder"),
        ("configs: [{data_dir: .., data_files: x.parquet}]", "expected files inside its own folder"),
        ("configs: [{data_files: 'C:/x.parquet'}]", "expected files inside its own folder"),
        ("configs: [{data_files: a**b/x}]", "is no pattern"),
        ("configs: [{data_files: .}]", "is no pattern"),
        ("a: &a {b: 1}\nc: {<<: [*a, *a]}", "it merges keys (<<)"),
        (
            "configs: [{config_name: a, data_files: x}, {config_name: b, data_files: y}]",
            "describes 2 datasets (a, b); give the folder or the files of one",
        ),
    ],
)
def test_a_damaged_readme(layout: Path, header: str, text: str) -> None:
    readme(layout, header)
    assert text in one_line(layout)


def test_a_readme_that_grows(layout: Path) -> None:
    """Each line holds the one before it nine times: 9 to the power of 30 patterns, if they were ever written out."""
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 31))]
    readme(layout, "\n".join(lines) + "\nconfigs: [{config_name: *a30, data_files: *a30}, {data_files: {*a30: 3}}]")
    assert one_line(layout)
    readme(layout, "\n".join(lines) + "\nconfigs: [{config_name: *a30, data_files: {train: *a30}, data_dir: *a30}]")
    assert len(splits_of(layout)) == 6


def test_a_folder_of_images_may_have_any_readme(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(picture(1))
    readme(tmp_path, "a: [")
    assert len(scan(open_source(tmp_path))) == 2


def test_a_readme_is_no_program(layout: Path) -> None:
    readme(layout, "configs: !!python/object/apply:os.system ['touch hacked']")
    assert "could not determine a constructor" in one_line(layout)


def test_files_beside_a_parquet_file(tmp_path: Path) -> None:
    parquet(
        tmp_path / "data" / "train.parquet",
        [{"bytes": None, "path": "1.png"}, {"bytes": None, "path": "../1.png"}],
        [0, 1],
    )
    (tmp_path / "data" / "1.png").write_bytes(picture(5))
    source = ParquetSource(tmp_path / "data" / "train.parquet")
    assert levels(source, 1) == [5]
    with pytest.raises(DecodeError, match="leads elsewhere"):
        source.read(1, "")


def test_row_groups_are_held_as_far_as_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "t.parquet", list(range(40)), [0, 1] * 20)
    loads = []
    real = encoded._bytes_and_paths
    monkeypatch.setattr(encoded, "_bytes_and_paths", lambda blocks: loads.append(1) or real(blocks))
    monkeypatch.setattr(columns, "memory_budget", lambda: 0)
    assert levels(ParquetSource(path), 40) == list(range(40))
    assert len(loads) == 20
    source = ParquetSource(path)
    assert [levels(source, 3) for _ in range(3)] == [[0, 1, 2]] * 3
    assert len(loads) == 26  # two groups take turns
    monkeypatch.setattr(columns, "memory_budget", memory_budget)
    source = ParquetSource(path)
    assert [levels(source, 40) for _ in range(3)] == [list(range(40))] * 3
    assert len(loads) == 46


def test_the_parts_used_last_stay_loaded(tmp_path: Path) -> None:
    loads: list[int] = []

    def part(number: int) -> ColumnPart:
        return ColumnPart(1, 10, lambda: loads.append(number) or [pa.array([bytes([number])])])  # type: ignore[func-returns-value]

    images = EncodedImages([part(i) for i in range(4)], tmp_path, tmp_path, budget=20)
    for row in (0, 1, 0, 2, 0, 1, 3, 3):
        assert images.read(row, "") == bytes([row])
    assert loads == [0, 1, 2, 1, 3]


def test_the_budget_is_some_memory() -> None:
    assert 2**28 < memory_budget() < 2**46


def test_the_parquet_files_that_are_shared(shared: Path) -> None:
    if not (shared / "cifar10").is_dir():
        pytest.skip("needs ../shared/data/cifar10")
    listing = open_source(shared / "cifar10").listing()
    assert [int((listing.split == code).sum()) for code in range(4)] == [0, 50_000, 0, 10_000]
