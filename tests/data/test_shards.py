"""Images streamed from archives: their order, and that none is lost or comes twice."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tar_files import archive, header, numbered, octal, picture

from hubel.core.errors import DataError, OptionError
from hubel.data.decode import decode
from hubel.data.shards import Streamed, stream_shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven archives of 0, 5, 10, ... 30 images."""
    folder, first = tmp_path_factory.mktemp("stream"), 0
    for i in range(7):
        numbered(folder / f"s-{i}.tar", range(first, first + 5 * i))
        first += 5 * i
    return folder


def names(images: object) -> list[str]:
    return [image.name for image in images]  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**64), st.integers(0, 100), st.integers(1, 12), st.integers(1, 200))
def test_every_image_once_over_all_ranks(folder: Path, seed: int, epoch: int, world: int, buffer: int) -> None:
    ranks = [
        names(stream_shards(folder, seed=seed, epoch=epoch, buffer=buffer, rank=rank, world=world))
        for rank in range(world)
    ]
    counts = Counter(itertools.chain(*ranks))
    assert len(counts) == 105
    assert set(counts.values()) == {1}
    if world > 7:  # images are dealt one by one
        assert max(map(len, ranks)) - min(map(len, ranks)) <= 1
    else:
        assert all(len({name.split("/")[0] for name in rank}) <= -(-7 // world) for rank in ranks)


def test_the_order_is_a_function(folder: Path, tmp_path: Path) -> None:
    def order(seed: int = 1, epoch: int = 2, **other: int) -> list[str]:
        return names(stream_shards(folder, seed=seed, epoch=epoch, **other))  # type: ignore[arg-type]

    usual = order()
    assert order() == usual
    assert all(
        sorted(other) == sorted(usual) and other != usual for other in (order(seed=2), order(epoch=3), order(buffer=20))
    )
    files = sorted(folder.glob("*.tar"))
    for some in (files, files[::-1], [str(file) for file in files] + files):
        assert names(stream_shards(some, seed=1, epoch=2)) == usual
    assert names(stream_shards(f"{folder}/s-{{0..6}}.tar", seed=1, epoch=2)) == usual
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert names(stream_shards(tmp_path, seed=1, epoch=2)) == usual


def test_a_buffer_of_one_leaves_archives_in_order(folder: Path) -> None:
    for shard, group in itertools.groupby(
        names(stream_shards(folder, seed=5, epoch=0, buffer=1)), lambda n: n.split("/")[0]
    ):
        found = list(group)
        assert found == sorted(found)
        assert len(found) == 5 * int(shard[2])


def test_a_large_buffer_shuffles_well(folder: Path) -> None:
    """Where an image comes has little to do with where it lies: over many epochs its mean place is the middle."""
    places = Counter[str]()
    for epoch in range(200):
        for place, name in enumerate(names(stream_shards(folder, seed=0, epoch=epoch, buffer=105))):
            places[name] += place
    # The mean of 200 places among 105 has a standard deviation of 105 / sqrt(12 * 200) = 2.1.
    assert max(abs(total / 200 - 52) for total in places.values()) < 5 * 2.15


def test_an_image_has_name_bytes_and_label(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    numbered(tmp_path / "a" / "t.tar", range(4))
    got = {image.name: image for image in stream_shards(tmp_path, seed=0, epoch=0)}
    assert sorted(got) == [f"a/t.tar/000{i}.png" for i in range(4)]
    image = got["a/t.tar/0003.png"]
    assert isinstance(image, Streamed)
    assert image.label == "dog"
    assert (decode(image.data, name=image.name).pixels == 3).all()


def test_skip_is_called_for_members_passed_over(tmp_path: Path) -> None:
    path = archive(tmp_path / "t.tar", [("1.png", picture(1)), ("1.cls", "x"), ("2.cls", "y")])
    huge = header(b"3.png", octal(2**28 + 1), b"0")
    data = header(b"../0.png", octal(0), b"0") + path.read_bytes()[: 512 * 6] + huge
    with path.open("wb") as file:
        file.write(data)
        file.truncate(len(data) + 2**28 + 512 + 1024)
    told: list[tuple[str, str]] = []
    assert names(stream_shards(path, seed=0, epoch=0, skip=lambda *what: told.append(what))) == ["t.tar/1.png"]
    assert told == [
        ("t.tar/../0.png", "its path leads upwards"),
        ("t.tar/2", "a label without an image next to it"),
        ("t.tar/3.png", "268,435,457 bytes are more than the limit of 268,435,456"),
    ]


def test_settings_that_cannot_work(folder: Path, tmp_path: Path) -> None:
    for rank, world in ((1, 1), (-1, 2), (0, 0)):
        with pytest.raises(OptionError, match=f"rank {rank} of {world} is no process"):
            stream_shards(folder, seed=0, epoch=0, rank=rank, world=world)
    with pytest.raises(OptionError, match="a buffer holds at least 1 image, not 0"):
        stream_shards(folder, seed=0, epoch=0, buffer=0)
    with pytest.raises(OptionError, match="no archives in the list"):
        stream_shards([], seed=0, epoch=0)
    with pytest.raises(DataError, match="there is no tar archive in this folder"):
        stream_shards(tmp_path, seed=0, epoch=0)
    (tmp_path / "t.tar").write_bytes(b"x" * 1024)
    with pytest.raises(DataError, match=r"t\.tar is no tar archive"):
        list(stream_shards([tmp_path / "t.tar"], seed=0, epoch=0))
