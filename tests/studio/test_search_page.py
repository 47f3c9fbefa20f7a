"""The search box: an answer as a page and as JSON, behind the guards of the other pages."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import numpy as np
import pytest
from colours import Colours
from numpy.typing import NDArray
from PIL import Image

import fake_texts
from hubel.data.preprocess import Preprocess
from hubel.retrieval.concepts import ConceptsEncoder
from hubel.retrieval.search import index_photos
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings


class Bright(ConceptsEncoder):
    """Takes bright photos for cats and dark ones for airliners."""

    def __init__(self) -> None:
        self.classes, self.preprocess, self._weights = ("cat", "airliner"), Preprocess(8, 8), lambda: "bright"

    def prepare(self, images: int):  # type: ignore[no-untyped-def]
        return self.encode_images, 1

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        bright = pixels.mean((1, 2, 3)) / 255
        return self.of_scores(np.stack([bright, 1 - bright], 1))


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    fake_texts.use(monkeypatch)
    for name, value in (("<b>white", 250), ("black", 5)):
        Image.new("RGB", (20, 16), (value,) * 3).save(tmp_path / f"{name}.png")
    search = index_photos(tmp_path, encoder=Bright())
    with running_server({"colours": Colours()}, ServerSettings(port=0), search) as url:
        yield url


def got(address: str, path: str, **headers: str) -> tuple[str, dict[str, str]]:
    with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=30) as response:
        return response.read().decode(), dict(response.headers)


def refused(address: str, path: str, **headers: str) -> int:
    with pytest.raises(HTTPError) as raised:
        got(address, path, **headers)
    raised.value.close()
    return raised.value.code


def test_the_box(address: str) -> None:
    told = json.loads(got(address, "/v1/search?q=cat")[0])
    assert told["images"] == 2
    assert told["best"] > 0.9
    page, headers = got(address, "/search")
    assert 'name="q"' in page
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "style=" not in page
    assert "<style" not in page  # which the policy would leave out
    assert "grid" in got(address, "/search.css")[0]
    page, _ = got(address, "/search?q=" + quote("고양이"), **{"Accept-Language": "ko"})
    assert '<html lang="ko">' in page
    assert "찾은 말: cat." in page
    assert page.count("data:image/jpeg;base64,") == len(told["photos"])
    assert str(Path.cwd()) not in page
    assert refused(address, "/v1/search?q=") == 422
    assert refused(address, "/search?q=cat", Host="evil.example") in (403, 421)


def test_the_document_describes_the_answer(address: str) -> None:
    document = json.loads(got(address, "/openapi.json")[0])
    (parameter,) = document["paths"]["/v1/search"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("q", "query", True)
    schemas = document["components"]["schemas"]
    for query, known in (("cat", True), ("🙂", False)):
        told = json.loads(got(address, "/v1/search?q=" + quote(query))[0])
        assert set(told) == set(schemas["Answer"]["required"])
        assert bool(told["photos"]) is (told["best"] is not None) is known
        for photo in told["photos"]:
            assert set(photo) == set(schemas["Photo"]["required"])


def test_queries_cannot_control_the_page(address: str) -> None:
    page, _ = got(address, "/search?q=" + quote('"><script>cat</script>{{cards}}'))
    assert "<script" not in page
    assert "<b>white" not in page
    assert "no word of the query is known" in got(address, "/search?q=" + quote("🙂" * 50))[0]
    assert refused(address, "/search?q=" + "x" * 100_000) == 431
