"""Concurrent requests: batches, the queue, deadlines, disconnecting clients, shutdown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from colours import COLOURS, Answer, Client, Colours, form, picture, rest
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.studio.batching import Batcher
from hubel.studio.responses import RequestError
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings
from hubel.studio.uploads import PreparedUpload

Start = Callable[..., Client]
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def waiting(client: Client) -> float:
    lines = client("GET", "/metrics").body.decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("hubel_images_under_way{")))


def test_requests_share_batches_and_keep_their_answers(start: Start, model: Colours) -> None:
    client = start(batch=8, batch_wait=0.05)
    names = [list(COLOURS)[number % 3] for number in range(41)]
    with ThreadPoolExecutor(41) as pool:
        model.hold()
        answers = [pool.submit(client.post, picture(COLOURS[name])) for name in names]
        until(lambda: waiting(client) == 41)
        model.go()
        for name, answer in zip(names, answers, strict=True):
            assert answer.result().json["images"][0]["top"][0]["class"] == name
    assert max(model.seen) == 8
    assert len(model.seen) <= 10
    assert waiting(client) == 0


def test_a_full_queue_says_when_to_come_back(start: Start, model: Colours) -> None:
    client = start(queue=4, max_parts=4, batch=2)
    model.hold()
    with ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(client.post, picture()) for _ in range(3)]
        until(lambda: waiting(client) == 3)
        body, kind = form([(None, picture())] * 2)
        answer = client.post(body, kind=kind)
        assert (answer.status, answer.code) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        accepted.append(pool.submit(client.post, picture()))
        until(lambda: waiting(client) == 4)
        assert client.post(picture()).status == 503
        assert client("GET", "/healthz").status == 200
        model.go()
        assert {answer.result().status for answer in accepted} == {200}
    assert client.post(body, kind=kind).status == 200


def test_a_deadline(start: Start, model: Colours) -> None:
    client = start(deadline=0.2)
    model.hold()
    began = time.monotonic()
    answer = client.post(picture())
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "busy", "1")
    assert 0.2 <= time.monotonic() - began < 1
    model.go()
    until(lambda: waiting(client) == 0)
    assert client.post(picture()).status == 200


def test_nothing_is_done_for_a_client_that_has_gone(start: Start, model: Colours) -> None:
    client = start()
    model.hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, picture())
        assert model.entered.wait(5)
        for _ in range(5):
            with client.socket() as connection:
                connection.sendall(HEAD % len(picture()) + picture())
                until(lambda: waiting(client) == 2)
            until(lambda: waiting(client) == 1)
        model.go()
        assert first.result().status == 200
    assert client.post(picture()).status == 200
    assert model.seen == [1, 1, 1]  # the first one is of the start


def test_it_stops_after_the_requests_under_way(model: Colours) -> None:
    answers: list[Future[Answer]] = []
    with ThreadPoolExecutor(2) as pool:
        with running_server({"colours": model}, ServerSettings(port=0)) as url:
            client = Client(int(url.rpartition(":")[2]))
            idle = client.socket()
            model.hold()
            answers = [pool.submit(client.post, picture()) for _ in range(2)]
            until(lambda: waiting(client) == 2)
            threading.Timer(0.3, model.go).start()
        assert [answer.result().status for answer in answers] == [200, 200]
        assert rest(idle) == b""
        idle.close()
        with pytest.raises(ConnectionRefusedError):
            client("GET", "/healthz")


def test_it_does_not_wait_for_ever(model: Colours) -> None:
    threads = threading.active_count()
    with ThreadPoolExecutor(1) as pool:
        with running_server({"colours": model}, ServerSettings(port=0, deadline=0.4)) as url:
            client = Client(int(url.rpartition(":")[2]))
            slow = client.socket()
            slow.sendall(HEAD % 1000 + b"x")
            model.hold()
            answer = pool.submit(client.post, picture())
            until(lambda: waiting(client) == 1)
            threading.Timer(0.6, model.go).start()
            began = time.monotonic()
        assert time.monotonic() - began < 4
        assert answer.result().status == 503
        assert b"503" in rest(slow)[:20]
        slow.close()
    assert threading.active_count() <= threads


def test_a_port_that_is_taken(client: Client) -> None:
    with pytest.raises(OptionError, match=rf"cannot listen on 127.0.0.1 port {client.port}: [^()]+$"):
        running_server({}, ServerSettings(port=client.port)).__enter__()


def test_a_long_wait_is_refused_and_an_idle_model_never() -> None:
    free = threading.Event()

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        free.wait(10)
        time.sleep(0.05)
        return np.zeros((len(pixels), 1))

    with ThreadPoolExecutor(1) as pool:
        upload = PreparedUpload(pixels=np.zeros((1, 1, 1), np.uint8), size=(8, 8))
        batcher = Batcher(lambda data: upload, run, pool, ServerSettings(max_queue_wait=0.04))
        free.set()
        batcher.submit([b""])[0].result()
        assert batcher.seconds_per_image >= 0.05
        free.clear()
        (waits,) = batcher.submit([b""])
        with pytest.raises(RequestError) as refused:
            batcher.submit([b""])
        assert refused.value.headers == {"Retry-After": "1"}
        free.set()
        waits.result()
        until(lambda: batcher.in_progress == 0)
        batcher.submit([b""])[0].result()
        batcher.close()


@pytest.mark.parametrize(
    "wrong", [{"queue": 0}, {"deadline": 0}, {"port": 70000}, {"max_parts": 65}, {"max_body": 10**9}, {"token": "a b"}]
)
def test_settings_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        ServerSettings(**wrong)


def test_a_token_is_not_shown() -> None:
    assert "s3cret" not in repr(ServerSettings(token="s3cret"))
