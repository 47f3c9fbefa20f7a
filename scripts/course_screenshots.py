"""Photograph the lessons of the course: both languages, light and dark, 1280 and 390 pixels wide; and a contact sheet.

Usage: python scripts/course_screenshots.py FOLDER [--sheet docs/figures/course.jpg] [--lessons xo,kernels] [--whole]

Pictures show the pages as they open, without live computations: their beginnings, or whole pages.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from hubel.studio.course.server import running_course
from hubel.studio.settings import ServerSettings
from hubel.teach.course.catalogue import LESSONS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "studio"))
from browser import Browser, browser

WIDTHS, LANGUAGES, THEMES = (1280, 390), ("en", "ko"), ("light", "dark")
ON_SHEET = ((1280, "en", "light"), (390, "ko", "light"), (1280, "ko", "dark"), (390, "en", "dark"))
PATIENCE = 180  # seconds for the numbers of a lesson, on a busy computer
HEIGHT, SCALE, GAP = 1000, 0.25, 10  # of a page's beginning; of the sheet; between its pictures


def photograph(tab: Browser, address: str, width: int, files: dict[str, Path], *, whole: bool) -> None:
    """Save pictures of a page, or of its beginning, by theme."""
    tab.open(address, width, HEIGHT)
    tab.wait("document.querySelector('section.step') !== null", PATIENCE)  # its numbers are there
    height = tab.run("document.documentElement.scrollHeight") if whole else HEIGHT
    # A window as high as the picture, for what is drawn only where it is seen.
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    for theme, file in files.items():
        tab.run(f"document.documentElement.dataset.theme = '{theme}'")
        time.sleep(0.3)
        file.write_bytes(base64.b64decode(tab.call("Page.captureScreenshot", format="png", clip=clip)["data"]))


def make_sheet(folder: Path, lessons: list[str]) -> Image.Image:
    """Return the beginnings of all pages, two lessons a row."""
    widths = [round(width * SCALE) for width, _, _ in ON_SHEET]
    row_width, row_height = sum(widths) + GAP * len(widths), round(HEIGHT * SCALE) + GAP
    sheet = Image.new("RGB", (2 * row_width + GAP, -(-len(lessons) // 2) * row_height + GAP), "#8a8d99")
    for number, lesson in enumerate(lessons):
        x, y = GAP + number % 2 * row_width, GAP + number // 2 * row_height
        for (width, lang, theme), small in zip(ON_SHEET, widths, strict=True):
            with Image.open(folder / f"{lesson}-{width}-{lang}-{theme}.png") as page:
                start = page.convert("RGB").crop((0, 0, width, HEIGHT))
            sheet.paste(start.resize((small, round(HEIGHT * SCALE)), Image.Resampling.LANCZOS), (x, y))
            x += small + GAP
    return sheet


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--lessons", default=",".join(LESSONS))
    parser.add_argument("--whole", action="store_true")
    asked = parser.parse_args()
    lessons = asked.lessons.split(",")
    asked.folder.mkdir(parents=True, exist_ok=True)
    with (
        running_course(ServerSettings(port=0)) as url,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        browser(Path(profile)) as tab,
    ):
        for lesson, width, lang in itertools.product(lessons, WIDTHS, LANGUAGES):
            files = {theme: asked.folder / f"{lesson}-{width}-{lang}-{theme}.png" for theme in THEMES}
            photograph(tab, f"{url}/learn/{lesson}?lang={lang}", width, files, whole=asked.whole)
    if asked.sheet:
        make_sheet(asked.folder, lessons).save(asked.sheet, quality=82)


if __name__ == "__main__":
    main()
