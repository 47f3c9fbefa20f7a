"""Folders of class folders."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from picture_files import SAMPLES

from hubel.core.errors import DataError, DecodeError
from hubel.data.decode import decode
from hubel.data.sources.folder import FolderSource, file_stamp
from hubel.data.sources.listing import SPLITS, Listing


def made(root: Path, names: Iterable[str]) -> FolderSource:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(SAMPLES["PNG"])
    return FolderSource(root)


def rows(listing: Listing) -> list[tuple[str, str, str]]:
    return [(listing.paths[i], listing.labels[listing.label[i]], SPLITS[listing.split[i]]) for i in range(len(listing))]


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("links are not allowed here")


def test_without_splits_in_natural_order(tmp_path: Path) -> None:
    source = made(
        tmp_path / "pets", ["dog/10.png", "dog/2.png", "dog/1.PNG", "Cat/b.png", "Cat/a.png", "cow/deep/x.png"]
    )
    assert source.name == "pets"
    assert rows(source.listing()) == [
        ("Cat/a.png", "Cat", ""),
        ("Cat/b.png", "Cat", ""),
        ("cow/deep/x.png", "cow", ""),
        ("dog/1.PNG", "dog", ""),
        ("dog/2.png", "dog", ""),
        ("dog/10.png", "dog", ""),
    ]
    assert source.read(0, "Cat/a.png") == SAMPLES["PNG"]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation", "dev"])
def test_with_splits(tmp_path: Path, val: str) -> None:
    """A class may be absent in one split, and a split may come in two folders."""
    source = made(tmp_path, ["train/a/1.png", "train/b/sub/1.png", f"{val}/b/1.png", "TEST/a/1.png", "testing/c/1.png"])
    assert sorted(rows(source.listing())) == sorted(
        [
            ("train/a/1.png", "a", "train"),
            ("train/b/sub/1.png", "b", "train"),
            (f"{val}/b/1.png", "b", "val"),
            ("TEST/a/1.png", "a", "test"),
            ("testing/c/1.png", "c", "test"),
        ]
    )


def test_files_outside_the_splits_are_counted(tmp_path: Path) -> None:
    names = ["train/a/1.png", "train/b/1.png", "train/loose.png", "val/a/1.png", "extra/a/1.png", "loose.png"]
    listing = made(tmp_path, names).listing()
    assert [path for path, _, _ in rows(listing)] == ["train/a/1.png", "train/b/1.png", "val/a/1.png"]
    assert listing.skipped == {
        "outside train, val and test (extra/a/1.png, loose.png)": 2,
        "in no class folder (train/loose.png)": 1,
    }


def test_a_class_called_train(tmp_path: Path) -> None:
    listing = made(tmp_path, ["train/1.png", "plane/1.png", "test/1.png"]).listing()
    assert {label for _, label, _ in rows(listing)} == {"train", "plane", "test"}
    assert not listing.split.any()


def test_a_test_folder_with_class_folders_is_a_class_where_there_is_no_train(tmp_path: Path) -> None:
    listing = made(tmp_path, ["test/big/1.png", "plane/1.png"]).listing()
    assert rows(listing) == [("plane/1.png", "plane", ""), ("test/big/1.png", "test", "")]


def test_splits_without_train_are_splits_where_there_is_nothing_else(tmp_path: Path) -> None:
    listing = made(tmp_path, ["test/a/1.png", "val/b/1.png"]).listing()
    assert rows(listing) == [("test/a/1.png", "a", "test"), ("val/b/1.png", "b", "val")]


def test_files_passed_over_are_counted(tmp_path: Path) -> None:
    names = ["a/1.png", "b/1.png", "loose.png", "a/.hidden.png", ".git/x.png", "a/Thumbs.db", "a/notes.txt", "b/noend"]
    listing = made(tmp_path, names).listing()
    assert [path for path, _, _ in rows(listing)] == ["a/1.png", "b/1.png"]
    assert listing.skipped == {
        "in no class folder (loose.png)": 1,
        "hidden (.git, .hidden.png, Thumbs.db)": 3,
        "not images (txt, noend)": 2,
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["2.png", "10.png"], [("2.png", "", ""), ("10.png", "", "")]),
        (["a/1.png", "2.png"], [("2.png", "", ""), ("a/1.png", "a", "")]),
        (["train/1.png", "val/1.png"], [("train/1.png", "", "train"), ("val/1.png", "", "val")]),
        (["train/a/1.png", "train/2.png", "val/3.png"],
         [("train/2.png", "", "train"), ("train/a/1.png", "a", "train"), ("val/3.png", "", "val")]),
    ],
)  # fmt: skip
def test_where_no_labels_are_needed(tmp_path: Path, names: list[str], expected: list[tuple[str, str, str]]) -> None:
    made(tmp_path, names)
    listing = FolderSource(tmp_path, labelled=False).listing()
    assert sorted(rows(listing)) == sorted(expected)
    assert listing.skipped == {}


def test_links_of_a_user_are_followed(tmp_path: Path) -> None:
    """Links to files and folders anywhere, but no loop; what leads nowhere is named."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    made(root, ["a/1.png", "b/1.png"])
    made(outside, ["x/1.png", "x/deep/2.png"])
    link(root / "a" / "inside.png", root / "b" / "1.png")
    link(root / "a" / "outside.png", outside / "x" / "1.png")
    link(root / "a" / "nowhere.png", root / "nothing")
    link(root / "a" / "itself.png", root / "a" / "itself.png")
    link(root / "a" / "itself", root / "a" / "itself")
    link(root / "a" / "loop", root)
    link(root / "b" / "everything", Path(root.anchor))
    link(root / "c", outside / "x")
    link(root / "d", root / "nothing")
    source = FolderSource(root)
    listing = source.listing()
    unreadable = {"a/nowhere.png": "there is no such file", "a/itself.png": "a link that leads to itself"}
    assert [path for path, _, _ in rows(listing) if path not in unreadable] == [
        *("a/1.png", "a/inside.png", "a/outside.png", "b/1.png", "c/1.png", "c/deep/2.png")
    ]
    assert listing.skipped == {
        "links that lead to themselves (a/itself)": 1,
        "links to a folder that they lie in (a/loop, b/everything)": 2,
        "links that lead nowhere (d)": 1,
    }
    assert source.read(2, "a/outside.png") == source.read(5, "c/deep/2.png") == SAMPLES["PNG"]
    for name, reason in unreadable.items():
        with pytest.raises(DecodeError, match=reason):
            source.read(0, name)


def test_links_of_a_stranger_are_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    made(root, ["a/1.png", "b/1.png"])
    made(outside, ["x/1.png"])
    link(root / "a" / "outside.png", outside / "x" / "1.png")
    link(root / "c", outside / "x")
    source = FolderSource(root, within=root)
    listing = source.listing()
    assert [path for path, _, _ in rows(listing)] == ["a/1.png", "a/outside.png", "b/1.png"]
    assert listing.skipped == {"links to folders (c)": 1}
    with pytest.raises(DecodeError, match="its real path lies outside"):
        source.read(1, "a/outside.png")


def test_folders_that_link_to_each_other_are_listed_in_bounded_time(tmp_path: Path) -> None:
    names = "abcdef"
    made(tmp_path, [f"{name}/1.png" for name in names])
    for one in names:
        for other in names:
            link(tmp_path / one / f"to-{other}", tmp_path / other)
    listing = FolderSource(tmp_path).listing()
    # Each of the 6 * 5 links leads to a folder, and from there once to each of the 4 others.
    assert len(listing) == 6 + 30 + 30 * 4


@pytest.mark.skipif(os.name == "nt", reason="paths there have 260 letters")
def test_folders_deeper_than_python_recurses(tmp_path: Path) -> None:
    source = made(tmp_path, ["a/1.png", "b/1.png"])
    folders = [f"{tmp_path}/a" + "/d" * depth for depth in range(1, 1101)]
    file = Path(folders[-1], "x.png")
    try:
        for folder in folders:
            os.mkdir(folder)  # noqa: PTH102 - a Path of so many parts is slow
        file.write_bytes(SAMPLES["PNG"])
        listing = source.listing()
        assert [len(listing.paths[row]) for row in range(3)] == [7, 2207, 7]
        assert source.read(1, listing.paths[1]) == SAMPLES["PNG"]
    finally:  # pytest, which removes old folders, cannot
        file.unlink()
        for folder in reversed(folders):
            os.rmdir(folder)  # noqa: PTH106


def test_the_stamp_of_a_link_changes_with_its_target(tmp_path: Path) -> None:
    source = made(tmp_path, ["a/1.png", "b/1.png"])
    link(tmp_path / "a" / "link.png", tmp_path / "b" / "1.png")
    before = source.listing()
    (tmp_path / "b" / "1.png").write_bytes(SAMPLES["GIF"])
    assert (before.stamp != source.listing().stamp).tolist() == [False, True, True]


def test_stamps_change_with_path_size_and_time(tmp_path: Path) -> None:
    def status(size: int, time_ns: int) -> os.stat_result:
        os.utime(file, ns=(time_ns, time_ns))
        os.truncate(file, size)
        os.utime(file, ns=(time_ns, time_ns))
        return file.stat()

    file = tmp_path / "f"
    file.touch()
    facts = [
        ("a", status(3, 10**18)),
        ("b", status(3, 10**18)),
        ("a", status(4, 10**18)),
        ("a", status(3, 10**18 + 1000)),
    ]
    stamps = [file_stamp(path, told) for path, told in facts]
    assert len({0, *stamps}) == 5
    assert all(0 < value < 2**64 for value in stamps)
    assert file_stamp(*facts[0]) == stamps[0]


def test_a_folder_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(tmp_path, ["a/1.png", "b/1.png", "c/1.png"])
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    listing = source.listing()
    assert [path for path, _, _ in rows(listing)] == ["a/1.png", "c/1.png"]
    assert listing.skipped == {"folders that may not be opened (b)": 1}


@pytest.mark.skipif(os.name == "nt", reason="names there are no bytes")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    made(tmp_path, ["a/1.png", "b/1.png"])
    name = os.fsdecode(b"\xff\xfe.png")
    try:
        (tmp_path / "a" / name).write_bytes(SAMPLES["PNG"])
    except OSError:
        pytest.skip("this file system wants text")
    source = FolderSource(tmp_path)
    path = source.listing().paths[1]
    assert path == f"a/{name}"
    assert decode(source.read(1, path), name=path).width == 56


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train/train/a/1.png", "train/train/b/1.png", "test/test/a/1.png"],
         {("a", "train"), ("b", "train"), ("a", "test")}),
        (["training_set/training_set/a/1.png", "training_set/training_set/b/1.png", "test_set/test_set/a/1.png"],
         {("a", "train"), ("b", "train"), ("a", "test")}),
        (["seg_train/seg_train/a/1.png", "seg_train/seg_train/b/1.png", "seg_test/seg_test/b/1.png", "seg_pred/1.png"],
         {("a", "train"), ("b", "train"), ("b", "test")}),
        (["Training Data/a/1.png", "Training Data/b/1.png", "Validation Data/a/1.png"],
         {("a", "train"), ("b", "train"), ("a", "val")}),
        (["train-images/images/a/1.png", "train-images/images/b/1.png"], {("a", "train"), ("b", "train")}),
        (["pets/train/a/1.png", "pets/train/b/1.png", "pets/val/b/1.png"],
         {("a", "train"), ("b", "train"), ("b", "val")}),
        (["pets/pets/a/1.png", "pets/pets/b/1.png"], {("a", ""), ("b", "")}),
        (["PetImages/a/1.png", "PetImages/b/sub/1.png"], {("a", ""), ("b", "")}),
        (["archive (1)/x/PetImages/a/1.png", "archive (1)/x/PetImages/b/1.png"], {("a", ""), ("b", "")}),
        (["archive/x/train/a/1.png", "archive/x/test/a/1.png"], {("a", "train"), ("a", "test")}),
        # No wrappers: a class of its own, whose images lie deeper.
        (["train/a/1.png", "train/b/1.png", "test/a/sub/1.png"], {("a", "train"), ("b", "train"), ("a", "test")}),
        (["cats/cats/1.png"], {("cats", "")}),
        (["cats/2024/1.png"], {("cats", "")}),
        (["cats/2024/may/1.png"], {("cats", "")}),
        ([f"{'d/' * 300}{name}/1.png" for name in "ab"], {("d", "")}),
        (["cats/1.png", "cats/a/1.png", "cats/b/1.png"], {("cats", "")}),
    ],
)  # fmt: skip
def test_wrapped_folders_and_names_of_splits(tmp_path: Path, names: list[str], expected: set[tuple[str, str]]) -> None:
    listing = made(tmp_path / "pets", names).listing()
    assert {(label, split) for _, label, split in rows(listing)} == expected


@pytest.mark.parametrize("inner", ["", "/train_set", "/images"])
def test_splits_are_never_classes(tmp_path: Path, inner: str) -> None:
    with pytest.raises(DataError, match="found 2 images, but no class folders"):
        made(tmp_path, [f"train_set{inner}/1.png", f"test_set{inner.replace('train', 'test')}/1.png"]).listing()


def test_blanks_around_names_do_not_count(tmp_path: Path) -> None:
    """As in tables of labels."""
    try:
        listing = made(tmp_path, ["train/cat /1.png", "train/dog/1.png ", "test/ cat/1.png"]).listing()
    except OSError:
        pytest.skip("this file system wants other names")
    assert sorted((label, split) for _, label, split in rows(listing)) == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]


def test_class_names_are_compared_in_nfc(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    try:
        listing = made(tmp_path, [f"train/{composed}/1.png", "train/b/1.png", f"test/{apart}/1.png"]).listing()
    except OSError:
        pytest.skip("this file system wants other names")
    assert sorted(listing.labels) == ["b", composed]
    assert f"test/{apart}/1.png" in [path for path, _, _ in rows(listing)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"found no image in this folder; expected pets/<class>/\*.jpg"),
        (
            ["1.png", "2.png", "a.mov"],
            r"found 2 images, but no class folders; expected pets/<class>/\*.jpg; hubel predict takes images without "
            r"labels; 1 file passed over: not images \(mov\)$",
        ),
        (["1.png"], "found 1 image, but no class folders"),
        (["a/readme.txt"], "found no image"),
    ],
)
def test_nothing_to_learn_from(tmp_path: Path, names: list[str], message: str) -> None:
    (tmp_path / "pets").mkdir()
    with pytest.raises(DataError, match=message):
        made(tmp_path / "pets", names).listing()


def test_real_photos(shared: Path) -> None:
    if not (shared / "clothing").is_dir():
        pytest.skip("needs ../shared/data/clothing")
    listing = FolderSource(shared / "clothing").listing()
    assert len(listing.labels) == 10
    assert [int((listing.split == code).sum()) for code in range(4)] == [0, 1000, 0, 293]
