"""The bytes of files, links, pipes and devices; limits."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from picture_files import SAMPLES

from hubel.core.errors import DecodeError
from hubel.data.reading import Limits, read_regular


def file_reason(path: Path, **options: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        read_regular(path, **options)
    assert caught.value.name == str(path)
    return caught.value.reason


def test_read_regular(tmp_path: Path) -> None:
    path = tmp_path / "a picture.png"
    path.write_bytes(SAMPLES["PNG"])
    assert read_regular(path) == read_regular(path, root=tmp_path) == SAMPLES["PNG"]
    assert file_reason(tmp_path / "none.png") == "there is no such file"
    assert file_reason(path / "below") == "there is no such file"
    assert file_reason(tmp_path).startswith("a folder")
    assert "null" in file_reason(tmp_path / "a\0b")
    (tmp_path / "empty").touch()
    assert read_regular(tmp_path / "empty") == b""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_permission_denied(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    assert file_reason(path) == "permission denied"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    assert file_reason(path) == "a pipe, not a regular file"

    regular = os.stat_result((stat.S_IFREG, *[0] * 9))
    monkeypatch.setattr(Path, "stat", lambda self, **_: regular)  # the pipe comes after the first look
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(file_reason(path)), daemon=True)
    thread.start()
    thread.join(5)
    assert reasons == ["a pipe, not a regular file"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets with names here")
def test_a_socket_or_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert file_reason(tmp_path / "s") == "a socket, not a regular file"
    assert file_reason(Path(os.devnull)) == "a device, not a regular file"


def link(path: Path, target: Path) -> Path:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("links are not allowed here")
    return path


def test_links_and_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "class").mkdir(parents=True)
    outside.mkdir()
    for folder in (root, outside):
        (folder / "a.png").write_bytes(b"data")
    inner, outer = link(root / "class" / "in.png", root / "a.png"), link(root / "out.png", outside / "a.png")
    folder = link(root / "folder", outside)
    assert read_regular(inner, root=root) == b"data"
    assert read_regular(outer) == b"data"
    for path in (outer, folder / "a.png", root / ".." / "outside" / "a.png"):
        assert file_reason(path, root=root) == f"its real path lies outside of {root}"
    assert read_regular(link(tmp_path / "alias", root) / "a.png", root=tmp_path / "alias") == b"data"
    loop = link(root / "loop", root / "loop")
    assert file_reason(loop) == file_reason(loop, root=root) == "a link that leads to itself"
    assert file_reason(link(root / "dangling", root / "nothing"), root=root) == "there is no such file"


def test_the_byte_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(1000))
    assert len(read_regular(path, limits=Limits(max_bytes=1000))) == 1000
    assert file_reason(path, limits=Limits(max_bytes=999)) == "1,000 bytes are more than the limit of 999"

    small = os.stat_result((stat.S_IFREG, *[0] * 5, 10, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: small)  # the file grows after it was measured
    assert len(read_regular(path, limits=Limits(max_bytes=1000))) == 1000
    assert "more than the limit of 500" in file_reason(path, limits=Limits(max_bytes=500))
