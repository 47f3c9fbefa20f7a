"""Limits on requests, scaled down: limits are settings, so small ones behave as large ones do."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import struct
import time
import zlib
from collections.abc import Callable

import pytest
from colours import Client, form, picture, rest
from PIL import Image

Start = Callable[..., Client]
MIB = 2**20


def head(*lines: str, path: str = "/v1/predict") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: image/png", *lines, "", ""]).encode()


def alive(client: Client) -> bool:
    return client.post(picture()).status == 200


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def chunked(connection: socket.socket, size: int) -> None:
    """Send a body in chunks, until the server stops reading."""
    piece = b"10000\r\n" + bytes(2**16) + b"\r\n"
    try:
        for _ in range(size // 2**16):
            connection.sendall(piece)
        connection.sendall(b"0\r\n\r\n")
    except OSError:
        pass


def test_a_body_that_says_its_length_is_refused_unread(start: Start) -> None:
    client = start(max_body=MIB)
    for length in (MIB + 1, 10**10, 10**19):
        began = time.monotonic()
        with client.socket() as connection:
            connection.sendall(head(f"Content-Length: {length}", "Expect: 100-continue"))
            answer = connection.recv(2**16)
            assert status(answer) == 413
            assert b"connection: close" in answer
        assert time.monotonic() - began < 1
    assert client.raw(head("Content-Length: -1")).startswith(b"HTTP/1.1 400")
    assert alive(client)


def test_a_client_that_goes_on_sending_sees_why_it_should_not(start: Start) -> None:
    client = start(max_body=MIB)
    answer = client.post(bytes(3 * MIB))
    assert (answer.status, answer.code) == (413, "body_too_large")
    for path, expected in (("/v1/predict?top=x", 422), ("/nothing", 404), ("/healthz", 405)):
        assert client.post(bytes(3 * MIB), path).status == expected


def test_a_chunked_body_is_counted_as_it_comes(start: Start) -> None:
    client = start(max_body=MIB, linger=0.2)
    with client.socket() as connection:
        connection.sendall(head("Transfer-Encoding: chunked"))
        chunked(connection, 3 * MIB)
        assert status(connection.recv(2**16)) == 413
    began = time.monotonic()
    with client.socket() as connection:
        connection.sendall(head("Transfer-Encoding: chunked"))
        chunked(connection, 10**11)  # is cut off
    assert time.monotonic() - began < 5
    assert alive(client)
    small = picture()
    sent = head("Transfer-Encoding: chunked", "Connection: close") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(small), small)
    assert status(client.raw(sent)) == 200


def test_compressed_bodies_are_not_read(start: Start) -> None:
    client = start(max_body=MIB)
    bomb = gzip.compress(bytes(50 * MIB))
    for coding in ("gzip", "deflate", "br", "identity, gzip"):
        answer = client("POST", "/v1/predict", bomb, {"Content-Type": "image/png", "Content-Encoding": coding})
        assert (answer.status, answer.code) == (415, "compressed_body")


def test_bodies_share_one_budget(start: Start) -> None:
    client = start(max_body=MIB, max_bodies=MIB)
    with client.socket() as slow:
        slow.sendall(head(f"Content-Length: {MIB}") + bytes(MIB // 2))
        time.sleep(0.1)
        answer = client.post(bytes(MIB))
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "busy", "1")
    time.sleep(0.1)
    assert client.post(bytes(MIB)).status == 422
    assert "hubel_body_bytes 0.0" in client("GET", "/metrics").body.decode()


def test_parts_are_counted(start: Start) -> None:
    client = start(max_parts=3)
    assert client.post(*form_of(3)).status == 200
    for count in (4, 10_000):
        answer = client.post(*form_of(count))
        assert (answer.status, answer.code) == (413, "too_many_parts")
    assert client.post(*form_of(0)).status == 400


def form_of(count: int) -> tuple[bytes, str, str]:
    body, kind = form([("a.png", picture())] * count)
    return body, "/v1/predict", kind


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        f"multipart/form-data; boundary={'x' * 71}",
        "multipart/form-data; boundary=\xe4",
        "multipart/form-data; boundary*0*=utf-8''%FF%00; boundary*1=x",
    ],
)
def test_a_form_that_is_none(client: Client, kind: str) -> None:
    answer = client.post(form([("a.png", picture())])[0], kind=kind)
    assert (answer.status, answer.code) == (400, "bad_multipart")


def test_slow_heads_bodies_and_readers_are_cut_off(start: Start) -> None:
    client = start(head_timeout=0.3, body_timeout=0.3, idle_timeout=1)
    began = time.monotonic()
    silent, dripping = client.socket(), client.socket()
    dripping.sendall(b"GET / HT")
    body = client.socket()
    body.sendall(head("Content-Length: 100") + b"x")
    for _ in range(4):
        time.sleep(0.1)
        for connection in (dripping, body):
            with contextlib.suppress(OSError):
                connection.sendall(b"x")
    assert rest(silent) == b""
    assert b"200" not in rest(dripping)
    assert status(rest(body)) == 408
    assert time.monotonic() - began < 3
    # The second head on a connection has no more time than the first one.
    again = client.socket()
    again.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        answer += again.recv(2**16)
    assert status(answer) == 200
    again.sendall(b"GET")
    assert rest(again) == b""
    for connection in (silent, dripping, body, again):
        connection.close()
    assert alive(client)


def test_who_does_not_read_is_cut_off(start: Start) -> None:
    client = start(write_timeout=0.2, idle_timeout=1)
    with client.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wish = b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000
        with pytest.raises(OSError):
            connection.sendall(wish * 100)
    assert alive(client)


def test_connections_are_counted(start: Start) -> None:
    client = start(connections=3)
    idle = [client.socket() for _ in range(3)]
    time.sleep(0.1)
    answer = client("GET", "/healthz")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "busy", "1")
    many = [client.socket() for _ in range(10)]
    time.sleep(0.1)
    closed = 0
    for connection in many:
        connection.settimeout(0.01)
        try:
            closed += connection.recv(1) == b""
        except ConnectionResetError:
            closed += 1
        except TimeoutError:
            pass
    assert closed == 7
    for connection in (*idle, *many):
        connection.close()
    time.sleep(0.1)
    assert alive(client)


def test_what_is_no_http(client: Client) -> None:
    assert client.raw(b"\0" * 100).startswith(b"HTTP/1.1 400")  # test_framing.py has what is nearly HTTP
    assert status(client.raw(b"GET / HTTP/1.0\r\n\r\n")) == 421
    upgrade = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert status(client.raw(upgrade)) == 200
    assert alive(client)


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG file of many white pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    lines = zlib.compress(bytes(((width + 7) // 8 + 1) * height % 2**24), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def test_images_that_unpack_without_end(start: Start) -> None:
    client = start(decode_memory=MIB)
    frames = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(frames, "WEBP", lossless=True)
    for data in (bomb(50_000, 50_000), bomb(2**31 - 1, 2**31 - 1), bomb(300, 300), frames.getvalue()):
        answer = client.post(data)
        assert (answer.status, answer.code) == (422, "unreadable")
        assert "limit" in answer.json["error"]["message"]
    assert client.post(bomb(250, 250)).status == 200
    assert alive(client)
