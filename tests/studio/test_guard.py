"""Access control: known hosts, known origins, the token."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from colours import Client, form, picture, rest

from hubel.core.errors import OptionError
from hubel.studio.settings import ServerSettings

Start = Callable[..., Client]
PNG = {"Content-Type": "image/png"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:1234", "[::1]", "[::1]:80"])
def test_own_hosts(client: Client, host: str) -> None:
    assert client("POST", "/v1/predict", picture(), {**PNG, "Host": host}).status == 200


FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", "x@localhost", ""]


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_hosts(client: Client, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/openapi.json"), ("POST", "/v1/predict"), ("GET", "/nothing")):
        answer = client(method, path, None, {"Host": host})
        assert (answer.status, answer.code) == (421, "foreign_host")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_come_by_any_address(client: Client, path: str) -> None:
    for host in FOREIGN:
        assert client("GET", path, None, {"Host": host}).status == 200
    without = client.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert without.startswith(b"HTTP/1.1 200")
    assert client("GET", path, None, {"Origin": "http://evil.example"}).code == "foreign_origin"
    assert client("GET", f"{path}/x", None, {"Host": "evil.example"}).code == "foreign_host"


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


def allowed(client: Client, *names: str) -> list[bool]:
    """Whether each may be Host, and Origin."""
    found = []
    for name in names:
        host = client("GET", "/v1/models", None, {"Host": f"{name}:81"}).status == 200
        origin = client("GET", "/v1/models", None, {"Origin": f"https://{name}"}).status == 200
        assert host is origin, name
        found.append(host)
    return found


def test_wildcards(start: Start) -> None:
    client = start(allow_hosts=("*.Example.org",))
    assert allowed(client, "a.example.org", "A.B.EXAMPLE.ORG", "localhost") == [True] * 3
    others = ("example.org", "badexample.org", "a.example.org.evil.example", "evil.example", "*.example.com")
    assert allowed(client, *others) == [False] * 5
    everything = start(allow_hosts=("*",))
    assert allowed(everything, "evil.example", "192.168.0.1", "localhost") == [True] * 3
    assert everything("GET", "/", None, {"Origin": "null"}).status == 403


@pytest.mark.parametrize(
    "name", ["https://photos.example.org", "photos:80", "a.*.org", "*example.org", "**", "", "a b"]
)
def test_hosts_that_are_none(name: str) -> None:
    with pytest.raises(OptionError, match=r"a name such as photos\.example\.org or \*\.example\.org, not"):
        ServerSettings(allow_hosts=(name,))


@pytest.mark.skipif(sys.platform == "darwin", reason="127.0.0.1 is its only address of this kind")
def test_the_address_to_which_a_client_connects_is_known(start: Start) -> None:
    """A phone that opens the printed address: no name is needed, and no foreign one can stand for an address."""
    client = start(host="0.0.0.0")
    with socket.create_connection(("127.0.0.2", client.port)) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.2:8000\r\nConnection: close\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 200")
    assert allowed(client, "127.0.0.1", "127.0.0.2", "0.0.0.0") == [True, False, False]


def test_a_path_of_a_proxy(start: Start) -> None:
    """With the prefix, as some proxies pass it on, and without it, as others do."""
    client = start(root_path="/hubel/photos")
    for prefix in ("", "/hubel/photos"):
        assert client("GET", f"{prefix}/healthz").status == 200
        assert client.post(picture(), f"{prefix}/v1/predict?top=1").status == 200
        page = client("GET", f"{prefix}/").body.decode()
        links = re.findall(r'(?:href|src)="([^"]*page[^"]*)"', page)
        assert links == ["/hubel/photos/page.css", "/hubel/photos/page.js"]
        assert [client("GET", link).status for link in links] == [200, 200]
    assert client("GET", "/hubel/photos").status == 200
    for path in ("/hubel", "/hubel/photosy", "/hubel/photos/hubel/photos/", "/hubel/photos//healthz"):
        assert client("GET", path).status == 404
    assert client("GET", "/openapi.json").json["servers"] == [{"url": "/hubel/photos"}]


def test_a_page_without_a_path_links_relatively(client: Client) -> None:
    """So a proxy that removes a prefix need not be known."""
    links = re.findall(r'(?:href|src)="([^"]*page[^"]*)"', client("GET", "/").body.decode())
    assert links == ["page.css", "page.js"]
    script = client("GET", "/page.js").body.decode()
    assert not re.search(r"""["'`]/\w""", script)
    assert client("GET", "/openapi.json").json["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("path", ["hubel", "/", "/hubel/", "//evil.example", "/a/../b", '/"><b>', "/a b", "/a?b"])
def test_paths_of_a_proxy_that_are_none(path: str) -> None:
    with pytest.raises(OptionError, match="a root path is a path such as /hubel"):
        ServerSettings(root_path=path)


OUTSIDE = [
    "/../secret", "/page.js/../../secret", "/%2e%2e/secret", "/..%2fsecret", "//etc/passwd", "/page.css/", "/link",
    "/.", "/page.html", "/v1/../healthz", "/\\..\\secret", "/C:/secret", "/%00", "/page.js%00.css",
]  # fmt: skip


def test_no_request_opens_a_file(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths, models and names of files in a request are looked up in tables, never in the file system."""
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    monkeypatch.chdir(tmp_path)
    client = start()
    body, kind = form([("../secret", picture()), (str(tmp_path / "link"), picture())])
    assert client.post(body, "/v1/predict", kind).status == 200  # what is imported late has been imported
    opened: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:  # for good: a hook cannot be removed
        if event in ("open", "os.listdir", "os.scandir") and re.search("secret|link|passwd", str(arguments[0])):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)
    for path in OUTSIDE:
        answer = client.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404"), path
    for name in ("../secret", "link", "%2e%2e/secret", str(tmp_path / "link"), "file:///etc/passwd"):
        assert client.post(picture(), f"/v1/predict?model={name}").status == 404
        assert client.post(picture(), f"/v1/explain?class={name}").status == 404
    assert client.post(body, "/v1/predict", kind).status == 200
    assert opened == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "secret"]


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
    for path in ("/healthz", "/readyz", "/", "/page.css", "/page.js"):
        answer = client("GET", path)
        assert answer.status == 200
        assert b"s3cret" not in answer.body
    assert client("GET", "/openapi.json", None, headers).json["security"] == [{"bearer": []}]
