"""What people point at when they want predictions."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from picture_files import SAMPLES

from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.data.inputs import Input, as_inputs, collect, with_root
from hubel.data.sources import open_source
from hubel.data.sources.listing import PassedOver


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("photos/10.png", "photos/9.png", "photos/deep/er/x.PNG", "photos/.hidden/x.png", "photos/[1]/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(SAMPLES["PNG"])
    (tmp_path / "photos" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources: str | Path) -> list[str]:
    return [Path(found.name).as_posix() for found in collect(sources)]


def from_stream(data: bytes) -> list[Input]:
    return list(collect(["-"], io.BytesIO(data)))


def test_files(photos: Path) -> None:
    assert names("photos/9.png", Path("photos/10.png")) == ["photos/9.png", "photos/10.png"]
    (found,) = collect([photos / "photos" / "9.png"])
    assert found.decode().width == 56


def test_a_folder_at_any_depth_in_natural_order(photos: Path) -> None:
    assert names("photos") == ["photos/9.png", "photos/10.png", "photos/[1]/a.png", "photos/deep/er/x.PNG"]
    assert all(found.decode((9, 9)).height == 40 for found in collect(["photos"]))


def test_patterns(photos: Path) -> None:
    assert names("photos/*.png") == ["photos/9.png", "photos/10.png"]
    assert names("photos/**/*.png")[-1] == "photos/[1]/a.png"
    assert names("photos/[1]") == ["photos/[1]/a.png"]
    assert names("photos/de*") == ["photos/deep/er/x.PNG"]


def test_a_table_of_paths(photos: Path) -> None:
    (photos / "t.csv").write_text("image_path,label\nphotos/9.png,a\nphotos/9.png,b\ngone.png,a\n")
    assert names("t.csv", "photos/10.png") == ["photos/9.png", "gone.png", "photos/10.png"]
    (photos / "empty" / "t.tsv").write_text("file_name\tsplit\n9.png\ttest\n[1]/a.png\ttrain\n")
    (photos / "no.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="none of the 2 files"):
        names("empty/t.tsv")
    with pytest.raises(DataError, match="no column of image paths"):
        names("no.csv")
    found = with_root(["empty/t.tsv", "photos/10.png"], Path("photos"))
    assert [Path(one.name).as_posix() for one in collect(found)][:2] == ["photos/9.png", "photos/[1]/a.png"]
    with pytest.raises(OptionError, match="no table is named"):
        with_root(["photos"], Path("photos"))


def test_the_home_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos))
    monkeypatch.setenv("USERPROFILE", str(photos))
    assert names("~/photos/9.png") == [(photos / "photos" / "9.png").as_posix()]


@pytest.mark.parametrize("sources", [[], ["gone.png"], ["gone.png", "no/*.jpg"], ["x" * 5000], ["a\0b"]])
def test_nothing_is_there(photos: Path, sources: list[str]) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        list(collect(sources))


def test_an_empty_name_is_not_the_folder_that_one_is_in(photos: Path) -> None:
    """As of a variable of the shell that is not set."""
    for given in ([""], ["photos", ""]):
        with pytest.raises(OptionError, match=r"a path is empty; the folder that you are in is \."):
            list(collect(given))
    with pytest.raises(OptionError, match="a path is empty"):
        open_source("")


def test_one_missing_file_does_not_stop_the_others(photos: Path) -> None:
    missing, there = collect(["gone.png", "photos/9.png"])
    with pytest.raises(DecodeError, match=r"gone\.png: there is no such file"):
        missing.decode()
    assert there.decode().width == 56


def test_a_folder_without_images(photos: Path) -> None:
    with pytest.raises(DataError, match="empty: there is no image in this folder"):
        list(collect(["empty"]))


def test_links_are_followed_without_loops(photos: Path) -> None:
    try:
        (photos / "empty" / "out.png").symlink_to(photos / "photos" / "9.png")
        (photos / "empty" / "more").symlink_to(photos / "photos" / "deep")
        (photos / "empty" / "loop").symlink_to(photos / "empty")
        (photos / "empty" / "self.png").symlink_to(photos / "empty" / "self.png")
    except OSError:
        pytest.skip("links are not allowed here")
    skip = PassedOver()
    for source in ("empty", "empty/**/*", "empty/**/*.[pP][nN][gG]"):
        *found, itself = collect([source], skip=skip)
        assert [Path(one.name).as_posix() for one in found] == ["empty/more/er/x.PNG", "empty/out.png"]
        assert all(one.decode().width == 56 for one in found)
        with pytest.raises(DecodeError, match="a link that leads to itself"):
            itself.decode()
    assert skip.counts() == {"links to a folder that they lie in (loop)": 2}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_list_as_powershell_writes_it(photos: Path, encoding: str) -> None:
    """With a mark, in UTF-16, whose zero bytes end no name."""
    text = "\ufeffphotos/9.png\r\nphotos/Größe.png\r\n"
    assert [found.name for found in from_stream(text.encode(encoding))] == ["photos/9.png", "photos/Größe.png"]


def test_a_path_in_an_array_without_dimensions(photos: Path) -> None:
    assert [found.name for found in as_inputs(np.array("photos/9.png"))] == ["photos/9.png"]


def test_a_table_in_python_is_no_list_of_its_columns(photos: Path) -> None:
    table = pa.table({"image_path": ["photos/9.png"], "label": ["a"]})
    for given in (table, SimpleNamespace(columns=["image_path", "label"])):  # as of pandas
        with pytest.raises(DataError, match=f"images is {type(given).__name__}; an image is a path, an array"):
            list(as_inputs(given))
        with pytest.raises(DataError, match=f"or a list of images, not {type(given).__name__}"):
            open_source((given, ["a"]))


def test_files_passed_over_are_counted_by_their_endings(photos: Path) -> None:
    for name in ("a.svg", "b.SVG", "c.mov"):
        (photos / "photos" / name).touch()
    skip = PassedOver()
    assert len(list(collect(["photos"], skip=skip))) == 4
    assert skip.counts() == {"hidden (.hidden)": 1, "not images (svg, mov, txt)": 4}
    (photos / "empty" / "a.svg").touch()
    with pytest.raises(DataError, match=r"empty: there is no image in this folder; 1 file passed over: not images"):
        list(collect(["empty"]))


@pytest.mark.parametrize("name", ["~$draft.png", "~nobody.png", "~old/1.png"])
def test_names_that_begin_with_a_tilde(photos: Path, name: str) -> None:
    (photos / name).parent.mkdir(exist_ok=True)
    (photos / name).write_bytes(SAMPLES["PNG"])
    (found,) = collect([name.partition("/")[0]])
    assert (Path(found.name).as_posix(), found.decode().width) == (name, 56)
    with pytest.raises(DataError, match="~nobody-here/a: no such file or folder"):
        list(collect(["~nobody-here/a"]))


@pytest.mark.parametrize("kind", SAMPLES)
def test_an_image_from_standard_input(kind: str) -> None:
    (found,) = from_stream(SAMPLES[kind])
    assert found.name == "-"
    assert found.decode().width == 56


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_paths_from_standard_input(photos: Path, start: bytes) -> None:
    found = from_stream(start + "photos/9.png\r\n\n  BMW.jpg \nGIF89a.gif\nphotos/größe.png".encode())
    assert [one.name for one in found] == ["photos/9.png", "BMW.jpg", "GIF89a.gif", "photos/größe.png"]
    assert found[0].decode().width == 56


@pytest.mark.parametrize("first", ["BMW.jpg", "GIF87a.png", "RIFF1234WEBP.webp", "II.png"])
def test_a_list_may_begin_with_the_letters_of_a_format(first: str) -> None:
    assert [one.name for one in from_stream(f"{first}\nb.png\n".encode())] == [first, "b.png"]


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_a_list_is_cut_at_its_own_ends_alone(end: bytes, photos: Path) -> None:
    names = ["photos/9.png", "line\u2028sep.png", "nel\x85.png", "vt\x0b.png", "ff\x0c.png", "BMW.jpg", "\udce9.png"]
    data = b"".join(name.encode("utf-8", "surrogateescape") + end for name in names)
    assert [one.name for one in from_stream(data)] == names
    assert [one.name for one in from_stream(data[:-1])] == names


def test_a_list_ended_by_zero_bytes_keeps_every_letter() -> None:
    names = ["BMW.jpg", " a\nb .png\r"]
    assert [one.name for one in from_stream("\0".join([*names, ""]).encode())] == names


def test_standard_input_that_is_nothing(photos: Path) -> None:
    for data in (b"", b" \n\n"):
        with pytest.raises(DataError, match="standard input is empty"):
            from_stream(data)
    with pytest.raises(DecodeError, match="neither an image nor a list of paths"):
        from_stream(b"\x80\x81\x82 no text")
