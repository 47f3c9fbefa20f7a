"""Framing of requests: what is refused, what h11 is given, and over sockets how fast and how slow clients fare."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import h11
import pytest
from colours import Client, picture, rest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.studio.framing import LONGEST_HEAD, RequestReader
from hubel.studio.responses import RequestError

Start = Callable[..., Client]
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*lines: bytes, body: bytes = b"", target: bytes = b"/v1/predict") -> bytes:
    head = [b"POST %b HTTP/1.1" % target, b"Host: localhost", b"Content-Type: image/png", *lines, b"", body]
    return b"\r\n".join(head)


def chunks(content: bytes, size: int, extension: bytes = b"") -> bytes:
    parts = (content[at : at + size] for at in range(0, len(content), size))
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)


CHUNKED = b"Transfer-Encoding: chunked"
REFUSED = {
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "one bare line feed": b"GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "a bare carriage return": b"GET /healthz HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
    "a head that ends with a bare line feed": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n",
    "a folded line": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\r\n z\r\n\r\n",
    "a folded first line": b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "NUL in a value": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\0z\r\n\r\n",
    "a control character in a value": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\x1bz\r\n\r\n",
    "a blank before the colon": b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "a blank in a name": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX y: z\r\n\r\n",
    "a line without a colon": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n",
    "an empty name": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n: y\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n",
    "another version": b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "two blanks": b"GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path that does not begin with a slash": b"GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an authority as the target": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another scheme": b"GET file:///healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a fragment": b"GET /healthz#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a byte that is not ASCII in the path": b"GET /\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "both lengths": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "both lengths, the other way": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"12345"),
    "one length twice": post(b"Content-Length: 5", b"Content-Length: 5", body=b"12345"),
    "a list of lengths": post(b"Content-Length: 5, 5", body=b"12345"),
    "a length with a sign": post(b"Content-Length: +5", body=b"12345"),
    "a negative length": post(b"Content-Length: -1"),
    "an empty length": post(b"Content-Length:"),
    "a hexadecimal length": post(b"Content-Length: 0x5", body=b"12345"),
    "a length with an underscore": post(b"Content-Length: 1_0", body=b"1234567890"),
    "a length of other digits": post("Content-Length: \N{ARABIC-INDIC DIGIT FIVE}".encode(), body=b"12345"),
    "a long length": post(b"Content-Length: " + b"9" * 21),
    "two codings": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "an unknown coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": post(CHUNKED, body=b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a chunk without a size": post(CHUNKED, body=b"\r\n"),
    "a size that is no number": post(CHUNKED, body=b"zz\r\n"),
    "a size with a sign": post(CHUNKED, body=b"+5\r\n12345\r\n"),
    "a size with a prefix": post(CHUNKED, body=b"0x5\r\n12345\r\n"),
    "a size of many digits": post(CHUNKED, body=b"0" * 16 + b"5\r\n12345\r\n"),
    "a chunk that is longer than it says": post(CHUNKED, body=b"5\r\n123456\r\n0\r\n\r\n"),
    "a chunk that ends with a bare line feed": post(CHUNKED, body=b"5\r\n12345\n0\r\n\r\n"),
    "a size that ends with a bare line feed": post(CHUNKED, body=b"5\n12345\r\n0\r\n\r\n"),
    "NUL in an extension": post(CHUNKED, body=b"5;a=\0\r\n12345\r\n0\r\n\r\n"),
    "a long extension": post(CHUNKED, body=b"5;" + b"x" * 2000 + b"\r\n12345\r\n0\r\n\r\n"),
    "an extension without end": post(CHUNKED, body=b"5;" + b"x" * 2**20),
    "many extensions": post(CHUNKED, body=chunks(bytes(1000), 10, b";" + b"x" * 900)),
    "chunks of a byte": post(CHUNKED, body=chunks(bytes(10_000), 1)),
    "a folded trailer": post(CHUNKED, body=b"0\r\nX: y\r\n z\r\n\r\n"),
    "a trailer without a colon": post(CHUNKED, body=b"0\r\nX\r\n\r\n"),
    "a long trailer": post(CHUNKED, body=b"0\r\nX: " + b"x" * 2000 + b"\r\n\r\n"),
    "many trailers": post(CHUNKED, body=b"0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"),
    "a trailer that ends with a bare line feed": post(CHUNKED, body=b"0\r\nX: y\n\r\n"),
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_refused(client: Client, sent: bytes) -> None:
    """With a 400 that says why; and the connection is closed, so that nothing else on it is taken for a request."""
    answer = client.raw(sent + GET)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer[:200]
    assert b"connection: close" in head.lower()
    assert json.loads(body)["error"]["code"] == "bad_request"


SMALL = picture()
ACCEPTED = {
    "a body of known length": post(b"Content-Length: %d" % len(SMALL), body=SMALL),
    "leading zeros": post(b"Content-Length: 000%d" % len(SMALL), body=SMALL),
    "one chunk": post(CHUNKED, body=chunks(SMALL, 1000) + b"0\r\n\r\n"),
    "a small picture in chunks of a byte": post(CHUNKED, body=chunks(SMALL, 1) + b"0\r\n\r\n"),
    "chunked in capitals": post(b"TRANSFER-ENCODING:Chunked", body=chunks(SMALL, 50) + b"000\r\n\r\n"),
    "extensions": post(CHUNKED, body=chunks(SMALL, 64, b' ;a="b";c') + b"0;last\r\n\r\n"),
    "trailers": post(CHUNKED, body=chunks(SMALL, 64) + b"0\r\nX-Checksum: 123\r\nY:\r\n\r\n"),
    "blanks around a value": post(b"Content-Length: \t %d \t" % len(SMALL), body=SMALL),
    "the address as the target": post(
        b"Content-Length: %d" % len(SMALL), body=SMALL, target=b"http://localhost:80/v1/predict"
    ),
    "HTTP/1.0": post(b"Content-Length: %d" % len(SMALL), body=SMALL).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "100-continue": post(b"Content-Length: %d" % len(SMALL), b"Expect: 100-continue", body=SMALL),
}


@pytest.mark.parametrize("sent", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(client: Client, sent: bytes) -> None:
    """And what follows on the connection is the next request."""
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = client.raw(sent + last)
    assert b'"class":"red"' in answers
    assert answers.endswith(b'{"status":"ok"}') or b"HTTP/1.0" in sent


def test_the_host_of_the_target_counts(client: Client) -> None:
    """RFC 9112, section 3.2.2: it replaces Host, so a foreign one is refused, whatever Host says."""
    close = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert b" 200 " in client.raw(b"GET http://LOCALHOST:1?x" + close)
    for target in (b"http://evil.example/", b"https://localhost.evil.example", b"http://x@localhost/"):
        assert b" 421 " in client.raw(b"GET " + target + close), target


@settings(deadline=None)
@given(st.sampled_from([*ACCEPTED.values(), GET]), st.lists(st.integers(1, 600), max_size=40))
def test_pieces_change_nothing(sent: bytes, ends: list[int]) -> None:
    """The network cuts anywhere; the head, the content and the next request are the same."""

    def read(pieces: Iterator[bytes]) -> tuple[list[object], bytes, bytes]:
        reader, parser, following = RequestReader(), h11.Connection(h11.SERVER), b""
        for piece in pieces:
            reader.receive(piece)
            if part := reader.take():
                parser.receive_data(part)
        head, content = parser.next_event(), b""
        while isinstance(event := parser.next_event(), h11.Data):
            content += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        assert reader.complete
        reader.begin_next()
        following = reader.take()
        return [head.method, head.target, head.headers], content, following

    bounds = sorted({0, len(sent) + len(GET), *(end for end in ends if end < len(sent) + len(GET))})
    whole = sent + GET
    cut = read(whole[a:b] for a, b in pairwise(bounds))
    assert cut == read(iter([whole]))
    assert cut[2].startswith(b"GET /healthz HTTP/1.1\r\n")
    assert sent is GET or cut[1] == SMALL


@settings(deadline=None)
@given(st.sampled_from([*ACCEPTED.values(), GET]), st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_h11_is_given_nothing_that_it_refuses(sent: bytes, place: int, noise: bytes) -> None:
    reader = RequestReader()
    reader.receive(sent[:place] + noise + sent[place + 1 :])
    try:
        part = reader.take()
    except RequestError:
        return
    parser = h11.Connection(h11.SERVER)
    if part:
        parser.receive_data(part)
        while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.EndOfMessage):
                assert reader.complete
                break


@pytest.mark.parametrize("size", [LONGEST_HEAD + 1, 100_000, 1_000_000])
@pytest.mark.parametrize("line", [b"X: %b", b"%b", b"%b: x"])
def test_long_heads_are_refused(client: Client, size: int, line: bytes) -> None:
    assert client.raw(post(line % (b"x" * size), b"Content-Length: 0")).startswith(b"HTTP/1.1 431 ")


def test_many_short_lines_are_a_long_head(client: Client) -> None:
    assert client.raw(post(*[b"X: y"] * 20_000)).startswith(b"HTTP/1.1 431 ")
    fits = GET[:-2] + b"X: " + b"x" * (LONGEST_HEAD - len(GET) - 5) + b"\r\n\r\n"
    assert len(fits) == LONGEST_HEAD
    reader = RequestReader()
    reader.receive(fits)
    assert reader.take().startswith(b"GET /healthz")


def answer_of(connection: socket.socket, end: bytes = b"}") -> bytes:
    found = b""
    while not found.endswith(end):
        found += connection.recv(2**16)
    return found


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    unknown = GET.replace(b"/healthz", b"/nothing")
    with client.socket() as connection:
        connection.sendall(
            ACCEPTED["trailers"] + GET + ACCEPTED["one chunk"] + unknown * 50 + b"GET / HTTP/1.1\n\n" + GET
        )
        answers = rest(connection)
    found = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert found == [b"200", b"200", b"200", *[b"404"] * 50, b"400"]


def test_an_unfinished_head_after_a_request_is_cut_off(start: Start) -> None:
    client = start(head_timeout=0.3, idle_timeout=5)
    with client.socket() as connection:
        connection.sendall(GET + b"GET /hea")
        began = time.monotonic()
        assert rest(connection).endswith(b"}")
        assert time.monotonic() - began < 2


def test_a_request_on_an_open_connection_takes_no_time(client: Client) -> None:
    """Without TCP_NODELAY each takes the 40 ms after which a client acknowledges the first packet of an answer."""
    with client.socket() as connection:
        seconds = []
        for _ in range(50):
            began = time.perf_counter()
            connection.sendall(GET)
            answer_of(connection)
            seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[25] < 0.01


@pytest.mark.parametrize("size", [1, 8, 300])
def test_small_chunks_do_not_hold_others_up(client: Client, size: int) -> None:
    """Four clients send 7 MB each; the health of the server is asked meanwhile."""
    sent = post(CHUNKED, b"Connection: close", body=chunks(bytes(7 * 10**6 // (size + 6) * size), size) + b"0\r\n\r\n")

    def send() -> None:
        with suppress(OSError), client.socket() as connection:
            connection.sendall(sent)
            rest(connection)

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    slowest = 0.0
    while any(sender.is_alive() for sender in senders):
        began = time.monotonic()
        assert client("GET", "/healthz").status == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1
