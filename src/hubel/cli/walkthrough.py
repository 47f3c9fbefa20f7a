"""`hubel walkthrough`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel walkthrough xo",
    "hubel walkthrough xo --out xo.html",
)


def walkthrough(lesson: str = "xo", /, *, out: Path | None = None) -> int:
    """Write a page that explains image classification from first principles, with every number computed.

    It is one self-contained file about comparing pixels, matching patterns, ReLU, pooling, stacking, the loss, a
    gradient step, and training.

    Args:
        lesson: xo, images of X and O.
        out: HTML file to write; walkthrough-xo.html in this folder if not given.
    """
    from hubel.teach.walkthrough.page import write_walkthrough

    target = out or Path(f"walkthrough-{lesson}.html")
    write_walkthrough(lesson, target)
    print_line(f"page  {target}  (open it in any browser)")
    return 0
