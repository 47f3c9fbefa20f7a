"""The parts of a multipart/form-data body (RFC 7578, RFC 2046 section 5.1), which is in memory as a whole.

Each part is an image, whatever field or file name it has. Limits are met before anything is copied, and every byte is
looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from hubel.studio.refusal import RequestError

__all__ = ["Part", "boundary_of", "parts"]

_LONGEST_BOUNDARY = 70  # by RFC 2046
_LONGEST_HEAD = 4096
_LONGEST_NAME = 255
# A quoted file name: browsers write a quote in it as %22, others as \"; a Windows path must not lose its backslashes.
_FILENAME = re.compile(rb';\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_PLAIN_FILENAME = re.compile(rb";\s*filename=([^\s;\"]+)", re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:(.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """One file of a form: its name, None where it has none, and its content."""

    name: str | None
    data: bytes


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts.

    Raises:
        RequestError: the header names no boundary that is allowed.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary("")
    if not (0 < len(boundary) <= _LONGEST_BOUNDARY and boundary.isascii() and boundary.isprintable()):
        raise RequestError(400, "bad_multipart", "multipart/form-data needs a boundary of 1 to 70 characters")
    return boundary.encode("ascii")


def parts(body: bytes, boundary: bytes, most: int) -> Iterator[Part]:
    """The parts in their order.

    Raises:
        RequestError: there are more than `most`, or the body is not what it says.
    """
    delimiter = b"\r\n--" + boundary
    at = len(boundary) + 2 if body.startswith(delimiter[2:]) else _after(body, delimiter, 0)
    count = 0
    while body[at : at + 2] != b"--":
        count += 1
        if count > most:
            raise RequestError(413, "too_many_parts", f"a request has at most {most} images")
        start = body.find(b"\r\n", at, at + _LONGEST_HEAD)  # spaces may follow the boundary
        if start < 0 or body[at:start].strip(b" \t"):
            raise _broken()
        if body[start : start + 4] == b"\r\n\r\n":
            head, first = b"", start + 4
        else:
            end = body.find(b"\r\n\r\n", start, start + _LONGEST_HEAD)
            if end < 0:
                raise _broken()
            head, first = body[start:end], end + 4
        at = _after(body, delimiter, first - 2)  # an empty part's delimiter begins with the end of its head
        yield Part(_name(head), body[first : max(first, at - len(delimiter))])


def _after(body: bytes, delimiter: bytes, start: int) -> int:
    found = body.find(delimiter, start)
    if found < 0:
        raise _broken()
    return found + len(delimiter)


def _name(head: bytes) -> str | None:
    """The file name in a part's head; only ever shown, so it may be anything."""
    disposition = _DISPOSITION.search(head)
    found = disposition and (_FILENAME.search(disposition[1]) or _PLAIN_FILENAME.search(disposition[1]))
    if not found:
        return None
    name = found[1].replace(b'\\"', b'"').replace(b"%22", b'"').decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in name)[:_LONGEST_NAME]


def _broken() -> RequestError:
    return RequestError(400, "bad_multipart", "the body is no complete multipart/form-data")
