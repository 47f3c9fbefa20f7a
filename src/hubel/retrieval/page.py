"""The answer to a query as a page with small pictures, which needs no other file."""

from __future__ import annotations

import io
from base64 import b64encode
from importlib.resources import files
from pathlib import Path

from PIL import Image

from hubel.core.errors import DecodeError
from hubel.core.files import write_atomic
from hubel.core.outputs import output_file
from hubel.data.inputs import Input
from hubel.retrieval.search import Answer, in_words

__all__ = ["page_path", "save_answer_page", "thumbnail"]

_SIDE = 320  # longer side of a picture, in pixels
_QUALITY = 82
_MARK = b"<!doctype html>"


def save_answer_page(path: Path, answer: Answer, folder: str) -> None:
    """Write the photos of an answer into an HTML file; of one that finds nothing, the page says so.

    Args:
        path: see `page_path`.
        answer: to show.
        folder: that was searched, as the user names it.
    """
    from jinja2 import Environment

    cards = []
    for one in answer.found:
        picture = thumbnail(one.path, _SIDE)
        place = Path(one.path)
        cards.append(
            {
                "name": f"{place.parent.name}/{place.name}",
                "score": f"{one.similarity:.3f}",
                "picture": b64encode(picture).decode() if picture else "",
            }
        )
    template = files("hubel.retrieval").joinpath("answer.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    write_atomic(
        path, environment.from_string(template).render(answer=answer, place=folder, said=in_words(answer), cards=cards)
    )


def page_path(path: Path) -> Path:
    """Return the path of a page to write; asked before anything is searched.

    Raises:
        OptionError: it is a photo, or another file that would be lost.
    """
    return output_file(path, ours=_is_page, flag="--page")


def thumbnail(path: str, side: int) -> bytes:
    """Return an image as JPEG with at most so many pixels on its longer side; nothing if it cannot be read any more."""
    try:
        pixels = Input(path).decode((side, side)).pixels
    except DecodeError:
        return b""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MARK)).lower() == _MARK
