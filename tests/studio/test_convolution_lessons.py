"""The lessons on kernels, sizes and pooling in a browser: do what they ask, and read the number that numpy computes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browser
from PIL import Image

from hubel.studio.course.server import running_course
from hubel.studio.settings import ServerSettings
from hubel.teach.convolution.effective import effective_size, mean_squared_gradient
from hubel.teach.convolution.image_kernels import IMAGE_KERNELS, filter_image
from hubel.teach.convolution.stack import parse_stack
from hubel.teach.course.lessons.kernels.scene import draw_scene

LANGUAGES = ("en", "ko")


class LessonPage:
    """A page of the course: its parts by their `data-id`."""

    def __init__(self, tab: Browser, address: str) -> None:
        self.tab, self.address = tab, address

    def open(self, lesson: str, lang: str = "en", width: int = 1280) -> None:
        self.tab.said.clear()
        self.tab.open(f"{self.address}/learn/{lesson}?lang={lang}", width)
        self.tab.wait("document.querySelectorAll('section.step').length > 3")

    def part(self, name: str, inside: str = "") -> str:
        return f"""document.querySelector('[data-id="{name}"] {inside}')"""

    def value(self, name: str) -> float:
        return float(self.tab.run(f"""document.querySelector('[data-id="{name}"]').dataset.value"""))

    def grid(self, name: str) -> list[list[float]]:
        """Return the numbers of a grid."""
        rows = f"""[...document.querySelectorAll('[data-id="{name}"] tr')]"""
        read: list[list[float]] = self.tab.run(
            f"{rows}.map(row => [...row.children].map(td => Number(td.dataset.value)))"
        )
        return read

    def column(self, name: str, number: int) -> list[str]:
        """Return the cells of a table's column."""
        rows = f"""[...document.querySelectorAll('[data-id="{name}"] tbody tr')]"""
        cells: list[str] = self.tab.run(f"{rows}.map(row => row.children[{number}].innerText.trim())")
        return cells

    def type(self, name: str, text: str, number: int = 0) -> None:
        """Write into an input as the keyboard does: focus, select all, insert."""
        self.tab.run(f"""(field => {{ field.focus(); field.select(); }})(
          document.querySelectorAll('[data-id="{name}"] input, input[data-id="{name}"]')[{number}])""")
        self.tab.call("Input.insertText", text=text)

    def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                code = {"ArrowRight": 39, "ArrowUp": 38, " ": 32}[key]
                more = {"text": key} if key == " " and kind == "keyDown" else {}
                self.tab.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def slide(self, name: str, steps: int) -> None:
        """Move a slider to the right by the arrow keys."""
        self.tab.run(f"{self.part(name, 'input')}.focus()")
        self.press("ArrowRight", steps)

    def toggle(self, name: str) -> None:
        self.tab.run(f"{self.part(name, 'input')}.focus()")
        self.press(" ")

    def choose(self, name: str, value: str) -> None:
        self.tab.run(f"""{self.part(name, f'input[value="{value}"]')}.click()""")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LessonPage]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with running_course(ServerSettings(port=0)) as address, browser(tmp_path_factory.mktemp("profile")) as tab:
        yield LessonPage(tab, address)


def slide_over(image: Any, kernel: Any, stride: int = 1) -> np.ndarray:
    """Return the sums of products at every position, by loops."""
    image, kernel = np.asarray(image, float), np.asarray(kernel, float)
    (high, wide), (rows, columns) = image.shape, kernel.shape
    return np.array(
        [
            [(image[r : r + rows, c : c + columns] * kernel).sum() for c in range(0, wide - columns + 1, stride)]
            for r in range(0, high - rows + 1, stride)
        ]
    )


def test_kernels(page: LessonPage, tmp_path: Path) -> None:
    page.open("kernels")
    page.type("row-kernel", "-2")
    page.type("row-values", "7", 4)
    assert page.grid("row-result") == slide_over([[0, 1, 2, 3, 7]], [[-2, 0, 1]]).tolist()
    page.toggle("row-same")
    assert page.grid("row-result") == slide_over([[0, 0, 1, 2, 3, 7, 0]], [[-2, 0, 1]]).tolist()
    page.toggle("row-flip")
    assert page.grid("row-result") == slide_over([[0, 0, 1, 2, 3, 7, 0]], [[1, 0, -2]]).tolist()

    scene = draw_scene()
    for name in ("emboss", "sobel_x", "gaussian_blur"):
        page.choose("photo-kernel", name)
        same_picture(page, IMAGE_KERNELS[name].values, scene)
    numbers = np.array(IMAGE_KERNELS["gaussian_blur"].numbers)
    page.type("photo-numbers", "-8", 4)
    numbers[1, 1] = -8
    page.slide("photo-divisor", 2)
    same_picture(page, numbers / 18, scene)

    own = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)  # as large as the page shows it
    Image.fromarray(own).save(tmp_path / "own.png")
    field = page.tab.call("Runtime.evaluate", expression=page.part("photo-own", "input"))["result"]["objectId"]
    page.tab.call("DOM.setFileInputFiles", files=[str(tmp_path / "own.png")], objectId=field)
    page.tab.wait(f"{page.part('photo-after')}.width === 160")
    same_picture(page, numbers / 18, own)

    grey = np.rint(own.mean(2))
    row, column = int(page.value("pixel-row")) + 3, int(page.value("pixel-column"))
    page.slide("pixel-row", 3)
    seen = grey[row - 1 : row + 2, column - 1 : column + 2]
    assert page.grid("pixel-seen") == seen.tolist()
    assert page.value("pixel-sum") == pytest.approx((seen * numbers).sum() / 18)
    assert page.tab.said == []


def same_picture(page: LessonPage, kernel: np.ndarray, scene: np.ndarray) -> None:
    expected = filter_image(scene, kernel)
    _, _, png = page.tab.run(f"{page.part('photo-after')}.toDataURL()").partition(",")
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(png))).convert("RGB"))
    assert np.abs(shown - expected.pixels.astype(float)).max() <= 1  # a half is rounded either way
    assert page.value("photo-sum") == pytest.approx(kernel.sum(), abs=1e-9)
    assert page.value("photo-below") == pytest.approx(100 * expected.below, abs=0.02)
    assert page.value("photo-above") == pytest.approx(100 * expected.above, abs=0.02)


def test_sizes(page: LessonPage) -> None:
    page.open("sizes", "ko")
    page.slide("slide-length", 3)
    page.slide("slide-dilation", 1)
    assert page.value("slide-outputs") == (10 - 2 * 2 - 1) // 2 + 1
    assert page.value("slide-left") == 1
    page.choose("slide-kind", "same")
    assert page.value("slide-outputs") == np.ceil(10 / 2)

    maps = np.array([page.grid(f"channels-map-{number}") for number in range(3)])
    page.choose("channels-filter", "1")
    page.type("channels-kernel-2", "5", 4)
    kernels = [page.grid(f"channels-kernel-{number}") for number in range(3)]
    assert kernels[2][1][1] == 5
    expected = sum(slide_over(values, kernel) for values, kernel in zip(maps, kernels, strict=True)) + 0  # its bias
    assert page.grid("channels-output-1") == np.asarray(expected).tolist()
    sums = [page.value(f"channels-sum-{number}") for number in range(3)]
    assert sums == [slide_over(values, kernel)[0, 0] for values, kernel in zip(maps, kernels, strict=True)]
    assert page.value("channels-total") == sum(sums) == np.asarray(expected)[0, 0]
    page.tab.run(f"{page.part('channels-output-1')}.focus()")
    page.press("ArrowRight")
    assert page.value("channels-total") == np.asarray(expected)[0, 1]

    page.slide("cost-channels", 4)
    assert page.column("cost-table", 2) == [f"{28 * 28 * 32 * 25 * 20:,}", f"{28 * 28 * 20 * 28 * 28 * 32:,}"]
    assert page.column("cost-table", 1)[0] == f"{25 * 20 * 32 + 32:,}"
    assert page.tab.said == []


def test_pooling(page: LessonPage) -> None:
    page.open("pooling", width=390)
    start = np.array(page.grid("pool-map"))
    page.type("pool-map", "9", 5)
    values = np.array(page.grid("pool-map"))
    assert values[1, 1] == 9
    blocks = values.reshape(2, 2, 2, 2)
    assert page.grid("pool-result") == blocks.max((1, 3)).tolist()
    page.slide("pool-shift", 1)
    shifted = np.pad(start, ((0, 0), (2, 0)))[:, :4].reshape(2, 2, 2, 2).max((1, 3))
    assert page.grid("pool-shifted") == shifted.tolist()
    assert page.value("pool-same") == (shifted == start.reshape(2, 2, 2, 2).max((1, 3))).sum()
    page.choose("pool-kind", "average")
    assert page.grid("pool-result") == blocks.mean((1, 3)).tolist()

    assert [page.value(f"global-mean-{number}") for number in range(6)] == [7, 4, 8, 6, 3, 5]
    page.type("global-map-0", "0", 4)
    assert page.value("global-mean-0") == pytest.approx(np.mean(page.grid("global-map-0")))
    assert page.column("global-table", 2) == [str(6 * 9 * 10 + 10), str(6 * 10 + 10)]

    page.slide("field-depth", 1)
    assert [page.value(f"field-{number}") for number in range(3)] == [3, 5, 7]
    assert page.column("equal-table", 0) == ["5x5", "3x3d2", "3x3,3x3"]
    page.type("stack-text", "7x7/2,pool3/2,3x3d2")
    assert page.column("stack-table", 4) == ["7", str(7 + 2 * 2), str(7 + 2 * 2 + 2 * 2 * 4)]
    page.type("stack-text", "3x3,x")
    assert page.tab.run("document.querySelector('#stack [role=alert]').innerText").startswith("“x” is no layer.")

    page.type("stack-text", "3x3,3x3,3x3,pool2")
    page.tab.run(f"{page.part('own-start')}.click()")
    page.tab.wait(f"{page.part('own')}?.dataset.value === 'idle' && {page.part('own-size')} !== null")
    squares = sum(
        mean_squared_gradient(parse_stack("", "3x3,3x3,3x3,pool2"), channels=8, draws=8, seed=seed) for seed in range(8)
    )
    assert page.value("own-field") == 8
    assert page.value("own-size") == pytest.approx(effective_size(np.sqrt(squares)), rel=1e-5)
    assert page.tab.said == []


@pytest.mark.slow
@pytest.mark.parametrize("lesson", ["kernels", "sizes", "pooling"])
def test_every_language_and_width(page: LessonPage, lesson: str) -> None:
    """All parts are there, no sentence or value is missing, nothing is wider than the window, no one else is asked."""
    for lang in LANGUAGES:
        for width in (390, 1280):
            page.open(lesson, lang, width)
            page.tab.run("document.querySelectorAll('details').forEach(part => part.open = true)")
            page.tab.run("document.querySelectorAll('.predict').forEach(part => part.querySelector('input').click())")
            assert page.tab.run("document.documentElement.scrollWidth") <= width
            assert "{" not in page.tab.run("document.querySelector('main').innerText")
            assert page.tab.said == []
            asked = json.loads(
                page.tab.run("JSON.stringify(performance.getEntriesByType('resource').map(e => e.name))")
            )
            assert all(url.startswith((page.address, "data:", "blob:")) for url in asked)
    steps = page.tab.run("document.querySelectorAll('section.step').length")
    printed = base64.b64decode(page.tab.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1 + steps  # the title, and a slide for each step
