"""Parser of multipart/form-data bodies (RFC 7578, RFC 2046 section 5.1) that are in memory.

Each part is an image, whatever its field or file name. Limits are checked before anything is copied, and every byte is
read once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from hubel.studio.responses import RequestError

__all__ = ["FormPart", "parse_boundary", "parse_parts"]

_LONGEST_BOUNDARY = 70  # by RFC 2046
_LONGEST_HEAD = 4096
_LONGEST_NAME = 255
# A quoted file name: browsers write a quote in it as %22, other clients as \"; backslashes of Windows paths remain.
_FILENAME = re.compile(rb';\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_PLAIN_FILENAME = re.compile(rb";\s*filename=([^\s;\"]+)", re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:(.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class FormPart:
    """One file of a form.

    Attributes:
        name: the file name; None if the part has none.
        data: the content.
    """

    name: str | None
    data: bytes


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary that separates the parts.

    Raises:
        RequestError: the header has no valid boundary.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary("")
    if not (0 < len(boundary) <= _LONGEST_BOUNDARY and boundary.isascii() and boundary.isprintable()):
        raise RequestError(400, "bad_multipart", "multipart/form-data needs a boundary of 1 to 70 characters")
    return boundary.encode("ascii")


def parse_parts(body: bytes, boundary: bytes, most: int) -> Iterator[FormPart]:
    """Yield the parts of a form in their order.

    Raises:
        RequestError: there are more than `most`, or the body is malformed.
    """
    delimiter = b"\r\n--" + boundary
    at = len(boundary) + 2 if body.startswith(delimiter[2:]) else _after(body, delimiter, 0)
    count = 0
    while body[at : at + 2] != b"--":
        count += 1
        if count > most:
            raise RequestError(413, "too_many_parts", f"a request may have at most {most} images")
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
        at = _after(body, delimiter, first - 2)  # the delimiter of an empty part begins with the end of its head
        yield FormPart(_name(head), body[first : max(first, at - len(delimiter))])


def _after(body: bytes, delimiter: bytes, start: int) -> int:
    found = body.find(delimiter, start)
    if found < 0:
        raise _broken()
    return found + len(delimiter)


def _name(head: bytes) -> str | None:
    """Return the file name in a part's head; it is only displayed, so any text is accepted."""
    disposition = _DISPOSITION.search(head)
    found = disposition and (_FILENAME.search(disposition[1]) or _PLAIN_FILENAME.search(disposition[1]))
    if not found:
        return None
    name = found[1].replace(b'\\"', b'"').replace(b"%22", b'"').decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in name)[:_LONGEST_NAME]


def _broken() -> RequestError:
    return RequestError(400, "bad_multipart", "the body is not complete multipart/form-data")
