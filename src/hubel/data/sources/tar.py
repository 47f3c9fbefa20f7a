"""The members of a tar archive and the offsets of their bytes. Nothing is extracted, and no name is used as a path.

Formats: POSIX.1-1988 (ustar) and POSIX.1-2001 (pax) as in IEEE Std 1003.1, "pax - portable archive interchange", and
the old GNU format as in GNU tar's manual, "Basic Tar Format". An archive is read as Python's `tarfile` reads it, but
an entry that is no plain file comes with the reason why it must not be used, and a header that states more than the
file holds is an error.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from hubel.core.errors import DataError
from hubel.data.reading import one_line

__all__ = ["Member", "tar_members"]

_BLOCK = 512
_EXTENDED_BYTES = 2**20  # of the long names and attributes that precede a member
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}

_FILES = b"0\x007"  # 7: a file that was contiguous on its disk
_FOLDERS = b"5D"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_FOR_ALL, _SPARSE, _VOLUME = b"L", b"K", (b"x", b"X"), b"g", b"S", b"V"
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"M": "a part of a file that began in another volume",
    _SPARSE: "a sparse file",
}
_WITHOUT_DATA = b"123456"  # whatever size their headers state


class Member(NamedTuple):
    """An entry of an archive that is no folder.

    Attributes:
        name: path in the archive.
        offset: position of its first byte in the archive.
        size: number of its bytes.
        refused: the reason why it must not be used; empty for a plain file with a plain path.
    """

    name: str
    offset: int
    size: int
    refused: str


@dataclass
class _Extended:
    """Attributes of a member from the headers before it."""

    name: str | None = None
    size: int | None = None
    sparse: bool = False


def tar_members(file: BinaryIO, archive: str) -> Iterator[Member]:
    """Yield the entries of an archive in order, without folders.

    Args:
        file: the archive, open in binary mode; callers may seek in it between two entries.
        archive: its name, for errors.

    Raises:
        DataError: it is no tar archive, is compressed, damaged or cut short.
    """
    end = file.seek(0, 2)
    at, extended = 0, _Extended()
    while at < end:
        file.seek(at)
        header = file.read(_BLOCK)
        if len(header) == _BLOCK and not header.strip(b"\0"):
            return
        _check(header, at, archive)
        kind, size, data = header[156:157], _number(header[124:136], archive, at), at + _BLOCK
        if kind in (_LONG_NAME, _LONG_LINK, _PAX_FOR_ALL, *_PAX):
            if data + size > end:
                raise _cut_short(data + size, end, "a header", archive)
            if size > _EXTENDED_BYTES:
                raise DataError(
                    f"{archive}, byte {at:,}: a header of {size:,} bytes; expected at most {_EXTENDED_BYTES:,}"
                )
            _extend(extended, kind, file.read(size), archive, at)
            at = data + _padded(size)
            continue
        if kind == _SPARSE:
            data = _past_the_map(file, header, data, end, archive)
        size = size if extended.size is None else extended.size
        name = _name(header) if extended.name is None else extended.name
        stored = 0 if kind in _WITHOUT_DATA else size
        if data + stored > end:
            raise _cut_short(data + stored, end, one_line(name), archive)
        folder = kind in _FOLDERS or (kind == b"\0" and name.endswith("/"))
        if not folder and kind != _VOLUME:
            yield Member(name, data, size, _why_refused(name, kind, sparse=extended.sparse))
        at, extended = data + _padded(stored), _Extended()
    # Tools that forget the end mark are rare; interrupted copies are not, and would lose images silently.
    raise DataError(f"{archive} is cut short: expected blocks of zeros at its end, and it ends at byte {end:,}")


def _why_refused(name: str, kind: bytes, *, sparse: bool) -> str:
    if kind not in _FILES:
        return _REFUSED.get(kind, f"an entry of the unknown kind {one_line(kind.decode('latin-1'))!r}")
    if sparse:
        return _REFUSED[_SPARSE]
    if _ABSOLUTE.match(name):
        return "its path is absolute"
    if ".." in name and ".." in re.split(r"[/\\]", name):
        return "its path leads upwards"
    return "its path holds a zero byte" if "\0" in name else ""


def _check(header: bytes, at: int, archive: str) -> None:
    """Verify the checksum of a header: the sum of its bytes with its own field blank, or of signed bytes."""
    if len(header) < _BLOCK:
        raise DataError(f"{archive} is cut short: it ends inside a header, at byte {at + len(header):,}")
    blank = header[:148] + b" " * 8 + header[156:]
    try:
        stated = _number(header[148:156], archive, at)
    except DataError:
        stated = -1
    # The lower half of an Adler-32 is 1 and the sum of the bytes, modulo 65521 (RFC 1950): 30 times quicker than `sum`.
    if zlib.adler32(blank) & 0xFFFF == (stated + 1) % 65521 and stated >= 0:
        return
    if stated == sum(blank) - 256 * sum(byte > 127 for byte in blank):
        return
    for magic, name in _COMPRESSED.items():
        if at == 0 and header.startswith(magic):
            raise DataError(f"{archive} is compressed by {name}; expected a plain tar archive, so unpack it once")
    verdict = "no tar archive" if at == 0 else f"damaged at byte {at:,}"
    raise DataError(f"{archive} is {verdict}: expected a header with a correct checksum")


def _cut_short(needed: int, end: int, part: str, archive: str) -> DataError:
    return DataError(f"{archive} is cut short: {part} ends at byte {needed:,}, the file at byte {end:,}")


def _number(field: bytes, archive: str, at: int) -> int:
    """Parse a number that is not negative, in octal digits or, with the first bit set, big-endian."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    text = field.partition(b"\0")[0].strip()
    if text.strip(b"01234567"):
        raise DataError(f"{archive} is damaged at byte {at:,}: {one_line(field)} is no number in octal digits")
    return int(text or b"0", 8)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    name = _text(header[:100].partition(b"\0")[0])
    # GNU's magic ends in a blank, and its headers hold times where POSIX has the prefix.
    prefix = _text(header[345:500].partition(b"\0")[0]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _extend(extended: _Extended, kind: bytes, data: bytes, archive: str, at: int) -> None:
    if kind == _LONG_NAME:
        extended.name = _text(data.rstrip(b"\0"))
    elif kind in _PAX:
        for key, value in _records(data, archive, at):
            if key == b"path":
                extended.name = _text(value)
            elif key == b"size":
                if not re.fullmatch(rb"[0-9]{1,18}", value):
                    raise DataError(f"{archive} is damaged at byte {at:,}: {one_line(value)} is no size")
                extended.size = int(value)
            elif key.startswith(b"GNU.sparse."):
                extended.sparse = True


def _records(data: bytes, archive: str, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of the records `LENGTH KEY=VALUE` and a newline, of which LENGTH counts every byte."""
    while data.strip(b"\0"):
        match = re.match(rb"([0-9]{1,7}) ([^=]*)=", data)
        length = int(match[1]) if match else 0
        if not match or not match.end() < length <= len(data) or data[length - 1 : length] != b"\n":
            raise DataError(f"{archive} is damaged at byte {at:,}: its attributes are no records of pax")
        yield match[2], data[match.end() : length - 1]
        data = data[length:]


def _past_the_map(file: BinaryIO, header: bytes, data: int, end: int, archive: str) -> int:
    """Return the offset of the bytes of a GNU sparse file: after the blocks that continue the map of its holes."""
    more = header[482]
    while more:
        if data + _BLOCK > end:
            raise _cut_short(data + _BLOCK, end, "the map of a sparse file", archive)
        file.seek(data)
        more = file.read(_BLOCK)[504]
        data += _BLOCK
    return data
