"""`hubel walkthrough`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel walkthrough xo",
    "hubel walkthrough xo --out xo.html",
    "hubel walkthrough distillation",
)


def walkthrough(lesson: str = "xo", /, *, out: Path | None = None) -> int:
    """Write one lesson of the course as a page, a self-contained file that works without a connection.

    The lesson xo explains image classification from first principles, with every number computed: comparing pixels,
    matching patterns, ReLU, pooling, stacking, the loss, a gradient step, and training. The lesson distillation shows
    what soft targets contain, on the outputs of a trained network.

    Args:
        lesson: lesson of the course; hubel learn lists them.
        out: HTML file to write; walkthrough-LESSON.html in this folder if not given.
    """
    from hubel.studio.course.bundle import read_bundle
    from hubel.teach.course.export import export_lesson

    target = out or Path(f"walkthrough-{lesson}.html")
    print_line(f"page  {export_lesson(target, lesson, None, read_bundle())}  (open it in any browser)")
    return 0
