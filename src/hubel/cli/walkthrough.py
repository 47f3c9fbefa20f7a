"""`hubel walkthrough`."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = (
    "hubel walkthrough xo",
    "hubel walkthrough xo --out xo.html",
)


def walkthrough(what: str = "xo", /, *, out: Path | None = None) -> int:
    """Write a page that explains from first principles how a network classifies images, every number computed.

    It is one file that needs no connection: comparing pixels, matching patterns, ReLU, pooling, stacking, the loss, a
    gradient step, and training.

    Args:
        what: xo, the pictures of X and O.
        out: the page; walkthrough-xo.html in this folder if not given.
    """
    from hubel.core.errors import OptionError
    from hubel.teach.walkthrough.page import write_walkthrough

    target = out or Path(f"walkthrough-{what}.html")
    if target.is_dir():
        raise OptionError(f"--out {target} is a folder; give the name of the page")
    write_walkthrough(what, target)
    print(f"page  {target}  (open it in any browser)")
    return 0
