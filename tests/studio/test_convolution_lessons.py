"""The lessons on kernels, sizes and pooling in a browser: do what they ask, and read the number that numpy computes."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from served_lesson import LessonPage

from hubel.teach.convolution.effective import effective_size, mean_squared_gradient
from hubel.teach.convolution.image_kernels import IMAGE_KERNELS, filter_image
from hubel.teach.convolution.stack import parse_stack
from hubel.teach.course.lessons.kernels.scene import draw_scene


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


def test_kernels(served: LessonPage, tmp_path: Path) -> None:
    served.open("kernels")
    served.type("row-kernel", "-2")
    served.type("row-values", "7", 4)
    assert served.grid("row-result") == slide_over([[0, 1, 2, 3, 7]], [[-2, 0, 1]]).tolist()
    served.toggle("row-same")
    assert served.grid("row-result") == slide_over([[0, 0, 1, 2, 3, 7, 0]], [[-2, 0, 1]]).tolist()
    served.toggle("row-flip")
    assert served.grid("row-result") == slide_over([[0, 0, 1, 2, 3, 7, 0]], [[1, 0, -2]]).tolist()

    scene = draw_scene()
    for name in ("emboss", "sobel_x", "gaussian_blur"):
        served.choose("photo-kernel", name)
        same_picture(served, IMAGE_KERNELS[name].values, scene)
    numbers = np.array(IMAGE_KERNELS["gaussian_blur"].numbers)
    served.type("photo-numbers", "-8", 4)
    numbers[1, 1] = -8
    served.slide("photo-divisor", 2)
    same_picture(served, numbers / 18, scene)

    own = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)  # as large as the page shows it
    Image.fromarray(own).save(tmp_path / "own.png")
    field = served.tab.call("Runtime.evaluate", expression=served.one("photo-own", "input"))["result"]["objectId"]
    served.tab.call("DOM.setFileInputFiles", files=[str(tmp_path / "own.png")], objectId=field)
    served.tab.wait(f"{served.one('photo-after')}.width === 160")
    same_picture(served, numbers / 18, own)

    grey = np.rint(own.mean(2))
    row, column = int(served.value("pixel-row")) + 3, int(served.value("pixel-column"))
    served.slide("pixel-row", 3)
    seen = grey[row - 1 : row + 2, column - 1 : column + 2]
    assert served.grid("pixel-seen") == seen.tolist()
    assert served.value("pixel-sum") == pytest.approx((seen * numbers).sum() / 18)
    assert served.tab.said == []


def same_picture(served: LessonPage, kernel: np.ndarray, scene: np.ndarray) -> None:
    expected = filter_image(scene, kernel)
    _, _, png = served.tab.run(f"{served.one('photo-after')}.toDataURL()").partition(",")
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(png))).convert("RGB"))
    assert np.abs(shown - expected.pixels.astype(float)).max() <= 1  # a half is rounded either way
    assert served.value("photo-sum") == pytest.approx(kernel.sum(), abs=1e-9)
    assert served.value("photo-below") == pytest.approx(100 * expected.below, abs=0.02)
    assert served.value("photo-above") == pytest.approx(100 * expected.above, abs=0.02)


def test_sizes(served: LessonPage) -> None:
    served.open("sizes", "ko")
    served.slide("slide-length", 3)
    served.slide("slide-dilation", 1)
    assert served.value("slide-outputs") == (10 - 2 * 2 - 1) // 2 + 1
    assert served.value("slide-left") == 1
    served.choose("slide-kind", "same")
    assert served.value("slide-outputs") == np.ceil(10 / 2)

    maps = np.array([served.grid(f"channels-map-{number}") for number in range(3)])
    served.choose("channels-filter", "1")
    served.type("channels-kernel-2", "5", 4)
    kernels = [served.grid(f"channels-kernel-{number}") for number in range(3)]
    assert kernels[2][1][1] == 5
    expected = sum(slide_over(values, kernel) for values, kernel in zip(maps, kernels, strict=True)) + 0  # its bias
    assert served.grid("channels-output-1") == np.asarray(expected).tolist()
    sums = [served.value(f"channels-sum-{number}") for number in range(3)]
    assert sums == [slide_over(values, kernel)[0, 0] for values, kernel in zip(maps, kernels, strict=True)]
    assert served.value("channels-total") == sum(sums) == np.asarray(expected)[0, 0]
    served.focus("channels-output-1")
    served.press("ArrowRight")
    assert served.value("channels-total") == np.asarray(expected)[0, 1]

    served.slide("cost-channels", 4)
    assert served.column("cost-table", 2) == [f"{28 * 28 * 32 * 25 * 20:,}", f"{28 * 28 * 20 * 28 * 28 * 32:,}"]
    assert served.column("cost-table", 1)[0] == f"{25 * 20 * 32 + 32:,}"
    assert served.tab.said == []


def test_pooling(served: LessonPage) -> None:
    served.open("pooling", width=390)
    start = np.array(served.grid("pool-map"))
    served.type("pool-map", "9", 5)
    values = np.array(served.grid("pool-map"))
    assert values[1, 1] == 9
    blocks = values.reshape(2, 2, 2, 2)
    assert served.grid("pool-result") == blocks.max((1, 3)).tolist()
    served.slide("pool-shift", 1)
    shifted = np.pad(start, ((0, 0), (2, 0)))[:, :4].reshape(2, 2, 2, 2).max((1, 3))
    assert served.grid("pool-shifted") == shifted.tolist()
    assert served.value("pool-same") == (shifted == start.reshape(2, 2, 2, 2).max((1, 3))).sum()
    served.choose("pool-kind", "average")
    assert served.grid("pool-result") == blocks.mean((1, 3)).tolist()

    assert [served.value(f"global-mean-{number}") for number in range(6)] == [7, 4, 8, 6, 3, 5]
    served.type("global-map-0", "0", 4)
    assert served.value("global-mean-0") == pytest.approx(np.mean(served.grid("global-map-0")))
    assert served.column("global-table", 2) == [str(6 * 9 * 10 + 10), str(6 * 10 + 10)]

    served.slide("field-depth", 1)
    assert [served.value(f"field-{number}") for number in range(3)] == [3, 5, 7]
    assert served.column("equal-table", 0) == ["5x5", "3x3d2", "3x3,3x3"]
    served.type("stack-text", "7x7/2,pool3/2,3x3d2")
    assert served.column("stack-table", 4) == ["7", str(7 + 2 * 2), str(7 + 2 * 2 + 2 * 2 * 4)]
    served.type("stack-text", "3x3,x")
    assert served.tab.run("document.querySelector('#stack [role=alert]').innerText").startswith("“x” is not a layer.")

    served.type("stack-text", "3x3,3x3,3x3,pool2")
    served.tab.run(f"{served.one('own-start')}.click()")
    served.tab.wait(f"{served.one('own')}?.dataset.value === 'idle' && {served.one('own-size')} !== null")
    squares = sum(
        mean_squared_gradient(parse_stack("", "3x3,3x3,3x3,pool2"), channels=8, draws=8, seed=seed) for seed in range(8)
    )
    assert served.value("own-field") == 8
    assert served.value("own-size") == pytest.approx(effective_size(np.sqrt(squares)), rel=1e-5)
    assert served.tab.said == []
