"""`hubel explain` and `hubel embed`: every kind of picture, and every mistake in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from hubel.core.language import LANGUAGES, table
from hubel.explain import METHODS
from hubel.explain.wording import legend
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

Call = Callable[..., Any]


def pictures(folder: Path) -> set[str]:
    """The names of the PNG files in a folder, each of which can be read and is not of one colour."""
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 100
    return {path.name for path in folder.glob("*.png")}


def test_images(hubel: Call, model: Path, photos: Path) -> None:
    first, second = photos / "red" / "1.png", photos / "blue" / "1.png"
    (photos / "bad.png").write_bytes(b"broken")
    answer = hubel("explain", model, first, second, photos / "bad.png", "--out", "made")
    assert answer.code == 3
    assert "unreadable: " in answer.err
    assert "bad.png" in answer.err
    assert pictures(Path("made")) == {"1-gradcam.png", "1-2-gradcam.png", "sheet.png"}
    values = np.load("made/1-gradcam.npy")
    assert (values.shape, values.dtype) == ((12, 12), np.float32)
    assert "made" in answer.out
    again = hubel("explain", model, first, "--class", "green", "--method", "smoothgrad")
    assert again.code == 0
    assert pictures(Path("runs/explain-convnet-1")) == {"1-smoothgrad.png"}
    assert "green" in again.out


def test_comparison(hubel: Call, model: Path, photos: Path) -> None:
    answer = hubel("explain", model, photos / "red", "--compare", "--out", "made")
    assert answer.code == 0
    assert pictures(Path("made")) == {"methods.png"}
    for word in ("gradcam++", "occlusion", "random map", "centred Gaussian", "insertion", "deletion"):
        assert word in answer.out


def test_maps_units_filters_templates(hubel: Call, model: Path, photos: Path) -> None:
    photo = photos / "red" / "1.png"
    assert hubel("explain", model, photo, "--maps", "--out", "maps").code == 0
    assert pictures(Path("maps")) == {"1-maps.png"}
    assert np.load("maps/1-stage2.npy").shape == (8, 3, 3)
    assert hubel("explain", model, photo, "--maps", "--layer", "stage1.block1", "--out", "one").code == 0
    assert np.load("one/1-stage1.block1.npy").shape == (4, 12, 12)
    assert hubel("explain", model, photo, "--unit", "stage2:3", "--patches", photos, "--out", "unit").code == 0
    assert pictures(Path("unit")) == {"stage2-3.png"}
    assert hubel("explain", model, "--unit", "stage2:3", "--patches", photos, "--out", "unit").code == 0
    assert hubel("explain", model, "--filters", "--out", "filters").code == 0
    assert pictures(Path("filters")) == {"filters.png"}
    assert hubel("explain", model, "--templates", "--beside", model, "--out", "templates").code == 0
    assert pictures(Path("templates")) == {"templates.png"}


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_vector_formats_in_korean(hubel: Call, model: Path, photos: Path, form: str) -> None:
    photo = photos / "red" / "1.png"
    for folder in ("first", "again"):
        assert hubel("explain", model, photo, "--format", form, "--lang", "ko", "--out", folder).code == 0
    data = Path(f"first/1-gradcam.{form}").read_bytes()
    assert data == Path(f"again/1-gradcam.{form}").read_bytes()
    assert not pictures(Path("first"))
    if form == "svg":
        assert ElementTree.fromstring(data).tag.endswith("svg")
    else:
        assert data.startswith(b"%PDF-")


def test_each_figure_says_how_to_read_it() -> None:
    for language in LANGUAGES:
        assert {f"explain.read.{name}" for name in METHODS} < set(table(language))
    ours = {key for key in table("ko") if key.startswith("explain.read.")}
    assert all(re.search("[가-힣]", table("ko")[key]) for key in ours)


@pytest.mark.parametrize("language", LANGUAGES)
def test_legends_stay_within_their_figure(language: str) -> None:
    rows = [TileRow([ImageTile(np.zeros((4, 4), np.uint8))])]
    for method in METHODS:
        figure = draw_tiles(rows, "title", legend=legend(method, "evidence", language=language))
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
        width, height = figure.get_size_inches() * figure.dpi
        assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)
        assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])


def test_embedding(hubel: Call, model: Path, photos: Path) -> None:
    answer = hubel("embed", model, photos)
    assert answer.code == 0
    folder = Path("runs/embed-convnet-1")
    assert pictures(folder) == {"embedding.png"}
    assert len((folder / "embedding.csv").read_text().splitlines()) == 31
    assert "30 images" in answer.out


MISTAKES = {
    "RUN": "name the images: hubel explain MODEL IMAGE...",
    "RUN missing.png": "missing.png: no such file or folder",
    "RUN photos/red/1.png --method grad": "no method is called 'grad'; did you mean gradcam",
    "RUN photos/red/1.png --class rad": "no class is called 'rad'; did you mean red?",
    "RUN photos/red/1.png --layer stage9": "no layer is called 'stage9'; did you mean",
    "RUN photos/red/1.png --layer head": "layer head outputs no map",
    "RUN photos/red/1.png --unit stage1": "a unit is a layer and a number, such as stage3:17, not 'stage1'",
    "RUN photos/red/1.png --unit stage1:99": "layer stage1 has the units 0 to 3, not 99",
    "RUN photos/red/1.png --patches photos": "--patches needs a unit, such as --unit stage3:17",
    "RUN photos/red/1.png --maps --compare": "choose one of --compare and --maps",
    "RUN --templates --class rad": "no class is called 'rad'; did you mean red?",
    "RUN photos/red/1.png --lang fr": "--lang",
    "nowhere photos/red/1.png": "nowhere",
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes(hubel: Call, model: Path, photos: Path, words: str, message: str) -> None:
    answer = hubel("explain", *(str(model) if word == "RUN" else word for word in words.split()))
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert message in line
    assert not Path("runs").exists()
