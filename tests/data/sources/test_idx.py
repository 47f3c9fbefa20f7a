"""Folders of IDX files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.idx import is_idx_folder, read_idx
from hubel.data.sources.listing import SPLITS


def idx(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def put(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def written(folder: Path, split: str, n: int, end: str, *, size: int = 4) -> NDArray[np.uint8]:
    images = np.random.default_rng(n).integers(0, 256, (n, size, size + 1)).astype(np.uint8)
    put(folder / f"{split}-images-idx3-ubyte{end}", idx(images))
    put(folder / f"{split}-labels-idx1-ubyte{end}", idx(np.arange(n, dtype=np.uint8) % 3))
    return images


@pytest.mark.parametrize("end", ["", ".gz"])
def test_splits(tmp_path: Path, end: str) -> None:
    pictures = {split: written(tmp_path, split, n, end) for split, n in (("train", 6), ("t10k", 4), ("val", 3))}
    assert is_idx_folder(tmp_path)
    source = open_source(tmp_path)
    listing = source.listing()
    assert source.name == tmp_path.name
    assert [SPLITS[code] for code in listing.split] == ["test"] * 4 + ["train"] * 6 + ["val"] * 3
    assert [listing.labels[code] for code in listing.label[:4]] == ["0", "1", "2", "0"]
    together = np.concatenate([pictures[split] for split in ("t10k", "train", "val")])
    assert all(np.array_equal(source.read(i, ""), image) for i, image in enumerate(together))


def test_a_download_unpacked_beside_itself_counts_once(tmp_path: Path) -> None:
    for end in ("", ".gz"):
        written(tmp_path, "train", 6, end)
    assert len(open_source(tmp_path).listing()) == 6


def test_labels_may_be_packed_otherwise(tmp_path: Path) -> None:
    written(tmp_path, "train", 6, ".gz")
    packed = tmp_path / "train-labels-idx1-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(open_source(tmp_path).listing()) == 6


def test_missing_or_too_few_labels(tmp_path: Path) -> None:
    written(tmp_path, "train", 6, "")
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(DataError, match="has 6 images, and train-labels-idx1-ubyte 5 labels"):
        open_source(tmp_path)
    labels.unlink()
    with pytest.raises(DataError, match="no file of labels beside it; expected train-labels-idx1-ubyte"):
        open_source(tmp_path)


def test_sizes_that_differ(tmp_path: Path) -> None:
    written(tmp_path, "t10k", 6, "")
    written(tmp_path, "train", 6, "", size=5)
    with pytest.raises(DataError, match="train-images-idx3-ubyte has images of another size"):
        open_source(tmp_path)


def test_as_kaggle_packs_it(tmp_path: Path) -> None:
    """A folder and a file of one name, and the same files with a dot."""
    for split, n in (("train", 6), ("t10k", 4)):
        images = written(tmp_path, split, n, "")
        for name in (f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"):
            data = (tmp_path / name).read_bytes()
            (tmp_path / name).unlink()
            (tmp_path / name).mkdir()
            (tmp_path / name / name).write_bytes(data)
            (tmp_path / name.replace("-idx", ".idx")).write_bytes(data)
    source = open_source(tmp_path)
    assert [SPLITS[code] for code in source.listing().split] == ["test"] * 4 + ["train"] * 6
    assert np.array_equal(source.read(0, ""), images[0])
    for file in tmp_path.glob("*.idx*"):
        file.unlink()
    assert len(open_source(tmp_path).listing()) == 10


@pytest.mark.parametrize(
    "form",
    ["{}_{}_idx{}_ubyte", "{}-{}.idx{}", "mnist-{}-{}-idx{}-ubyte.bin", "{}-{}", "{}-{}.gz", "x/y/{}-{}-idx{}-ubyte"],
)
def test_other_names(tmp_path: Path, form: str) -> None:
    for split, n in (("train", 6), ("t10k", 4)):
        images = written(tmp_path, split, n, "")
        for kind, dimensions in (("images", 3), ("labels", 1)):
            path = tmp_path / "data" / form.format(split, kind, dimensions)
            path.parent.mkdir(parents=True, exist_ok=True)
            put(path, (tmp_path / f"{split}-{kind}-idx{dimensions}-ubyte").read_bytes())
    (tmp_path / "data" / "train-images.txt").write_text("no data")
    source = open_source(tmp_path / "data")
    assert [SPLITS[code] for code in source.listing().split] == ["test"] * 4 + ["train"] * 6
    assert np.array_equal(source.read(0, ""), images[0])


def test_a_download_that_a_browser_has_unpacked(tmp_path: Path) -> None:
    written(tmp_path, "train", 6, "")
    for file in list(tmp_path.iterdir()):
        file.rename(f"{file}.gz")
    assert len(open_source(tmp_path).listing()) == 6


def test_other_files_with_such_names(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "train-images").mkdir()
    (tmp_path / "train-labels").write_text("a list")
    assert not is_idx_folder(tmp_path)


def test_as_torchvision_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for end in ("", ".gz"):
        written(tmp_path / "raw", "train", 6, end)
    assert len(open_source(tmp_path).listing()) == 6
    assert len(open_source(tmp_path / "raw").listing()) == 6
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "raw").rename(tmp_path / "MNIST" / "raw")
    assert len(open_source(tmp_path).listing()) == 6


@pytest.mark.parametrize("end", ["", ".gz"])
def test_emnist_is_turned_upright(tmp_path: Path, end: str) -> None:
    images = written(tmp_path, "emnist-letters-train", 6, end)
    written(tmp_path, "emnist-letters-test", 3, end)
    index = scan(source := open_source(tmp_path))
    assert [SPLITS[code] for code in index.split] == ["test"] * 3 + ["train"] * 6
    assert np.array_equal(source.read(3, ""), images[0].T)
    assert index.notes() == ["EMNIST's files hold images with rows and columns exchanged; they are turned upright"]
    written(tmp_path, "emnist-digits-train", 6, end)
    with pytest.raises(DataError, match=r"holds 2 datasets of IDX files \(emnist-digits, emnist-letters\)"):
        open_source(tmp_path)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_qmnist(tmp_path: Path, end: str) -> None:
    images = written(tmp_path, "qmnist-test", 5, end)
    (tmp_path / f"qmnist-test-labels-idx1-ubyte{end}").unlink()
    numbers = np.arange(40, dtype=">i4").reshape(5, 8)
    put(tmp_path / f"qmnist-test-labels-idx2-int{end}", struct.pack(">4B2I", 0, 0, 12, 2, 5, 8) + numbers.tobytes())
    listing = (source := open_source(tmp_path)).listing()
    assert [listing.labels[code] for code in listing.label] == ["0", "8", "16", "24", "32"]
    assert np.array_equal(source.read(1, ""), images[1])


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not an IDX file of bytes in 3 dimensions"),
        (GOOD[:15], "is not an IDX file"),
        (b"\0\0\x09\x03" + GOOD[4:], "is not an IDX file"),
        (b"\0\0\x08\x01" + GOOD[4:], "is not an IDX file"),
        (b"\x89PNG" + GOOD[4:], "is not an IDX file"),
        (GOOD[:-1], r"cut short or too long: \(2, 3, 4\) needs 24 bytes"),
        (GOOD + b"x", "cut short or too long"),
        (GOOD[:4] + struct.pack(">3I", 2**32 - 1, 28, 28), "states a size of 3,367,254,359,280 bytes"),
        (GOOD[:4] + struct.pack(">3I", 1000, 28, 28), "cut short"),
    ],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_damage(tmp_path: Path, data: bytes, message: str, end: str) -> None:
    put(tmp_path / f"f{end}", data)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / f"f{end}", dimensions=3)


def test_damaged_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD)
    for data in (packed[:-9], packed[:12] + b"\xff" * 8 + packed[20:], packed[:-8] + bytes(8)):
        (tmp_path / "f.gz").write_bytes(data)
        with pytest.raises(DataError, match=r"f\.gz cannot be read"):
            read_idx(tmp_path / "f.gz", dimensions=3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3))
def test_any_shape(tmp_path_factory: pytest.TempPathFactory, shape: list[int]) -> None:
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "f"
    path.write_bytes(idx(values))
    assert np.array_equal(read_idx(path, dimensions=len(shape)), values)


def test_real_files(shared: Path) -> None:
    folder = shared / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/fashion-mnist")
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz", dimensions=3)
    assert images.shape == (10_000, 28, 28)
    assert is_idx_folder(folder)
    labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz", dimensions=1)
    assert np.bincount(labels).tolist() == [1000] * 10
