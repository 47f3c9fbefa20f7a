"""Time from an edited kernel to the filtered picture in the lesson on kernels.

Claim: the new map of a kernel on the lesson's photo is drawn within 50 ms of the key.

Headless Chromium changes one of the nine numbers 50 times, as the keyboard does, and waits each time until the picture
is drawn. Run: python benchmarks/course_edit.py (needs Chromium)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "studio"))

from browser import browser

from hubel.studio.course.server import running_course
from hubel.studio.settings import ServerSettings

EDITS = """(async () => {
  const field = document.querySelectorAll('[data-id="photo-numbers"] input')[4], took = [];
  for (let edit = 0; edit < 50; edit++) {
    const start = performance.now();
    field.value = String(5 + edit % 3);
    field.dispatchEvent(new InputEvent('input', {bubbles: true}));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - start);
  }
  window.took = took.sort((one, other) => one - other);
})()"""


def main() -> None:
    """Print the times."""
    with (
        running_course(ServerSettings(port=0)) as address,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        browser(Path(profile)) as tab,
    ):
        tab.open(f"{address}/learn/kernels?lang=en", 1280)
        tab.wait("document.querySelector('[data-id=\"photo-after\"]') !== null")
        tab.run(EDITS)
        tab.wait("window.took")
        took = tab.run("window.took")
    print(f"edit to picture: median {took[25]:.1f} ms, 90 % within {took[45]:.1f} ms, worst {took[-1]:.1f} ms")


if __name__ == "__main__":
    main()
