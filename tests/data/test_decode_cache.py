"""The decode cache gives back exactly the images that were put into it, in memory as on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hubel.core.cache import LIMIT_VARIABLE, clear_cache, contents
from hubel.core.errors import OptionError
from hubel.core.files import cache_root, remove_leftovers
from hubel.data import decode_cache as module
from hubel.data.decode_cache import (
    DECODED,
    CacheLayout,
    CacheMode,
    DecodeCache,
    plan_cache,
    reduce_image,
    reduced_sizes,
)

SHAPES = np.array([[5, 7, 3], [4, 4, 1], [1, 9, 3]], np.int32)
DIGESTS = np.array([bytes([i]) * 16 for i in range(3)], "V16")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)


def decoded_images() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, shape[:2] if shape[2] == 1 else tuple(shape), np.uint8) for shape in SHAPES]


def planned(mode: CacheMode) -> CacheLayout:
    found = plan_cache(SHAPES, DIGESTS, mode)
    assert found is not None
    return found


def files() -> list[Path]:
    return sorted((cache_root() / DECODED).glob("*"))


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), min_size=1, max_size=5),
    st.tuples(st.integers(1, 500), st.integers(1, 500)),
)
def test_a_reduced_image_still_covers_the_size(sizes: list[tuple[int, int]], cover: tuple[int, int]) -> None:
    width, height = np.array(sizes).T
    across, down = reduced_sizes(width, height, cover)
    assert (across <= width).all()
    assert (down <= height).all()
    assert (across >= np.minimum(width, cover[0])).all()
    assert (down >= np.minimum(height, cover[1])).all()
    smaller = (across < width) | (down < height)
    assert (np.abs(across[smaller] / width[smaller] - down[smaller] / height[smaller]) < 1 / np.minimum(
        width, height
    )[smaller]).all(), "its shape is kept"  # fmt: skip


def test_a_reduced_pixel_is_the_mean_of_its_area() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    small = reduce_image(pixels, (80, 60), (20, 15))
    means = pixels.reshape(15, 4, 20, 4, 3).mean((1, 3))
    assert small.shape == (15, 20, 3)
    assert np.abs(small - means).max() <= 1
    assert reduce_image(pixels, (80, 60), (70, 50)) is pixels


def test_an_image_decoded_at_reduced_scale_has_the_same_size() -> None:
    full = np.random.default_rng(0).integers(0, 256, (403, 601, 3), np.uint8)
    assert (
        reduce_image(full, (601, 403), (100, 100)).shape == reduce_image(full[::2, ::2], (601, 403), (100, 100)).shape
    )


@pytest.mark.parametrize("mode", ["ram", "disk", "auto"])
def test_images_come_back_unchanged(mode: CacheMode) -> None:
    cache = DecodeCache(planned(mode))
    for number, pixels in enumerate(decoded_images()):
        assert cache.get(number) is None
        cache.put(number, pixels)
        found = cache.get(number)
        assert found is not None
        assert np.array_equal(found, pixels)


def test_a_file_serves_the_next_run_once_it_is_whole() -> None:
    first, others = DecodeCache(planned("disk")), decoded_images()
    for number, pixels in enumerate(others[:-1]):
        first.put(number, pixels)
    first.publish()
    assert [file.suffix for file in files()] == [".lock", ".tmp"], "not whole yet"
    first.put(len(others) - 1, others[-1])
    first.publish()
    assert [file.suffix for file in files()] == [".bin"]
    assert files()[0].stat().st_size - 32 == planned("disk").bytes == sum(pixels.size for pixels in others)
    second = DecodeCache(planned("disk"))
    for number, pixels in enumerate(others):
        found = second.get(number)
        assert found is not None
        assert np.array_equal(found, pixels)
        assert not found.flags.writeable


@pytest.mark.parametrize("at", [0, -33, -1, None])
def test_a_damaged_file_is_removed_and_made_again(at: int | None) -> None:
    def fill() -> DecodeCache:
        cache = DecodeCache(planned("disk"))
        for number, pixels in enumerate(decoded_images()):
            if cache.get(number) is None:
                cache.put(number, pixels)
        cache.publish()
        return cache

    fill()
    (file,) = files()
    data = bytearray(file.read_bytes())
    if at is None:
        del data[-1]
    else:
        data[at] ^= 1
    file.write_bytes(data)
    cache = DecodeCache(planned("disk"))
    assert not cache.filled.any()
    assert not file.exists()
    del cache
    fill()
    assert DecodeCache(planned("disk")).filled.all()
    assert files() == [file]


def test_the_file_of_a_living_run_stays() -> None:
    first, second = DecodeCache(planned("disk")), DecodeCache(planned("disk"))
    remove_leftovers(cache_root())
    for cache in (first, second):
        for number, pixels in enumerate(decoded_images()):
            cache.put(number, pixels)
        cache.publish()
    assert [file.suffix for file in files()] == [".bin"]
    assert DecodeCache(planned("disk")).filled.all()


def test_an_incomplete_file_is_removed_at_the_end() -> None:
    cache = DecodeCache(planned("disk"))
    cache.put(0, decoded_images()[0])
    del cache
    assert not files()


def test_a_killed_run_s_file_is_removed_by_the_next() -> None:
    code = (
        "import os, numpy as np; from hubel.data.decode_cache import DecodeCache, plan_cache\n"
        f"shapes, digests = np.array({SHAPES.tolist()}, np.int32), np.array([b'x' * 16] * 3, 'V16')\n"
        "cache = DecodeCache(plan_cache(shapes, digests, 'disk'))\n"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    left = files()
    assert [file.suffix for file in left] == [".lock", ".tmp"]
    cache = DecodeCache(planned("disk"))
    assert not set(left) & set(files())
    assert cache.get(0) is None


def test_other_bytes_or_shapes_are_other_files() -> None:
    other_shapes, other_bytes = SHAPES.copy(), DIGESTS.copy()
    other_shapes[0, 0] += 1
    other_bytes[0] = b"y" * 16
    found = [
        plan_cache(SHAPES, DIGESTS, "ram"),
        plan_cache(other_shapes, DIGESTS, "ram"),
        plan_cache(SHAPES, other_bytes, "ram"),
    ]
    assert len({one.key for one in found if one}) == 3


def test_auto_takes_memory_then_the_disk_then_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert planned("auto").medium == "ram"
    monkeypatch.setattr(module, "_RAM_BYTES", 100)
    assert planned("auto").medium == "disk"
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-9")
    assert plan_cache(SHAPES, DIGESTS, "auto") is None
    assert "more than there is room for" in capsys.readouterr().err
    with pytest.raises(OptionError, match=LIMIT_VARIABLE):
        plan_cache(SHAPES, DIGESTS, "disk")
    assert plan_cache(SHAPES, DIGESTS, "off") is None
    with pytest.raises(OptionError, match="one of auto, off, ram, disk, not 'yes'"):
        plan_cache(SHAPES, DIGESTS, "yes")  # type: ignore[arg-type]


def test_the_file_that_was_not_used_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(2):
        one = plan_cache(SHAPES, np.array([bytes([seed]) * 16] * 3, "V16"), "disk")
        assert one is not None
        cache = DecodeCache(one)
        for number, pixels in enumerate(decoded_images()):
            cache.put(number, pixels)
        cache.publish()
        os.utime(module._file(one), (seed, seed))
    newest = module._file(one)
    monkeypatch.setenv(LIMIT_VARIABLE, str(2.5 * one.bytes / 2**30))
    assert plan_cache(SHAPES, np.array([b"z" * 16] * 3, "V16"), "disk")
    assert files() == [newest]
    assert clear_cache(["decoded"]) == one.bytes + 32
    assert not files()


@pytest.mark.parametrize("kind", ["decoded", "pictures", "all"])
def test_the_folder_of_an_earlier_version_is_counted_and_cleared(kind: str) -> None:
    former = cache_root() / "pictures" / "0.bin"
    former.parent.mkdir(parents=True)
    former.write_bytes(bytes(7))
    assert ("decoded", 7) in [(kind, size) for kind, size, _ in contents()]
    assert clear_cache([kind]) == 7
    assert not former.exists()


def test_a_large_cache_is_announced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planned("disk")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "_ANNOUNCED", 1)
    planned("disk")
    assert "caching 3 decoded images, 0 MiB, in the cache on the disk" in capsys.readouterr().err


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OptionError, match=r"decoded images need .* No space left on device; use --cache off"):
        DecodeCache(planned("disk"))
    assert not files()


def test_threads_put_at_the_same_time() -> None:
    shapes = np.full((400, 3), (8, 8, 3), np.int32)
    found = plan_cache(shapes, np.arange(400, dtype=np.uint64).view("V8"), "disk")
    assert found is not None
    cache = DecodeCache(found)

    def fill(start: int) -> None:
        for number in range(start, 400, 4):
            cache.put(number, np.full((8, 8, 3), number % 251, np.uint8))

    threads = [threading.Thread(target=fill, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache.publish()
    again = DecodeCache(found)
    for number in range(400):
        pixels = again.get(number)
        assert pixels is not None
        assert (pixels == number % 251).all()
