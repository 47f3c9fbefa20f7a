"""Data sets of the hub, whose client is a fake here: it lays files into a cache as the real one does."""

from __future__ import annotations

import fnmatch
import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest
from hf_files import parquet, several, table
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tar_files import archive, numbered, one_line, picture

from hubel.core.errors import DataError
from hubel.data.decode import decode
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.hub import Address, is_address

COMMIT = "0123456789abcdef" * 2 + "01234567"


class Hub:
    """Repositories, and a cache that links to the bytes of each file."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.repositories: dict[str, Path] = {}
        self.asked: list[tuple[str, str | None, bool]] = []

    def snapshot_download(
        self, repo_id: str, *, repo_type: str, revision: str | None, allow_patterns: list[str], local_files_only: bool
    ) -> str:
        assert repo_type == "dataset"
        self.asked.append((repo_id, revision, local_files_only))
        folder = self.cache / f"datasets--{repo_id.replace('/', '--')}"
        snapshot = folder / "snapshots" / COMMIT
        if local_files_only:
            if not snapshot.exists():
                raise LocalEntryNotFoundError("Cannot find an appropriate\ncached snapshot")
            return str(snapshot)
        snapshot.mkdir(parents=True, exist_ok=True)
        origin = self.repositories[repo_id]
        for number, file in enumerate(sorted(path for path in origin.rglob("*") if path.is_file())):
            name = file.relative_to(origin).as_posix()
            if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                blob, link = folder / "blobs" / f"{number:064x}", snapshot / name
                for parent in (blob.parent, link.parent):
                    parent.mkdir(parents=True, exist_ok=True)
                blob.write_bytes(file.read_bytes())
                link.unlink(missing_ok=True)
                link.symlink_to(blob)
        return str(snapshot)

    def files(self) -> list[str]:
        return sorted(link.relative_to(link.parents[0]).name for link in self.cache.rglob("*") if link.is_symlink())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub.cache))
    return hub


def images(folder: Path) -> Path:
    for i, name in enumerate(("train/cat/1.png", "train/dog/2.JPEG", "test/cat/3.png", "test/dog/4.webp")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(i))
    return folder


def all_kinds(folder: Path) -> Mapping[str, Path]:
    """A small data set of each kind, by the name of its repository."""
    parquet(folder / "parquet" / "data" / "train-00000-of-00001.parquet", [1, 2], [0, 1])
    several(folder / "saved", train=[table([1, 2], [0, 1])], test=[table([3, 4], [0, 1])])
    numbered(folder / "tars" / "train-0.tar", range(4))
    (folder / "tars" / "classes.txt").write_text("cat\ndog\n")
    images(folder / "photos")
    images(folder / "named")
    (folder / "named" / "labels.csv").write_text("image_path,label\ntrain/cat/1.png,cat\ntrain/dog/2.JPEG,dog\n")
    return {name: folder / name for name in ("parquet", "saved", "tars", "photos", "named")}


@pytest.mark.parametrize("kind", ["parquet", "saved", "tars", "photos", "named"])
def test_each_kind_of_data_set(hub: Hub, tmp_path: Path, kind: str) -> None:
    origin = all_kinds(tmp_path / "origin")[kind]
    hub.repositories["owner/my.set"] = origin
    inside = {"named": "/labels.csv"}.get(kind, "")
    source, local = open_source(f"hf://datasets/owner/my.set{inside}"), open_source(f"{origin}{inside}")
    assert source.name == "my.set"
    here, there = scan(source), scan(local)
    assert here.unreadable() == there.unreadable() == []
    assert here.fingerprint() == there.fingerprint()
    assert here.classes() == ("cat", "dog")
    assert hub.asked == [("owner/my.set", None, False)]


def test_only_data_is_fetched(hub: Hub, tmp_path: Path) -> None:
    origin = all_kinds(tmp_path / "origin")["parquet"]
    for name in (
        "my_set.py",
        "model.bin",
        "weights.pkl",
        "data/archive.zip",
        "README.md",
        ".gitattributes",
        "data/x.jsonl",
    ):
        (origin / name).write_text("# x")
    hub.repositories["a/b"] = origin
    open_source("hf://datasets/a/b")
    assert hub.files() == ["README.md", "train-00000-of-00001.parquet"]


def test_a_data_set_without_data(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client makes no folder for no files."""
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *args, **options: str(tmp_path / "snapshots" / COMMIT)
    )
    assert one_line("hf://datasets/a/b") == "hf://datasets/a/b has no file that hubel reads"


def test_a_part_of_a_data_set(hub: Hub, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    for name in ("en/train-0.tar", "en/val-0.tar", "de/train-0.tar", "de/train-1.tar"):
        numbered(origin / name, range(2))
    (origin / "en" / "classes.txt").write_text("cat\ndog\n")
    hub.repositories["a/b"] = origin
    assert len(open_source("hf://datasets/a/b@v1.0/en").listing()) == 4
    assert hub.asked[-1] == ("a/b", "v1.0", False)
    assert hub.files() == ["classes.txt", "train-0.tar", "val-0.tar"]
    assert open_source("hf://datasets/a/b@refs%2Fpr%2F1/en/train-{0..0}.tar").listing().labels == ("cat", "dog")
    assert hub.asked[-1] == ("a/b", "refs/pr/1", False)
    assert len(open_source("hf://datasets/a/b/de/*.tar").listing()) == 4
    assert one_line("hf://datasets/a/b/fr") == "hf://datasets/a/b has no fr that hubel reads"
    assert open_source(Path("hf://datasets/a/b/en")).name == "b"


def test_links_of_a_repository_stay_inside_its_cache(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["a/b"] = images(tmp_path / "origin")
    source = open_source("hf://datasets/a/b")
    (tmp_path / "secret.png").write_bytes(picture(9))
    link = hub.cache / "datasets--a--b" / "snapshots" / COMMIT / "train" / "cat" / "1.png"
    link.unlink()
    link.symlink_to(tmp_path / "secret.png")
    assert [name for name, why in scan(source).unreadable() if "lies outside of" in why] == ["train/cat/1.png"]


def test_addresses() -> None:
    assert Address.parse("hf://datasets/o/n") == Address("o/n")
    assert Address.parse("hf://datasets/o/n@main/") == Address("o/n", "main")
    assert Address.parse("hf://datasets/o/n@refs/convert/parquet/x/y.parquet") == Address(
        "o/n", "refs/convert/parquet", "x/y.parquet"
    )
    assert Address.parse("hf:/datasets/o/n.x-y_z/data") == Address("o/n.x-y_z", None, "data")
    for text in ("photos", "C:\\photos", "c:/photos", "a:b", "digits", "/x/y", ("hf://datasets/a/b", None), 3):
        assert not is_address(text)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("hf://datasets/mnist", "is no address of a dataset; expected hf://datasets/OWNER/NAME"),
        ("hf://owner/name", "is no address of a dataset"),
        ("hf:owner/name", "is no address of a dataset"),
        ("hf://datasets/a/b/../c", "is no address of a dataset"),
        ("hf://datasets/../b", "is no address of a dataset"),
        ("hf://spaces/a/b", "is no address of a dataset"),
        ("https://example.org/photos.zip", "give its folder"),
        ("http://example.org/a.tar", "hubel downloads datasets of the Hugging Face hub only"),
        ("s3://bucket/a-{0..9}.tar", "hubel downloads datasets of the Hugging Face hub only"),
        ("file:///etc/passwd", "hubel downloads datasets of the Hugging Face hub only"),
        ("https://huggingface.co/datasets/o/n", "is a web page; write hf://datasets/o/n"),
        ("https://huggingface.co/datasets/o/n/tree/main", "write hf://datasets/o/n@main"),
    ],
)
def test_addresses_that_are_refused(hub: Hub, address: str, text: str) -> None:
    assert text in one_line(address)
    assert one_line(address).startswith(address)
    one_line(Path(address))
    assert hub.asked == []


def test_offline(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["a/b"] = all_kinds(tmp_path / "origin")["tars"]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert one_line("hf://datasets/a/b") == (
        f"hf://datasets/a/b is not, or not wholly, in the cache {hub.cache}, and HF_HUB_OFFLINE is set; "
        "unset it, or give the folder of a copy"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    open_source("hf://datasets/a/b")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert len(open_source("hf://datasets/a/b").listing()) == 4


def test_the_real_client_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the fake: an empty cache, and outgoing traffic disabled."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert "and HF_HUB_OFFLINE is set" in one_line("hf://datasets/a/b")


def _failed(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "404 Client Error.\nRequest ID: 1")
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            _failed(GatedRepoError),
            "its owner asks for your consent first: https://huggingface.co/datasets/a/b; then log in",
        ),
        (_failed(RepositoryNotFoundError), "the hub has no such dataset, or shows it to its members only"),
        (_failed(RevisionNotFoundError), "the dataset has no revision v9"),
        (OSError("no route\nto host"), "cannot be downloaded (no route to host); try again later, or give the folder"),
        (LocalEntryNotFoundError("Got: ConnectError\nand more"), "cannot be downloaded (Got: ConnectError and more)"),
    ],
)
def test_a_download_that_fails(monkeypatch: pytest.MonkeyPatch, error: Exception, text: str) -> None:
    def failing(*args: Any, **options: Any) -> str:
        logging.getLogger("huggingface_hub.file_download").warning("trying again")
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert one_line("hf://datasets/a/b@v9").startswith("hf://datasets/a/b@v9")
    assert text in one_line("hf://datasets/a/b@v9")
    assert logging.getLogger("huggingface_hub").level != logging.ERROR


def test_nothing_else_opens_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **options: Any) -> Any:
        raise AssertionError("a connection")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refused)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refused)
    with pytest.raises(AssertionError, match="a connection"):
        socket.create_connection(("example.org", 80))
    kinds = all_kinds(tmp_path)
    (kinds["parquet"] / "README.md").write_text("---\nconfigs: [{data_files: data/*}]\n---\n")
    for name, path in kinds.items():
        source = open_source(path)
        assert len(scan(source)) >= 2
        data = source.read(0, source.listing().paths[0])
        assert isinstance(data, bytes)
        assert decode(data, name=name).width == 4
    with pytest.raises(DataError):
        open_source("https://example.org/x.tar")
    archive(tmp_path / "u.tar", [("1.png", picture(1)), ("1.json", '{"label": 1, "url": "http://example.org/1.png"}')])
    assert len(scan(open_source(tmp_path / "u.tar"))) == 1
