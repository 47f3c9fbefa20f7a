"""Time until a lesson is seen, by a server that has computed nothing yet.

Claim: the first contentful paint of every lesson comes within 1 second of the request, cold server included.

For each lesson a new process serves the course, and headless Chromium opens the page: the time of its first paint with
content, and the time until its numbers stand there too, for which lessons that count networks import torch.
Run: python benchmarks/course_paint.py [LESSON ...] (needs Chromium)
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "studio"))

from browser import Browser, browser

from hubel.teach.course.catalogue import LESSONS

_PAINTED = "performance.getEntriesByName('first-contentful-paint')"
_WHOLE = "document.querySelector('section.step') && (window.whole ??= performance.now())"


def measure(tab: Browser, lesson: str) -> tuple[float, float]:
    """Return milliseconds until the first paint, and until the numbers are there, from a server just started."""
    command = [sys.executable, "-c", "from hubel.cli import main; main()", "learn", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout
        try:
            found = re.search(r"http://[\d.:]+", server.stdout.readline())
            assert found, "the server names no address"
            tab.open(f"{found[0]}/learn/{lesson}?lang=en", 1280)
            tab.wait(_WHOLE, 60)
            tab.wait(f"{_PAINTED}.length > 0")
            return tab.run(f"{_PAINTED}[0].startTime"), tab.run("whole")
        finally:
            server.terminate()


def main() -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser(Path(profile)) as tab:
        tab.open("data:text/html,<h1>hubel</h1>", 1280)  # the browser starts before the clock
        tab.wait(f"{_PAINTED}.length > 0")
        times = {lesson: measure(tab, lesson) for lesson in sys.argv[1:] or LESSONS}
    for lesson, (painted, whole) in times.items():
        print(f"{lesson:>12}  first paint {painted:5.0f} ms, with its numbers {whole:6.0f} ms")
    print(f"slowest first paint: {max(painted for painted, _ in times.values()):.0f} ms (1,000 allowed)")


if __name__ == "__main__":
    main()
