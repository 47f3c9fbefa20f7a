"""Responses of the endpoints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from http.client import HTTPConnection
from io import BytesIO
from urllib.parse import quote

import numpy as np
import pytest
from colours import CLASSES, COLOURS, Client, Colours, form, picture, read
from PIL import Image

from hubel.data.decode import decode
from hubel.studio.guard import parse_host

Start = Callable[..., Client]


def test_one_image_as_the_body(client: Client) -> None:
    for name, colour in COLOURS.items():
        answer = client.post(picture(colour), "/v1/predict?top=2")
        assert answer.status == 200
        assert answer.json["model"] == "colours"
        (image,) = answer.json["images"]
        assert image["name"] is None
        assert [len(image["top"]), image["top"][0]["class"]] == [2, name]
        assert image["top"][0]["score"] > 0.9
    jpeg = picture(kind="JPEG")
    assert client.post(jpeg, kind="application/octet-stream").json["images"][0]["top"][0]["class"] == "red"
    assert client.post(jpeg, kind="IMAGE/JPEG; x=y").status == 200


def test_many_images_keep_their_order_and_bad_ones_have_their_reason(client: Client) -> None:
    names = list(COLOURS)
    files = [(f"{number}.png", picture(COLOURS[names[number % 3]])) for number in range(10)]
    files[4] = ("<script>alert(1)</script>.png", b"no image")
    files[7] = ("../../etc/passwd", picture()[:50])
    body, kind = form([*files, (None, picture())])
    answer = client.post(body, kind=kind)
    assert answer.status == 200
    images = answer.json["images"]
    assert [image["name"] for image in images] == [*(name for name, _ in files), None]
    for number, image in enumerate(images):
        if number in (4, 7):
            assert image["error"]["code"] == "unreadable"
        else:
            assert image["top"][0]["class"] == ("red" if number == 10 else names[number % 3])
    assert "not an image" in images[4]["error"]["message"]


def test_a_damaged_photo_is_classified_and_marked(client: Client) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    whole = file.getvalue()
    middle = len(whole) // 2
    harmed = whole[: middle - 2048] + bytes(4096) + whole[middle + 2048 :]
    (alone,) = client.post(harmed, kind="image/jpeg").json["images"]
    assert alone["top"]
    assert alone["damaged"] == decode(harmed, name="image").damage
    body, kind = form([("whole.jpg", whole), ("harmed.jpg", harmed)])
    first, second = client.post(body, kind=kind).json["images"]
    assert "damaged" not in first
    assert (second["damaged"], second["top"]) == (alone["damaged"], alone["top"])
    described = client("GET", "/openapi.json").json["components"]["schemas"]["Image"]
    assert set(second) <= set(described["properties"])
    assert set(described["required"]) == {"name"}


def test_names_that_are_no_text_stay_json(client: Client) -> None:
    body, kind = form([("caf\udcc3\u0000\x01.png", picture()), ('a%22b\\"c\\d.png', picture())])
    images = client.post(body, "/v1/predict?top=4", kind).json["images"]
    assert images[0]["name"] == "caf\ufffd\ufffd\ufffd.png"
    assert images[1]["name"] == 'a"b"c\\d.png'
    assert {one["class"] for one in images[0]["top"]} == set(CLASSES)


def test_one_unreadable_image_is_an_error(client: Client) -> None:
    for data in (b"", b"GIF89a", b"x" * 1000, picture()[:50]):
        answer = client.post(data)
        assert (answer.status, answer.code) == (422, "unreadable")
        assert "image:" not in answer.json["error"]["message"]


@pytest.mark.parametrize("top", ["0", "-1", "1001", "x", "", "1.5", "٣", "9" * 5000])
def test_a_wrong_top(client: Client, top: str) -> None:
    answer = client.post(picture(), f"/v1/predict?top={quote(top)}")
    assert (answer.status, answer.code) == (422, "bad_parameter")


def test_a_body_of_another_type(client: Client) -> None:
    for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded", "text/html", "x", ""):
        answer = client.post(picture(), kind=kind)
        assert (answer.status, answer.code) == (415, "wrong_type"), kind
    assert client("POST", "/v1/predict", picture()).status == 415
    answer = client("POST", "/v1/predict", picture(), {"Content-Type": "image/png", "Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (415, "compressed_body")


def test_unknown_paths_and_methods_are_json(client: Client) -> None:
    for path in (
        "/nothing",
        "/v1/predict/",
        "/../../etc/passwd",
        "/%2e%2e/x",
        "//",
        "/page.js/../x",
        "/static/page.js",
    ):
        answer = client("GET", path)
        assert (answer.status, answer.code) == (404, "not_found"), path
    for method, path in (("GET", "/v1/predict"), ("PUT", "/v1/predict"), ("DELETE", "/"), ("OPTIONS", "/v1/models")):
        answer = client(method, path)
        assert (answer.status, answer.code) == (405, "wrong_method"), path
        assert answer.headers["allow"]


def test_health_readiness_models_and_metrics(start: Start, model: Colours) -> None:
    client = start({"a": model, "b": Colours()})
    assert client("GET", "/healthz").json == client("GET", "/readyz").json == {"status": "ok"}
    listed = client("GET", "/v1/models").json["models"]
    assert [model["name"] for model in listed] == ["a", "b"]
    assert listed[0] == {
        "name": "a",
        "network": "resnet20",
        "input": {"width": 8, "height": 8, "channels": 3},
        "output": "vector",
        "scores": "softmax",
        "explains": False,
        "classes": list(CLASSES),
        "groups": [],
    }
    assert client.post(picture(), "/v1/predict?model=b").json["model"] == "b"
    assert client.post(picture()).json["model"] == "a"
    answer = client.post(picture(), "/v1/predict?model=c")
    assert (answer.status, answer.code) == (404, "no_such_model")
    lines = client("GET", "/metrics").body.decode().splitlines()
    assert 'hubel_requests_total{path="/v1/predict",status="200"} 2' in lines
    assert 'hubel_requests_total{path="/v1/predict",status="404"} 1' in lines
    assert 'hubel_batch_images_bucket{model="b",le="1.0"} 1' in lines
    assert 'hubel_images_under_way{model="a"} 0.0' in lines
    values = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    assert all(float(value) >= 0 for _, _, value in values)
    assert len({name for name, _, _ in values}) == len(values)


def test_an_export_has_no_maps(client: Client) -> None:
    answer = client.post(picture(), "/v1/explain")
    assert (answer.status, answer.code) == (404, "no_maps")


def test_an_error_inside_tells_nothing(start: Start, model: Colours) -> None:
    client = start()
    model.broken = True
    answer = client.post(picture())
    assert (answer.status, answer.json) == (500, {"error": {"code": "failed", "message": "internal server error"}})
    model.broken = False
    assert client.post(picture()).status == 200


def test_one_connection_for_many_requests(client: Client) -> None:
    connection = HTTPConnection("127.0.0.1", client.port)
    for _ in range(3):
        connection.request("POST", "/v1/predict", picture(), {"Content-Type": "image/png"})
        assert read(connection).status == 200
        first = connection.sock
        connection.request("HEAD", "/healthz")
        assert read(connection).body == b""
        assert connection.sock is first
    connection.close()


def test_the_document_names_what_there_is(client: Client) -> None:
    description = client("GET", "/openapi.json").json
    assert description["openapi"].startswith("3.1")
    methods = {(path, method) for path, item in description["paths"].items() for method in item}
    for path, method in methods:
        assert client(method.upper(), path).status in (200, 404, 415), path
    assert ("/v1/explain", "post") in methods
    references = {part.split('"')[0] for part in json.dumps(description).split('"$ref": "#/')[1:]}
    for reference in references:
        here = description
        for step in reference.split("/"):
            here = here[step]
    assert "security" not in description


def test_every_answer_is_guarded(client: Client) -> None:
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("POST", "/v1/predict"), ("GET", "/page.js")):
        headers = client(method, path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "server" not in headers
    assert b"x-content-type-options: nosniff" in client.raw(b"\x16\x03\x01 no http\r\n\r\n").lower()


def test_the_page_needs_nothing_from_elsewhere(client: Client) -> None:
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        answer = client("GET", path)
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        text = answer.body.decode()
        assert "http:" not in text
        assert "https:" not in text
        assert "innerHTML" not in text
        assert "style=" not in text
        assert "<script>" not in text


def test_scores_are_those_of_the_library(client: Client) -> None:
    colours = Colours()
    noise = np.random.default_rng(0)
    for _ in range(5):
        file = BytesIO()
        Image.fromarray(noise.integers(0, 256, (30, 50, 3), dtype=np.uint8)).save(file, "JPEG")
        pixels = decode(file.getvalue(), name="x", min_size=colours.card.preprocess.min_size).pixels
        expected = colours.predict_proba([pixels])[0]
        (image,) = client.post(file.getvalue(), "/v1/predict?top=4", "image/jpeg").json["images"]
        assert {one["class"]: one["score"] for one in image["top"]} == dict(zip(CLASSES, expected, strict=True))


def test_hosts() -> None:
    assert parse_host("a.b:80") == "a.b"
    for wrong in ("a b", "a:b", "[::1", "::1", "a/b", "a:123456", "@a", "a:80:80"):
        assert parse_host(wrong) is None, wrong


def test_a_model_with_costs_answers_the_class_of_least_cost(start: Start, model: Colours) -> None:
    plain = start().post(picture(COLOURS["red"]), "/v1/predict?top=99").json["images"][0]
    best, *_, last = [one["class"] for one in plain["top"]]
    assert "expected_cost" not in plain
    costs = np.ones((len(CLASSES), len(CLASSES)))  # whatever is not predicted as the least probable class costs 1
    costs[:, CLASSES.index(last)] = 0.25
    model.card = dataclasses.replace(model.card, costs=tuple(map(tuple, costs.tolist())))
    answer = start({"dear": model}).post(picture(COLOURS["red"]), "/v1/predict?top=99").json["images"][0]
    assert [one["class"] for one in answer["top"]][:2] == [last, best]
    assert {one["class"]: one["score"] for one in answer["top"]} == {one["class"]: one["score"] for one in plain["top"]}
    assert answer["expected_cost"] == pytest.approx(0.25)
