"""`hubel serve`: the same answers as `hubel predict`, an end in good order, and mistakes in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def ask(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, body, headers or {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def during(port: int, work: Callable[[], Any]) -> threading.Thread:
    """Works as soon as there is a server, and then sends this process SIGTERM."""

    def run() -> None:
        try:
            for _ in range(200):
                try:
                    ask(f"http://127.0.0.1:{port}/healthz")
                except urllib.error.URLError:
                    time.sleep(0.05)
                else:
                    work()
                    break
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_it_says_what_predict_says_until_sigterm(hubel: Call, model: Path, photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    rows = json.loads(hubel("predict", model, photos, "--json", "--top", 1).out)
    port, found = free_port(), {}

    def work() -> None:
        for file in files:
            answer = ask(f"http://127.0.0.1:{port}/v1/predict?top=1", file.read_bytes(), {"Content-Type": "image/png"})
            found[str(file)] = answer["images"][0]["top"]

    thread = during(port, work)
    answer = hubel("serve", model, "--port", port)
    thread.join()
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"run at http://127.0.0.1:{port}; Ctrl-C stops\n"
    assert {path: classes[0]["class"] for path, classes in found.items()} == {row["path"]: row["class"] for row in rows}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_token_of_the_environment(hubel: Call, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBEL_TOKEN", "s3cret")
    port, seen = free_port(), []

    def work() -> None:
        url = f"http://127.0.0.1:{port}/v1/models"
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(url)
        refused.value.close()
        seen.append(refused.value.code)
        seen.append(len(ask(url, headers={"Authorization": "Bearer s3cret"})["models"]))

    thread = during(port, work)
    answer = hubel("serve", model, model, "--port", port)
    thread.join()
    assert seen == [401, 2]
    assert "s3cret" not in answer.err


def test_an_open_server_warns(hubel: Call, model: Path) -> None:
    port = free_port()
    thread = during(port, lambda: None)
    answer = hubel("serve", model, "--port", port, "--host", "0.0.0.0", "--allow-host", "*", "--root-path", "/photos/")
    thread.join()
    warnings, (said, *where) = answer.err.splitlines()[:2], answer.err.splitlines()[2:]
    assert warnings[0] == "warning: 0.0.0.0 is open to other computers, and no token is required (--token)"
    assert warnings[1].startswith("warning: --allow-host '*' also lets every web page in")
    assert said == f"run at http://localhost:{port}/photos; Ctrl-C stops"
    assert len(where) <= 1  # none on a computer without a network


def test_a_phone_is_told_the_address_at_which_it_is_answered(
    hubel: Call, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finding it sends nothing."""
    connected: list[object] = []

    class Asking(socket.socket):
        def connect(self, address: Any) -> None:
            asking = self.type == socket.SOCK_DGRAM
            connected.extend([address] * asking)
            super().connect(("127.0.0.1", 9) if asking else address)  # the only network that every computer has

    monkeypatch.setattr("hubel.studio.server.socket.socket", Asking)
    port, seen = free_port(), []
    thread = during(port, lambda: seen.append(ask(f"http://127.0.0.1:{port}/v1/models")))
    answer = hubel("serve", model, "--port", port, "--host", "0.0.0.0")
    thread.join()
    assert len(seen) == 1
    assert answer.err.splitlines()[-1] == f"from a phone or another computer: http://127.0.0.1:{port}"
    assert connected == [("192.0.2.1", 9)]


def test_mistakes(hubel: Call, model: Path) -> None:
    assert "name a model" in hubel("serve").err
    for words, said in (
        (("--queue", 0), "queue is above 0"),
        (("--port", 99999), "a port is a number"),
        (("--host", "256.1.1.1"), "cannot listen on 256.1.1.1"),
        (("--allow-host", "https://photos.example.org"), "a host is a name such as photos.example.org"),
        (("--root-path", "photos"), "a root path is a path such as /hubel"),
    ):
        answer = hubel("serve", model, *words)
        assert answer.code == 2
        assert said in answer.err


def test_it_starts_without_torch() -> None:
    code = (
        "import sys, hubel.cli.serve, hubel.studio.server, hubel.inference.load\n"
        "print([name for name in ('torch', 'matplotlib', 'sklearn', 'scipy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
