"""A model of mean colours that can be paused, a plain HTTP client, and request bodies."""

from __future__ import annotations

import io
import json
import socket
import threading
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.data.preprocess import Preprocess
from hubel.inference.classifier import Classifier
from hubel.weights.card import ModelCard

CLASSES = ("red", "green", "blue <b>&\"'", "a class with half a character \udc80")
COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue <b>&\"'": (10, 10, 250)}


class Colours(Classifier):
    """Model whose scores are mean colours. `hold()` pauses every batch until `go()`; `seen` has the batch sizes."""

    def __init__(self) -> None:
        super().__init__(ModelCard("resnet20", CLASSES, Preprocess(8, 8)))
        self._free = threading.Event()
        self._free.set()
        self.entered = threading.Event()
        self.seen: list[int] = []
        self.broken = False

    def hold(self) -> None:
        self.entered.clear()
        self._free.clear()

    def go(self) -> None:
        self._free.set()

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        self.entered.set()
        assert self._free.wait(20)
        if self.broken:
            raise RuntimeError("a secret: /home/someone/model.safetensors")
        self.seen.append(len(pixels))
        means = pixels.mean((1, 2))
        return np.concatenate([means, np.ones((len(means), 1))], 1) / (means.sum(1, keepdims=True) + 1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Return the code of an error."""
        code: str = self.json["error"]["code"]
        return code


@dataclass(frozen=True)
class Client:
    """Client of one server, with a new connection for each request."""

    port: int

    def __call__(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            return read(connection)
        finally:
            connection.close()

    def post(self, body: Any, path: str = "/v1/predict", kind: str = "image/png") -> Answer:
        return self("POST", path, body, {"Content-Type": kind})

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, data: bytes) -> bytes:
        """Return the bytes until the server closes the connection."""
        with self.socket() as connection:
            connection.sendall(data)
            return rest(connection)


def read(connection: HTTPConnection) -> Answer:
    answer = connection.getresponse()
    return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())


def rest(connection: socket.socket) -> bytes:
    found = b""
    try:
        while chunk := connection.recv(2**16):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def picture(colour: tuple[int, int, int] = (250, 10, 10), size: tuple[int, int] = (16, 12), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def form(files: list[tuple[str | None, bytes]], boundary: str = "b0undary") -> tuple[bytes, str]:
    """Return a multipart body and its content type."""
    parts = []
    for name, data in files:
        named = "" if name is None else f'; filename="{name}"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"{named}\r\n\r\n'
        parts.append(head.encode("utf-8", "surrogateescape") + data + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
