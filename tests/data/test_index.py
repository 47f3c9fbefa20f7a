"""The scan: facts, reasons, and what is remembered."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import RGB, SAMPLES, encode, exif
from PIL import Image

from hubel.core.errors import DataError, DecodeError
from hubel.core.files import cache_root
from hubel.data import index as module
from hubel.data.index import Index, scan
from hubel.data.sources.arrays import ArraySource
from hubel.data.sources.builtin import digits
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.listing import Listing, ListingBuilder

NAMES = ["a/1.jpg", "a/2.png", "a/turned.jpg", "b/1.gif", "b/2.bmp", "b/grey.tif"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in "ab":
        (root / name).mkdir(parents=True)
    contents = [
        SAMPLES["JPEG"],
        SAMPLES["PNG"],
        encode(RGB, "JPEG", exif=exif(6)),
        SAMPLES["animated GIF"],
        SAMPLES["BMP"],
        encode(RGB[..., 0], "TIFF"),
    ]
    for name, data in zip(NAMES, contents, strict=True):
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the images that a scan decodes."""
    paths: list[str] = []
    real = module.decode_row

    def counting(source: Any, row: int, path: str, *rest: Any) -> Any:
        paths.append(path)
        return real(source, row, path, *rest)

    monkeypatch.setattr(module, "decode_row", counting)
    return paths


def state(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in [root, *root.rglob("*")])


def facts(index: Index) -> dict[str, Any]:
    return {name: getattr(index, name).tolist() for name in module._COLUMNS}


def test_facts_are_those_of_pillow_and_hashlib(folder: Path) -> None:
    index = scan(FolderSource(folder), threads=2)
    assert [index.paths[i] for i in range(len(index))] == NAMES
    for i, name in enumerate(NAMES):
        data = (folder / name).read_bytes()
        with Image.open(folder / name) as image:
            turned = image.getexif().get(274, 1)
            size = image.size[::-1] if turned >= 5 else image.size
            channels = 1 if image.mode == "L" else 3
        found = {key: getattr(index, key)[i] for key in module._COLUMNS}
        assert found.pop("digest").tobytes() == hashlib.blake2b(data, digest_size=16).digest()
        expected = {"size": len(data), "width": size[0], "height": size[1], "channels": channels, "orientation": turned}
        assert found == {**expected, "status": module.OK}
    assert index.reused == 0
    assert index.notes() == []
    assert index.classes() == ("a", "b")
    assert index.targets(index.usable(), ("b", "a")).tolist() == [1, 1, 1, 0, 0, 0]
    with pytest.raises(DataError, match=r"has a class 'b' that the model does not know; it knows a$"):
        index.targets(index.usable(), ("a",))


def test_unreadable_files_are_named_and_counted(folder: Path) -> None:
    (folder / "a" / "0.jpg").write_bytes(b"no picture")
    (folder / "b" / "cut.png").write_bytes(SAMPLES["PNG"][:-30])
    (folder / "b" / "empty.png").touch()
    (folder / "b" / ".x.png").touch()
    index = scan(FolderSource(folder))
    assert index.unreadable() == [
        ("a/0.jpg", "not an image in one of the formats JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF, HEIF, PPM"),
        ("b/cut.png", "truncated or damaged PNG data"),
        ("b/empty.png", "the file is empty"),
    ]
    assert index.notes() == [
        "1 file passed over: hidden (.x.png)",
        "3 files left out because unreadable:",
        *(f"  {path}: {reason}" for path, reason in index.unreadable()),
    ]
    assert [index.paths[int(row)] for row in index.usable()] == NAMES


def test_images_without_a_label_are_counted() -> None:
    index = scan(ArraySource(np.zeros((3, 2, 2), np.uint8), ["x", None, None]))
    assert index.notes() == ["2 images left out because they have no label"]
    assert index.usable().tolist() == [0]
    with pytest.raises(DataError, match="only one class"):
        index.classes()


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "d" / "a").mkdir(parents=True)
    (tmp_path / "d" / "a" / "1.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"none of the 1 images of d can be read; the first, a/1\.jpg: not an image"):
        scan(FolderSource(tmp_path / "d"))
    with pytest.raises(DataError, match="arrays: there is no image"):
        scan(ArraySource(np.zeros((0, 2, 2), np.uint8)))


def test_the_second_scan_decodes_nothing(folder: Path, decoded: list[str]) -> None:
    first = scan(FolderSource(folder))
    assert sorted(decoded) == NAMES
    decoded.clear()
    second = scan(FolderSource(folder))
    assert decoded == []
    assert second.reused == len(NAMES)
    assert facts(first) == facts(second)
    assert first.fingerprint() == second.fingerprint()


def test_only_changed_files_are_decoded(folder: Path, decoded: list[str]) -> None:
    scan(FolderSource(folder))
    decoded.clear()
    (folder / "a" / "1.jpg").write_bytes(SAMPLES["progressive JPEG"])
    (folder / "a" / "0.png").write_bytes(SAMPLES["PNG"])
    (folder / "a" / "2.png").rename(folder / "b" / "moved.png")
    (folder / "b" / "2.bmp").unlink()
    index = scan(FolderSource(folder))
    assert sorted(decoded) == ["a/0.png", "a/1.jpg", "b/moved.png"]
    shutil.rmtree(cache_root())
    assert facts(scan(FolderSource(folder))) == facts(index)
    assert index.reused == 3


def test_a_touched_file_is_decoded_again(folder: Path, decoded: list[str]) -> None:
    scan(FolderSource(folder))
    decoded.clear()
    os.utime(folder / "a" / "1.jpg", (1, 1))
    scan(FolderSource(folder))
    assert decoded == ["a/1.jpg"]


def test_an_edit_that_keeps_size_and_time_is_noticed(folder: Path, decoded: list[str]) -> None:
    first = scan(FolderSource(folder))
    path = folder / "a" / "2.png"
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(encode(255 - RGB, "PNG")[: len(data)].ljust(len(data), b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    decoded.clear()
    second = scan(FolderSource(folder))
    assert decoded == ["a/2.png"]
    assert first.digest[1] != second.digest[1]


def test_an_edit_that_no_stamp_shows_is_noticed_where_the_image_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems that keep no times; the index that misled is made anew."""
    monkeypatch.setattr("hubel.data.sources.folder.file_stamp", lambda path, status: zlib.crc32(path.encode()))
    source = FolderSource(folder)
    old = scan(source)
    (folder / "a" / "2.png").write_bytes(encode(255 - RGB, "PNG"))
    index = scan(source)
    assert index.digest.tolist() == old.digest.tolist(), "not noticed by the scan"
    assert module.decode_indexed(source, index, 0, (4, 4)).width > 0
    with pytest.raises(DecodeError, match=r"2\.png: it has changed since the images were indexed; run the command"):
        module.decode_indexed(source, index, 1, (4, 4))
    again = scan(source)
    assert again.reused == 0
    assert module.decode_indexed(source, again, 1, (4, 4)).width > 0


def test_unreadable_files_are_tried_again(folder: Path, decoded: list[str]) -> None:
    """A file whose permissions have changed has the same name, size and time."""
    (folder / "a" / "bad.jpg").write_bytes(b"x")
    scan(FolderSource(folder))
    decoded.clear()
    index = scan(FolderSource(folder))
    assert decoded == ["a/bad.jpg"]
    assert [path for path, _ in index.unreadable()] == ["a/bad.jpg"]


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "manifest", "empty manifest", "no folder", "a file"])
def test_a_damaged_cache_is_ignored(folder: Path, decoded: list[str], damage: str) -> None:
    first = scan(FolderSource(folder))
    (kept,) = (cache_root() / "index").iterdir()
    file, data = kept / "width.npy", (kept / "width.npy").read_bytes()
    if damage == "cut":
        file.write_bytes(data[:-1])
    elif damage == "flip":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "remove":
        file.unlink()
    elif damage == "no folder":
        shutil.rmtree(kept)
    elif damage == "a file":
        shutil.rmtree(kept)
        kept.touch()
    else:
        (kept / "manifest.json").write_text("" if damage == "manifest" else "{}")
        file.unlink()
    decoded.clear()
    assert facts(scan(FolderSource(folder))) == facts(first)
    assert sorted(decoded) == NAMES
    decoded.clear()
    scan(FolderSource(folder))
    assert decoded == [] or damage == "a file"


def test_a_cache_that_cannot_be_written_costs_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "file").touch()
    monkeypatch.setenv("HUBEL_CACHE", str(folder.parent / "file"))
    assert len(scan(FolderSource(folder))) == len(NAMES)


def test_arrays_are_not_remembered() -> None:
    scan(digits())
    assert not (cache_root() / "index").exists()


def test_two_folders_are_remembered_apart(folder: Path, decoded: list[str]) -> None:
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    one, two = scan(FolderSource(folder)), scan(FolderSource(other))
    assert len(decoded) == 2 * len(NAMES)
    assert one.fingerprint() == two.fingerprint()  # it does not depend on where they lie
    assert len(list((cache_root() / "index").iterdir())) == 2


def test_the_data_are_left_as_they_were(folder: Path) -> None:
    before = state(folder)
    for _ in range(2):
        scan(FolderSource(folder))
    assert state(folder) == before


def test_the_fingerprint_changes_with_any_byte_label_or_split() -> None:
    pixels = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    changed = pixels.copy()
    changed[3, 1, 2] ^= 1
    labels, splits = ["a", "b", "a", "b"], [1, 1, 2, 3]
    variants = [
        (pixels, labels, splits),
        (changed, labels, splits),
        (pixels[[1, 0, 2, 3]], labels, splits),
        (pixels, ["a", "b", "b", "b"], splits),
        (pixels, ["a", "c", "a", "c"], splits),
        (pixels, labels, [1, 1, 3, 3]),
    ]
    prints = [scan(ArraySource(*variant)).fingerprint() for variant in variants]
    assert len(set(prints)) == len(prints)
    assert scan(ArraySource(pixels, labels, splits, name="else")).fingerprint() == prints[0]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_threads_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 4)).astype(np.uint8)
    index = scan(ArraySource(pixels, [*"ab"] * 25), threads=threads)
    expected = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
    assert [digest.tobytes() for digest in index.digest] == expected


class Synthetic:
    """Many rows of which none is ever decoded."""

    name, location = "synthetic", ""

    def listing(self) -> Listing:
        rows = ListingBuilder()
        for i in range(200_000):
            rows.add(f"train/class-{i % 100:03d}/image-{i:010d}.jpg", f"class-{i % 100:03d}", 1, i + 1)
        return rows.build()

    def read(self, row: int, path: str) -> bytes:
        raise AssertionError


def test_a_row_costs_at_most_200_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(source: Any, listing: Listing, rows: Any) -> Any:
        return rows, {name: np.zeros(len(rows), kind) for name, kind in module._COLUMNS.items()}, {}

    monkeypatch.setattr(module, "_decode_rows", look)
    index = scan(Synthetic())
    text = index.paths.block.nbytes / len(index)
    columns = [getattr(index, name) for name in module._COLUMNS]
    held = (index.paths.block, index.paths.ends, index.label, index.split, index.stamp, *columns)
    assert 36 <= text <= 44
    assert sum(array.nbytes for array in held) / len(index) == text + 56


def test_real_photos(shared: Path) -> None:
    folder = shared / "clothing" / "test"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/clothing")
    index = scan(FolderSource(folder))
    assert len(index.usable()) == len(index) == 293
    assert len(index.classes()) == 10


def test_images_with_several_labels_are_named(tmp_path: Path) -> None:
    """Copies in folders of other classes: one of the labels is wrong; copies of one class, and other bytes, are not."""
    content = [encode(np.full((9, 9, 3), shade, np.uint8), "PNG") for shade in range(6)]
    for path, number in {
        "a/0.png": 0, "a/1.png": 1, "a/1 again.png": 1, "a/2.png": 2, "b/3.png": 3, "b/2.png": 2, "c/2.png": 2,
        "c/4.png": 4, "c/5.png": 5, "b/5.png": 5,
    }.items():  # fmt: skip
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content[number])
    index = scan(FolderSource(tmp_path))
    found = [index.paths[row] for row in index.contradicting()]
    assert sorted(found) == ["a/2.png", "b/2.png", "b/5.png", "c/2.png", "c/5.png"]
    groups = {tuple(sorted(found[:3])), tuple(sorted(found[3:]))} | {tuple(sorted(found[:2])), tuple(sorted(found[2:]))}
    assert groups >= {("a/2.png", "b/2.png", "c/2.png"), ("b/5.png", "c/5.png")}
    (note,) = index.notes()
    assert note.startswith("5 images have the bytes of an image with another label, such as ")
    assert re.search(r"such as (\w)/(\d)\.png \(\1\) and (?!\1)(\w)/\2\.png \(\3\): one label of each is wrong$", note)


def test_copies_of_one_class_contradict_nobody() -> None:
    index = scan(ArraySource(np.zeros((2, 9, 9), np.uint8), np.array(["a", "a"])))
    assert not len(index.contradicting())
