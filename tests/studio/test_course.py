"""The server of the course: its pages, its guards, live computations, and the bundle's freshness."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hubel.core.errors import OptionError
from hubel.studio.course import app
from hubel.studio.course.server import running_course
from hubel.studio.settings import ServerSettings
from hubel.teach.course.catalogue import LESSONS
from hubel.teach.course.lesson import Lesson, RefusedError
from hubel.teach.course.page import lesson_numbers

ROOT = Path(__file__).parents[2]
Answer = tuple[int, dict[str, str], bytes]


class Gate:
    """A lesson whose computation goes on when it is told to."""

    def __init__(self) -> None:
        self.go, self.ended = threading.Event(), threading.Event()

    def wait(self, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        try:
            yield {"asked": dict(asked)}
            self.go.wait(20)
            yield {"third": 1 / 3}
        finally:
            self.ended.set()

    def refuse(self, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield {"number": 1}
        raise OptionError("rate is a number above 0, not -1")

    def answer(self, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        raise RefusedError("pairs", "find.error.word", word="dragon", known="a, above")
        yield {}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    lesson = Lesson(name="gate", data=dict, live={"wait": gate.wait, "refuse": gate.refuse, "answer": gate.answer})
    found, check = app.find_lesson, app.check_lesson
    monkeypatch.setattr(app, "find_lesson", lambda name: lesson if name == "gate" else found(name))
    monkeypatch.setattr(app, "check_lesson", lambda name: None if name == "gate" else check(name))
    return gate


@pytest.fixture
def port() -> Iterator[int]:
    with running_course(ServerSettings(port=0)) as url:
        yield urlsplit(url).port or 0


def ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given)
    response = connection.getresponse()
    answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return answer


def live(port: int, action: str, body: str = "{}", kind: str = "application/json") -> Answer:
    return ask(port, "POST", f"/v1/lessons/gate/{action}", body, content_type=kind)


def test_pages_and_guards(port: int) -> None:
    status, headers, body = ask(port, "GET", f"/learn/{LESSONS[0]}?lang=ko")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'<html lang="ko">' in body
    assert "script-src 'self'; style-src 'self'" in headers["content-security-policy"]
    assert "camera=(self)" in headers["permissions-policy"]
    assert ask(port, "GET", "/")[1]["location"] == "/learn/"
    assert ask(port, "GET", "/learn/")[0] == 200
    assert ask(port, "GET", "/app.js")[1]["content-type"].startswith("text/javascript")
    assert ask(port, "GET", "/app.css")[1]["content-type"].startswith("text/css")
    assert ask(port, "GET", "/favicon.ico")[0] == 204
    assert ask(port, "GET", "/learn/", Host="evil.example")[0] == 421
    assert ask(port, "POST", "/v1/lessons/xo/train", "{}", Origin="https://evil.example")[0] == 403
    status, headers, body = ask(port, "GET", "/v1/lessons/sizes/numbers")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == lesson_numbers("sizes")
    for method, path, code in (
        ("GET", "/learn/ox", "no_such_lesson"),
        ("GET", "/v1/lessons/ox/numbers", "no_such_lesson"),
        ("GET", "/nothing", "not_found"),
        ("GET", "/v1/lessons/xo/train", "wrong_method"),
        ("POST", "/v1/lessons/xo/nothing", "no_such_action"),
    ):
        answer = ask(port, method, path)
        assert json.loads(answer[2])["error"]["code"] == code


def test_live_events(port: int, gate: Gate) -> None:
    gate.go.set()
    status, headers, body = live(port, "wait", '{"rate": 2}')
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert body.decode() == (
        'event: row\ndata: {"asked":{"rate":2}}\n\nevent: row\ndata: {"third":0.333333}\n\nevent: end\ndata: {}\n\n'
    )
    last = live(port, "refuse")[2].decode().split("\n\n")[1]
    assert last == 'event: error\ndata: {"message": "rate is a number above 0, not -1"}'
    kind, _, data = live(port, "answer")[2].decode().partition("data: ")
    assert kind == "event: error\n"
    assert json.loads(data) == {
        "message": "The towers never saw the word “dragon”. They know: a, above.",
        "key": "find.error.word",  # of the page's own sentence, in its language
        "values": {"word": "dragon", "known": "a, above"},
    }
    for body_sent, kind, expected in (
        ("[]", "application/json", 400),
        ("{", "application/json", 400),
        ("{}", "text/plain", 415),
    ):
        assert live(port, "wait", body_sent, kind)[0] == expected


def test_one_computation_at_a_time(port: int, gate: Gate) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/v1/lessons/gate/wait", "{}", {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.readline() == b"event: row\n"
    status, headers, body = live(port, "refuse")
    assert (status, headers["retry-after"]) == (503, "1")
    assert "another computation is running" in json.loads(body)["error"]["message"]
    gate.go.set()
    response.read()
    connection.close()
    assert live(port, "refuse")[0] == 200


def test_closing_the_page_ends_the_computation(port: int, gate: Gate) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/v1/lessons/gate/wait", "{}", {"content-type": "application/json"})
    assert connection.getresponse().readline() == b"event: row\n"
    connection.sock.close()
    connection.close()
    threading.Timer(0.2, gate.go.set).start()
    assert gate.ended.wait(10)
    assert live(port, "refuse")[0] == 200


def test_the_bundle_is_built_from_these_sources() -> None:
    """As web/manifest.mjs computes it; `npm run build` in web/ writes it anew."""
    manifest = json.loads(files("hubel.studio.course").joinpath("assets", "manifest.json").read_text())
    lessons = "src/hubel/teach/course/lessons"

    def below(folder: str) -> list[str]:
        found = (path for path in (ROOT / folder).rglob("*") if path.suffix in (".ts", ".tsx", ".css"))
        return [path.relative_to(ROOT).as_posix() for path in found]

    if not (ROOT / "web").is_dir():
        pytest.skip("needs the repository")
    sources = [path for path in below("web/src") if ".test." not in path] + below(lessons)
    sources += [f"web/{name}" for name in ("package-lock.json", "tsconfig.json", "vite.config.ts")]
    found = hashlib.sha256()
    for path in sorted(sources):
        found.update(path.encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    assert manifest["sources"] == found.hexdigest(), "the pages are older than their sources: npm run build in web/"
    for name, expected in manifest["files"].items():
        content = files("hubel.studio.course").joinpath("assets", name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
