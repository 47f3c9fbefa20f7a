"""Access control: known hosts, known origins, the token."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from colours import Client, picture

Start = Callable[..., Client]
PNG = {"Content-Type": "image/png"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:1234", "[::1]", "[::1]:80"])
def test_own_hosts(client: Client, host: str) -> None:
    assert client("POST", "/v1/predict", picture(), {**PNG, "Host": host}).status == 200


FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", "x@localhost", ""]


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_hosts(client: Client, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/healthz"), ("POST", "/v1/predict"), ("GET", "/nothing")):
        answer = client(method, path, None, {"Host": host})
        assert (answer.status, answer.code) == (421, "foreign_host")


def test_origins(client: Client) -> None:
    for origin in ("http://localhost", "http://127.0.0.1:5000", "https://[::1]:1", "HTTP://LOCALHOST:3"):
        assert client("POST", "/v1/predict", picture(), {**PNG, "Origin": origin}).status == 200
    foreign = ("http://evil.example", "null", "http://localhost.evil.example", "file://", "http://localhost@evil", "")
    for origin in foreign:
        for path in ("/v1/predict", "/v1/models"):
            answer = client("POST", path, picture(), {**PNG, "Origin": origin})
            assert (answer.status, answer.code) == (403, "foreign_origin"), origin
    assert "access-control-allow-origin" not in client("GET", "/", None, {"Origin": "http://localhost"}).headers


def test_hosts_that_are_allowed(start: Start) -> None:
    client = start(allow_hosts=("photos.Example.org",))
    headers = {**PNG, "Host": "PHOTOS.example.org", "Origin": "https://photos.example.org"}
    assert client("POST", "/v1/predict", picture(), headers).status == 200
    assert client("GET", "/", None, {"Host": "example.org"}).status == 421


def test_a_token(start: Start) -> None:
    client = start(token="s3cret")
    for given in (None, "s3cret", "Bearer", "Bearer s3cre", "Bearer s3cretx", "Basic s3cret", "Bearer \xe9"):
        headers = {} if given is None else {"Authorization": given}
        for method, path in (("POST", "/v1/predict"), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/nothing")):
            answer = client(method, path, None, headers)
            assert (answer.status, answer.code) == (401, "unauthorized"), given
            assert answer.headers["www-authenticate"] == "Bearer"
    headers = {**PNG, "Authorization": "bearer s3cret"}
    assert client("POST", "/v1/predict", picture(), headers).status == 200
    for path in ("/healthz", "/", "/page.css", "/page.js"):
        answer = client("GET", path)
        assert answer.status == 200
        assert b"s3cret" not in answer.body
    assert client("GET", "/openapi.json", None, headers).json["security"] == [{"bearer": []}]
