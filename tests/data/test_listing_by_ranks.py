"""Archives and tables that several processes list together: threads play the ranks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tar_files import archive, numbered, picture

from hubel.core.errors import DataError
from hubel.core.group import Group, working_as
from hubel.data.index import scan
from hubel.data.sources import open_source, webdataset

pytestmark = pytest.mark.usefixtures("cache")


class Thread(Group):
    """A rank that lays what it has on one table."""

    def __init__(self, rank: int, world: int, table: list[bytes], barrier: threading.Barrier) -> None:
        self.rank, self.world, self.local_world = rank, world, world
        self.table, self.barrier = table, barrier

    def gather(self, content: bytes) -> list[bytes]:
        self.table[self.rank] = content
        self.barrier.wait(20)
        found = list(self.table)
        self.barrier.wait(20)
        return found


def by_ranks(world: int, work: Callable[[int], Any]) -> list[Any]:
    """Return what each of some ranks computes."""
    table, barrier = [b""] * world, threading.Barrier(world)

    def rank(number: int) -> Any:
        with working_as(Thread(number, world, table, barrier)):
            return work(number)

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(rank, range(world)))


def parquet(path: Path, rows: range, group: int = 3) -> None:
    images = [{"bytes": picture(i), "path": None} for i in rows]
    pq.write_table(pa.table({"image": images, "label": [f"class {i % 3}" for i in rows]}), path, row_group_size=group)


def make(folder: Path, kind: str) -> Path:
    """Seven files of other sizes, the first of whose labels are not those of the last."""
    folder.mkdir()
    for file in range(7):
        rows = range(10 * file, 10 * file + file + 1)
        if kind == "parquet":
            parquet(folder / f"part-{file}.parquet", rows)
        elif file == 3:
            archive(folder / "s-3.tar", [("a.png", picture(200)), ("a.txt", "9"), ("notes.md", "x"), ("b.cls", "1")])
        else:
            numbered(folder / f"s-{file}.tar", rows)
    return folder


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_all_ranks_get_the_index_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    folder = make(tmp_path / "data", kind)
    opened: Counter[str] = Counter()
    walk = webdataset.archive_samples

    def counted(file: Any, path: str, *rest: Any) -> Any:
        opened[path] += 1
        return walk(file, path, *rest)

    monkeypatch.setattr(webdataset, "archive_samples", counted)

    def index(rank: int) -> Any:
        source = open_source(folder)
        return scan(source, threads=1), source.read

    found = by_ranks(3, index)
    assert set(opened.values()) <= {1}, "each archive is walked through once"
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "other"))
    expected = scan(open_source(folder), threads=1)
    assert len(expected) > 20
    for got, read in found:
        for name in ("label", "split", "stamp", "size", "digest", "width", "status", "parts"):
            np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
        assert [got.paths[row] for row in range(len(got))] == [expected.paths[row] for row in range(len(got))]
        assert (got.labels, got.skipped, got.passed) == (expected.labels, expected.skipped, expected.passed)
        assert read(len(got) - 1, "last") == picture(66)


def test_other_archives_elsewhere(tmp_path: Path) -> None:
    folders = [make(tmp_path / name, "tar") for name in ("a", "b")]
    numbered(folders[1] / "s-6.tar", range(3))
    with pytest.raises(DataError, match="rank 1 sees other files than rank 0"):
        by_ranks(2, lambda rank: open_source(folders[rank]).listing())
