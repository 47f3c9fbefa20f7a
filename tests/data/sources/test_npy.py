"""Folders of .npy images: what they give, and what hostile files cannot do."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from picture_files import SAMPLES

from hubel.core.errors import DataError, DecodeError
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.sources import open_source
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.npy import NpySource, decode_npy

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (6, 5, 3), np.uint8)


class Trap:
    """An object that, when it is unpickled, leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    """Return the bytes of a .npy file."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), version=version)
    return out.getvalue()


def file_of(header: str | bytes, pixels: bytes = b"", version: int = 1) -> bytes:
    """Return a .npy file with any header."""
    text = header.encode("latin-1") if isinstance(header, str) else header
    return b"\x93NUMPY" + bytes((version, 0)) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + pixels


def described(descr: str, shape: str, pixels: bytes = bytes(12)) -> bytes:
    return file_of(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", pixels)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


shapes = st.tuples(st.integers(1, 7), st.integers(1, 7)) | st.tuples(
    st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 3])
)


@given(arrays.arrays(np.uint8, shapes), st.booleans(), st.sampled_from([None, (1, 0), (2, 0), (3, 0)]))
def test_bytes_come_back(pixels: NDArray[np.uint8], fortran: bool, version: tuple[int, int] | None) -> None:
    found = decode_npy(npy(np.asfortranarray(pixels) if fortran else pixels, version), name="x.npy")
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.array_equal(found, pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8", ">f8"])
def test_floats_are_shares_of_full_scale(kind: str) -> None:
    found = decode_npy(npy(np.array([[0.0, 0.5, 1.0]], kind)), name="x.npy")
    assert found.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("end", ["npy", "NPY"])
def test_class_folders_with_and_without_splits(end: str, tmp_path: Path) -> None:
    grey = npy(COLOUR[..., 0])
    two = {"a": npy(COLOUR), "b": npy(255 - COLOUR)}
    plain = write(tmp_path / "plain", {f"{c}/{i}.{end}": content for c, content in two.items() for i in range(2)})
    source = open_source(plain)
    assert isinstance(source, NpySource)
    dataset = open_dataset(plain)
    assert dataset.classes() == ("a", "b")
    assert dataset.notes() == []
    assert np.array_equal(dataset.images(Preprocess(6, 5)).pixels(np.arange(1))[0], COLOUR)
    both = write(tmp_path / "both", {f"{s}/{c}/1.{end}": grey for c in "ab" for s in ("train", "test")})
    dataset = open_dataset(both)
    assert [SPLITS[code] for code in dataset.split_codes()] == ["test", "test", "train", "train"]
    assert (dataset.index.channels == 1).all()
    assert (dataset.index.width == 5).all()


def test_images_without_labels(tmp_path: Path) -> None:
    write(tmp_path, {"1.npy": npy(COLOUR), "2.npy": npy(COLOUR)})
    assert len(open_dataset(tmp_path, labelled=False).rows()) == 2
    with pytest.raises(DataError, match=r"found 2 images, but no class folders.*/<class>/\*\.npy"):
        open_dataset(tmp_path)


def test_a_folder_with_image_files_stays_a_folder_of_image_files(tmp_path: Path) -> None:
    write(tmp_path, {"a/0-features.npy": npy(COLOUR), "a/1.png": SAMPLES["PNG"], "b/1.png": SAMPLES["PNG"]})
    source = open_source(tmp_path)
    assert type(source) is FolderSource
    assert len(source.listing()) == 2
    assert source.listing().skipped == {"not images (npy)": 1}


HUGE = "9" * 5000
DAMAGED = {
    "the file is empty": b"",
    "no .npy file": b"PK\3\4" + bytes(100),
    "truncated or damaged .npy header": npy(COLOUR)[:40],
    "truncated or damaged .npy header ": file_of("", version=2)[:8] + b"\xff" * 100,
    "damaged .npy header": file_of("{'descr': __import__('os').getcwd()}"),
    "damaged .npy header ": file_of("(" * 9000),
    "damaged .npy header  ": file_of("{'descr': '|u1'}"),
    "damaged .npy header   ": described("'|u1'", "(True, 2)"),
    "damaged .npy header    ": described("'|u1'", f"({HUGE}, 2)"),
    "80 bytes of pixels, where (6, 5, 3) of uint8 takes 90": npy(COLOUR)[:-10],
    "91 bytes of pixels, where (6, 5, 3) of uint8 takes 90": npy(COLOUR) + b"\0",
    "(h, w, 1) or (h, w, 3), not (3, 6, 5)": npy(np.moveaxis(COLOUR, 2, 0)),
    "(h, w, 1) or (h, w, 3), not (4,)": npy(np.zeros(4, np.uint8)),
    "(h, w, 1) or (h, w, 3), not ()": npy(np.uint8(4)),
    "(h, w, 1) or (h, w, 3), not (0, 4)": npy(np.zeros((0, 4), np.uint8)),
    "(h, w, 1) or (h, w, 3), not (2, 4, 4, 3)": npy(np.zeros((2, 4, 4, 3), np.uint8)),
    "1000000x1000000 pixels are more than the limit of": described("'|u1'", "(1000000, 1000000)"),
    "pixels are uint8, or floats from 0 to 1, not <i4": npy(np.zeros((4, 4), "<i4")),
    "pixels are uint8, or floats from 0 to 1, not <c8": npy(np.zeros((4, 4), "<c8")),
    "pixels are uint8, or floats from 0 to 1, not [('a'": npy(np.zeros((4, 4), [("a", "u1")])),
    "floats lie between 0 and 1, not 0 to 255": npy(np.array([[0.0, 255.0]])),
    "pixels are finite numbers": npy(np.array([[0.0, np.nan]])),
}


@pytest.mark.parametrize(("reason", "data"), DAMAGED.items(), ids=lambda value: None)
def test_a_damaged_file_is_named_with_its_reason(reason: str, data: bytes) -> None:
    with pytest.raises(DecodeError) as got:
        decode_npy(data, name="cat/7.npy")
    assert str(got.value).startswith("cat/7.npy: ")
    assert reason.strip() in got.value.reason
    assert len(got.value.reason) < 250


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    hostile = io.BytesIO()
    np.save(hostile, np.array([[Trap(trap)]], object), allow_pickle=True)
    bare = pickle.dumps(Trap(trap))
    # An object array that claims to be bytes, and a pickle behind an honest header.
    disguised = described("'|u1'", "(3, 4)", bare)
    files = {"a/1.npy": npy(COLOUR), "b/1.npy": npy(COLOUR), "b/2.npy": hostile.getvalue()}
    dataset = open_dataset(write(tmp_path / "set", {**files, "b/3.npy": bare, "b/4.npy": disguised}))
    assert len(dataset.rows()) == 2
    reasons = dict(dataset.index.unreadable())
    assert reasons["b/2.npy"] == "it holds Python objects, which are never loaded"
    assert reasons["b/3.npy"] == "no .npy file"
    assert "bytes of pixels, where (3, 4) of uint8 takes 12" in reasons["b/4.npy"]
    assert not trap.exists()
    pickle.loads(bare)  # the trap works
    assert trap.exists()


def test_a_header_cannot_ask_for_memory() -> None:
    tracemalloc.start()
    with pytest.raises(DecodeError, match="bytes of pixels"):
        decode_npy(described("'<f8'", "(9000, 9000)"), name="x.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: file_of(data)))
def test_any_bytes_are_an_image_or_an_error(data: bytes) -> None:
    try:
        found = decode_npy(data, name="x.npy")
    except DecodeError:
        return
    assert found.dtype == np.uint8


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_of_a_stranger_may_not_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.npy").write_bytes(npy(COLOUR))
    root = write(tmp_path / "set", {"a/1.npy": npy(COLOUR), "b/1.npy": npy(COLOUR)})
    (root / "b" / "2.npy").symlink_to(tmp_path / "secret.npy")
    assert np.array_equal(NpySource(root).read(2, "b/2.npy"), COLOUR)
    with pytest.raises(DecodeError, match="its real path lies outside"):
        NpySource(root, within=root).read(2, "b/2.npy")
