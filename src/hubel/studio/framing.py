"""Framing of HTTP/1.1 requests (RFC 9112): where each head and each body ends, read strictly and before all else.

If two programs read one request differently, one can be played off against the other (request smuggling). So whatever
RFC 9112 lets a server refuse is refused: bare line feeds, folded lines, a length that is repeated or stands beside
Transfer-Encoding. Chunks are joined here, because h11, which parses what this module returns, takes 25 us for each.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from hubel.studio.responses import RequestError

__all__ = ["LONGEST_HEAD", "RequestReader"]

LONGEST_HEAD = 16 * 2**10  # bytes
_LONGEST_LINE = 1024  # bytes of a line between the chunks, or of a trailer
_FREE_OVERHEAD = 16 * 2**10  # bytes of a chunked body beside its content that are always allowed ...
_OVERHEAD = 1 / 8  # ... and the share of the content that is allowed in addition

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]"
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/1\.([01])")
_ORIGIN_FORM = re.compile(rb"/[^#]*")
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]+)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*(" + _TEXT + rb"*?)[ \t]*")
_LENGTH = re.compile(rb"[0-9]{1,20}")
_FIRST_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;" + _TEXT + rb"{0,1000})?\r\n")
_NEXT_CHUNK = re.compile(rb"\r\n" + _FIRST_CHUNK.pattern)

_Fields = list[tuple[bytes, bytes]]
_Parts = Generator[bytes | None, None, None]


class RequestReader:
    """Reader of the requests of one connection, one after the other.

    Attributes:
        complete: the request has been taken as a whole; what came after it waits for `begin_next`.
    """

    def __init__(self) -> None:
        self.complete = False
        self._received = bytearray()
        self._parts = self._requests()

    @property
    def waiting(self) -> bool:
        """Return whether bytes have been received and not taken."""
        return bool(self._received)

    def receive(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        self._received += data

    def take(self) -> bytes:
        """Return what has arrived of the request: the head if it is whole, and the body, in as few chunks as possible.

        Raises:
            RequestError: the request is invalid or too large. The reader must not be used any more.
        """
        return b"".join(iter(self._parts.__next__, None))

    def begin_next(self) -> None:
        """Begin the next request; the response to this one is complete."""
        self.complete = False

    def _requests(self) -> _Parts:
        """Yield the parts of the requests, and None where more bytes are needed or a request is complete."""
        while True:
            head = yield from self._lines_of_head()
            line, fields = _parse(head)
            length = _body_length(fields)
            yield b"\r\n".join([line, *(b"%b: %b" % field for field in fields), b"", b""])
            yield from self._chunked() if length is None else self._plain(length)
            self.complete = True
            while self.complete:
                yield None

    def _lines_of_head(self) -> Generator[None, None, list[bytes]]:
        received, seen = self._received, 0
        while (end := received.find(b"\r\n\r\n", max(0, seen - 3), LONGEST_HEAD)) < 0:
            if _STRAY.search(received, max(0, seen - 1), LONGEST_HEAD):
                raise _invalid("its lines must end with CR LF")
            if len(received) >= LONGEST_HEAD:
                raise RequestError(431, "head_too_large", f"a head may have at most {LONGEST_HEAD:,} bytes")
            seen = len(received)
            yield None
        head = bytes(received[:end])
        del received[: end + 4]
        if _STRAY.search(head):
            raise _invalid("its lines must end with CR LF")
        return head.split(b"\r\n")

    def _plain(self, length: int) -> _Parts:
        """Yield a body of known length."""
        while length:
            part = bytes(self._received[:length])
            del self._received[:length]
            length -= len(part)
            yield part or None

    def _chunked(self) -> _Parts:
        """Yield a chunked body, without its extensions and trailers, and with what arrived together in one chunk."""
        received, form = self._received, _FIRST_CHUNK
        size, left, allowed = -1, 0, float(_FREE_OVERHEAD)
        while size:
            content = received[:left]
            at = len(content)
            left -= at
            while size and not left and (line := form.match(received, at)):
                size = int(line[1], 16)
                part = received[line.end() : line.end() + size]
                content += part
                left = size - len(part)
                allowed += size * _OVERHEAD - len(line[0])
                if allowed < 0:
                    raise _invalid("its chunks are too small")
                at, form = line.end() + len(part), _NEXT_CHUNK
            if size and not left and _is_whole_line(received, at + 2 * (form is _NEXT_CHUNK)):
                raise _invalid("a chunk begins with its size")
            del received[:at]
            if content:
                yield b"%x\r\n%b\r\n" % (len(content), bytes(content))
            if size:
                yield None
        while trailer := (yield from self._line()):
            allowed -= len(trailer)
            if allowed < 0 or not _FIELD.fullmatch(trailer):
                raise _invalid("its trailers are malformed or too long")
        yield b"0\r\n\r\n"

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._received.find(b"\n", 0, _LONGEST_LINE)) < 0:
            if len(self._received) >= _LONGEST_LINE:
                raise _invalid("a line of its trailers is too long")
            yield None
        line = bytes(self._received[: end + 1])
        del self._received[: end + 1]
        if not line.endswith(b"\r\n"):
            raise _invalid("its lines must end with CR LF")
        return line[:-2]


def _is_whole_line(received: bytearray, at: int) -> bool:
    """Return whether a whole line stands at this place, or more than a line may have."""
    return b"\n" in received[at : at + _LONGEST_LINE] or len(received) >= at + _LONGEST_LINE


def _parse(head: list[bytes]) -> tuple[bytes, _Fields]:
    """Return the request line and the fields of a head, with the path alone as the target."""
    request, *rest = head
    words, found = _REQUEST.fullmatch(request), [_FIELD.fullmatch(line) for line in rest]
    if words is None:
        raise _invalid("it must begin with METHOD /PATH HTTP/1.1")
    fields = [(field[1].lower(), field[2]) for field in found if field]
    if len(fields) < len(found):
        raise _invalid("each line of its head must be NAME: VALUE")
    method, target, minor = words.groups()
    names = [name for name, _ in fields]
    if names.count(b"host") > 1 or (minor == b"1" and b"host" not in names):
        raise _invalid("it needs one Host")
    if minor == b"0" and b"transfer-encoding" in names:
        raise _invalid("HTTP/1.0 has no Transfer-Encoding")
    if absolute := _ABSOLUTE_FORM.fullmatch(target):  # its host replaces the field, by RFC 9112, section 3.2.2
        host, path, query = absolute.groups(b"")
        target = (path or b"/") + query
        fields = [(b"host", host), *(field for field in fields if field[0] != b"host")]
    elif not _ORIGIN_FORM.fullmatch(target):
        raise _invalid("it must begin with METHOD /PATH HTTP/1.1")
    return b"%b %b HTTP/1.%b" % (method, target, minor), fields


def _body_length(fields: _Fields) -> int | None:
    """Return the length of the body in bytes; None for a chunked one."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise _invalid("Content-Length and Transfer-Encoding must not be repeated or combined")
    if codings:
        if codings != [b"chunked"]:
            raise _invalid("the only Transfer-Encoding is chunked")
        return None
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise _invalid("Content-Length must be a whole number")
    return int(lengths[0]) if lengths else 0


def _invalid(reason: str) -> RequestError:
    return RequestError(400, "bad_request", f"this is not a valid HTTP request: {reason}")
