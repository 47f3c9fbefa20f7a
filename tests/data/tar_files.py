"""Makers of tar archives for tests, of single headers that no archiver would write; and what is read."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from picture_files import encode

from hubel.core.errors import DataError
from hubel.data.decode import decode
from hubel.data.sources import Listing, open_source


def picture(level: int) -> bytes:
    return encode(np.full((3, 4), level, np.uint8), "PNG")


def archive(path: Path, entries: Iterable[tuple[str, bytes | str]], form: int = tarfile.GNU_FORMAT) -> Path:
    """An archive of these names and contents, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in entries:
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def numbered(path: Path, numbers: Iterable[int], ending: str = "cls") -> Path:
    """An archive of one picture for each number, which is its grey level; the class is the number modulo 2."""
    entries = (
        (f"{i:04d}.png", picture(i)) if image else (f"{i:04d}.{ending}", str(i % 2))
        for i in numbers
        for image in (1, 0)
    )
    return archive(path, entries)


def header(
    name: bytes, size: bytes, kind: bytes, *, link: bytes = b"", magic: bytes = b"ustar  \0", rest: bytes = b""
) -> bytes:
    """One header with a right checksum; `rest` is what begins at byte 345."""
    raw = bytearray(512)
    for at, value in (
        (0, name),
        (100, b"0000644\0"),
        (124, size),
        (136, b"00000000000\0"),
        (157, link),
        (257, magic),
        (345, rest),
    ):
        raw[at : at + len(value)] = value
    raw[156:157] = kind
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def octal(size: int) -> bytes:
    return b"%011o\0" % size


def labels_of(listing: Listing) -> list[str | None]:
    """The label of each row."""
    return [None if code < 0 else listing.labels[code] for code in listing.label]


def level(data: object) -> int:
    """The grey level of a picture that `picture` made."""
    assert isinstance(data, bytes)
    return int(decode(data, name="").pixels[0, 0])


def one_line(data: str | Path) -> str:
    """The message with which a source is refused."""
    with pytest.raises(DataError) as caught:
        open_source(data).listing()
    text = str(caught.value)
    assert "\n" not in text
    return text
