"""The page in a browser: a photo is dropped, classes and a map appear; names are text, whatever they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import CHROMIUM, Browser, browser
from colours import CLASSES as COLOURS
from colours import Client, Colours, picture
from PIL import Image

from hubel.core.errors import UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.inference.predictor import Predictor
from hubel.models.catalogue import build_model
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings
from hubel.weights.card import ModelCard

CLASSES = ("<img src=x onerror=alert(1)>", *(f"class {number}" for number in range(4)))
MAP = "!document.getElementById('map-figure').hidden && document.getElementById('map').naturalWidth > 0"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    network = build_model("resnet20", num_classes=len(CLASSES), options={}).eval()
    return Predictor(network, ModelCard("resnet20", CLASSES, Preprocess(32, 32)))


@pytest.fixture(scope="module")
def url(predictor: Predictor) -> Iterator[str]:
    with running_server({"net": predictor, "colours": Colours()}, ServerSettings(port=0)) as url:
        yield url


def test_maps(url: str) -> None:
    client = Client(int(url.rpartition(":")[2]))
    data = picture(size=(90, 60))
    assert [model["explains"] for model in client("GET", "/v1/models").json["models"]] == [True, False]
    answer = client.post(data, "/v1/explain")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert answer.body[16:24] == (480).to_bytes(4, "big") + (320).to_bytes(4, "big")
    assert client.post(data, "/v1/explain?class=class%203").body != answer.body
    for path, body, kind, expected in (
        ("?class=nothing", data, "image/png", (404, "no_such_class")),
        ("?model=colours", data, "image/png", (404, "no_maps")),
        ("", b"nothing", "image/png", (422, "unreadable")),
        ("", data, "multipart/form-data; boundary=x", (415, "wrong_type")),
    ):
        refused = client.post(body, f"/v1/explain{path}", kind)
        assert (refused.status, refused.code) == expected


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize("width", [1280, 390])
def test_a_photo_is_dropped(page: Browser, url: str, tmp_path: Path, width: int) -> None:
    photo = tmp_path / "<b>photo&.png"
    photo.write_bytes(picture(size=(90, 60)))
    page.said.clear()
    page.open(url, width)
    page.wait("state.models.length === 2")
    page.drop(photo, "#drop")
    page.wait(MAP)
    shown = page.run("[...document.querySelectorAll('.class')].map(one => one.textContent)")
    assert len(shown) == 5
    assert set(shown) == set(CLASSES)
    bars = page.run("[...document.querySelectorAll('.track i')].map(one => one.getBoundingClientRect().width)")
    assert bars == sorted(bars, reverse=True)
    assert bars[0] > 10
    assert page.run("document.getElementById('name').textContent") == photo.name
    assert page.run("document.querySelectorAll('main b, main img').length") == 2
    assert page.run("document.documentElement.scrollWidth") <= width
    # Another class by the keyboard, then another model.
    page.run("document.querySelectorAll('#classes button')[3].focus(); document.activeElement.click()")
    page.wait(f"document.getElementById('map-caption').textContent.includes('“' + {shown[3]!r} + '”')")
    page.run("var m = document.getElementById('model'); m.value = 'colours'; m.dispatchEvent(new Event('change'))")
    page.wait("[...document.querySelectorAll('.class')].some(one => one.textContent === 'red')")
    assert page.run("document.getElementById('map-figure').hidden")
    assert page.said == []
    photo.write_bytes(b"no image")
    page.drop(photo, "#drop")
    page.wait("document.getElementById('problem').textContent.startsWith('Not an image')")


def test_a_damaged_photo_is_marked(page: Browser, url: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    Image.fromarray(pixels).save(whole := tmp_path / "whole.jpg")
    data = whole.read_bytes()
    (half := tmp_path / "half.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    page.open(url, 1280)
    page.wait("state.models.length === 2")
    page.drop(half, "#drop")
    page.wait("!document.getElementById('damage').hidden")
    said = page.run("document.getElementById('damage').textContent")
    assert said.startswith("Parts of this photo are lost, so the prediction may be wrong: ")
    assert said.endswith(": damaged JPEG data (premature end of data segment).")
    assert page.run("document.querySelectorAll('.class').length") == 5
    page.drop(whole, "#drop")
    page.wait("document.getElementById('name').textContent === 'whole.jpg'")
    assert page.run("document.getElementById('damage').hidden")


def test_an_answer_that_is_sure(page: Browser, tmp_path: Path) -> None:
    """The field asks the API's `sure`: a class, a group of classes, or none; it is there where a model can answer."""

    def answer(value: str) -> str:
        turn = page.run("state.turn")
        page.run(f"var s = document.getElementById('sure'); s.value = '{value}'; s.dispatchEvent(new Event('change'))")
        page.wait(f"state.turn > {turn} && document.getElementById('state').textContent.endsWith(' ms')")
        shown = "!document.getElementById('answer').hidden && document.getElementById('answer').textContent"
        return page.run(f"{shown} || ''")

    colours = Colours()
    red, green, blue, _ = COLOURS
    colours.card = replace(colours.card, parents={red: "warm", green: "cold", blue: "cold"})
    several = Colours()
    several.card = replace(several.card, task="multi_label", scores="sigmoid")
    Image.new("RGB", (8, 8), (0, 120, 100)).save(photo := tmp_path / "sea.png")
    with running_server({"colours": colours, "several": several}, ServerSettings(port=0)) as url:
        listed = Client(int(url.rpartition(":")[2]))("GET", "/v1/models").json["models"]
        assert [model.get("groups") for model in listed] == [["warm", "cold"], None]
        page.said.clear()
        page.open(url, 390)
        page.wait("state.models.length === 2 && !document.getElementById('surety').hidden")
        page.drop(photo, "#drop")
        page.wait("document.getElementById('state').textContent.endsWith(' ms')")
        assert page.run("document.getElementById('answer').hidden")
        assert answer("50") == "green: the model is at least 50 % sure (54.3 %)."
        assert answer("90") == "cold: the model is at least 90 % sure (99.5 %)."
        assert answer("99.9") == "The model is 99.9 % sure of no class and no group of classes."
        assert answer("") == ""
        page.run("var s = document.getElementById('sure'); s.value = '30'; s.dispatchEvent(new Event('change'))")
        page.wait("document.getElementById('problem').textContent.endsWith('a number from 50 to 99.9.')")
        page.run("var m = document.getElementById('model'); m.value = 'several'; m.dispatchEvent(new Event('change'))")
        page.wait("document.getElementById('state').textContent.startsWith('several')")
        assert page.run("document.getElementById('surety').hidden && document.getElementById('answer').hidden")
        assert page.said == []


def test_page_speaks_korean_where_the_browser_does(page: Browser, url: str, tmp_path: Path) -> None:
    client = Client(int(url.rpartition(":")[2]))
    for wished, lang, title in (("ko-KR,en;q=0.5", "ko", "사진 분류하기"), ("de", "en", "Classify a photo")):
        text = client("GET", "/", headers={"Accept-Language": wished}).body.decode()
        assert f'<html lang="{lang}">' in text
        assert f"<h1>{title}</h1>" in text
    page.call("Emulation.setUserAgentOverride", userAgent="test", acceptLanguage="ko")
    try:
        page.said.clear()
        page.open(url, 390)
        page.wait("state.models.length === 2")
        (photo := tmp_path / "photo.png").write_bytes(picture(size=(90, 60)))
        page.drop(photo, "#drop")
        page.wait(MAP)
        assert page.run("document.title") == "사진 분류하기 · hubel"
        assert page.run("document.getElementById('map-caption').textContent").startswith("신경망의 입력에서 “")
        said = page.run("document.querySelector('main').innerText")
        assert not re.search(
            "[A-Za-z]{4}", re.sub(r"hubel|class \d|<img.*?>|photo.png|colours|onerror|alert|net", "", said)
        ), said
        assert page.said == []
        photo.write_bytes(b"no image")
        page.drop(photo, "#drop")
        page.wait("document.getElementById('problem').textContent === '읽을 수 있는 이미지가 아니다.'")
    finally:
        page.call("Emulation.setUserAgentOverride", userAgent="test", acceptLanguage="en")


def test_server_decides_the_language_if_asked_to() -> None:
    with running_server({"colours": Colours()}, ServerSettings(port=0, lang="ko")) as url:
        text = Client(int(url.rpartition(":")[2]))("GET", "/", headers={"Accept-Language": "en"}).body.decode()
    assert '<html lang="ko">' in text
    with pytest.raises(UnknownNameError, match="no language is called 'fr'"):
        ServerSettings(lang="fr")
