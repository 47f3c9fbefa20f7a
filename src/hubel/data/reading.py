"""Read the bytes of a file, which may be anything that a folder can hold."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from hubel.core.errors import DecodeError

__all__ = ["DEFAULT_LIMITS", "Limits", "RefusalError", "check_bytes", "one_line", "read_regular"]


@dataclass(frozen=True)
class Limits:
    """Largest sizes that are accepted; anything larger is refused before memory is spent on it.

    Attributes:
        max_bytes: bytes of the encoded file.
        max_pixels: width times height. The default is Pillow's own threshold, which a TIFF cannot exceed.
        max_jpeg_pixels: of a JPEG, which is decoded at a scale at which `max_pixels` holds. Phones take photos of 200
            megapixels; a progressive one of this size takes the memory of a PNG of `max_pixels`.
    """

    max_bytes: int = 256 * 2**20
    max_pixels: int = 89_478_485
    max_jpeg_pixels: int = 210_000_000


DEFAULT_LIMITS = Limits()


class RefusalError(ValueError):
    """A refusal whose message reaches the user unchanged, as the reason of a `DecodeError`."""


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_PLAIN = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ELOOP: "a link that leads to itself",
}
# O_NONBLOCK: a pipe may replace the file after its kind was checked, and must not be waited for.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def read_regular(path: Path, *, root: Path | None = None, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Read a regular file, without ever waiting on a pipe or reading a device.

    Args:
        path: the file.
        root: if given, a folder that the file must really lie in, after all links are followed.
        limits: `max_bytes` holds also for a file that grows while it is read.

    Raises:
        DecodeError: the file is missing, unreadable, not a regular file, outside `root` or too large.
    """
    try:
        real = path
        if root is not None:
            real = Path(os.path.realpath(path, strict=True))
            if not real.is_relative_to(os.path.realpath(root, strict=True)):
                raise RefusalError(f"its real path lies outside of {root}")
        _check_kind(real.stat())
        with os.fdopen(os.open(real, _FLAGS), "rb") as file:
            facts = os.fstat(file.fileno())
            _check_kind(facts)
            check_bytes(facts.st_size, limits)
            data = file.read(facts.st_size + 1)
            if len(data) > facts.st_size:
                data += file.read(limits.max_bytes + 1 - len(data))
                check_bytes(len(data), limits)
    except OSError as error:
        plain = _PLAIN.get(error.errno or 0) or one_line(error.strerror or error)
        raise DecodeError(str(path), plain) from error
    except ValueError as error:
        raise DecodeError(str(path), one_line(error)) from error
    return data


def _check_kind(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise RefusalError(f"{_KINDS.get(stat.S_IFMT(facts.st_mode), 'something')}, not a regular file")


def check_bytes(size: int, limits: Limits) -> None:
    """Refuse an encoded file of so many bytes.

    Raises:
        RefusalError: they are more than the limit.
    """
    if size > limits.max_bytes:
        raise RefusalError(f"{size:,} bytes are more than the limit of {limits.max_bytes:,}")


def one_line(text: object) -> str:
    """Return a message without newlines, control characters, or the addresses of Python objects."""
    plain = re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "it", str(text))
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())[:200]
