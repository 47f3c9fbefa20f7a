"""Forms: every part is parsed exactly, and malformed bodies are refused."""

from __future__ import annotations

import contextlib

import pytest
from colours import form
from hypothesis import given
from hypothesis import strategies as st

from hubel.studio.multipart import FormPart, parse_boundary, parse_parts
from hubel.studio.responses import RequestError

CRITICAL = [bytes([byte]) for byte in b"\r\n-b0 \x00x"]
CONTENT = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(CRITICAL), max_size=40).map(b"".join))
NAMES = st.sampled_from([None, "a.png", "ä ö.jpg", "C:\\x"])
PIECES = [b"--b", b"\r\n", b"--", b"b", b"x: y", b" ", b"\r\n--b", b"\r\n--b--"]
SHORT = [b"", b"--b", b"--b\r\n", b"--b\r\nx: y\r\n", b"--b\r\nx: y\r\n\r\ndata", b"--bx\r\n\r\n\r\n--b--"]


@given(st.lists(st.tuples(NAMES, CONTENT), min_size=1, max_size=6), st.binary())
def test_what_is_put_in_comes_out(files: list[tuple[str | None, bytes]], preamble: bytes) -> None:
    if any(b"\r\n--b0undary" in b"\r\n" + data for _, data in (*files, (None, preamble))):
        return
    body, kind = form(files)
    expected = [FormPart(name, data) for name, data in files]
    assert list(parse_parts(body, parse_boundary(kind), 6)) == expected
    assert list(parse_parts(preamble + b"\r\n" + body + b"epilogue", parse_boundary(kind), 6)) == expected


@given(st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join))
def test_anything_else_is_refused_or_read(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert all(b"\r\n--b" not in part.data for part in parse_parts(body, b"b", 3))


def test_names() -> None:
    def name_of(disposition: bytes) -> str | None:
        head = b"X: y\r\ncontent-disposition: form-data" + disposition
        (part,) = parse_parts(b"--b\r\n" + head + b"\r\n\r\n\r\n--b--", b"b", 1)
        return part.name

    assert name_of(b'; name="filename=x"') is None
    assert name_of(b"; name=a; filename=plain.png") == "plain.png"
    assert name_of(b'; FileName="a;b.png"; x=y') == "a;b.png"
    assert name_of(b'; filename=""') == ""
    assert name_of(b'; filename="' + b"x" * 300 + b'"') == "x" * 255


@pytest.mark.parametrize("head", SHORT)
def test_what_is_cut_short(head: bytes) -> None:
    with pytest.raises(RequestError):
        list(parse_parts(head, b"b", 9))


def test_a_quoted_boundary() -> None:
    assert parse_boundary('Multipart/Form-Data; charset=x; Boundary="a b=c"') == b"a b=c"
