"""The page for a photo, in the language of the reader: a template whose sentences come from the table."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from importlib.resources import files

from hubel.core.language import table

__all__ = ["classify_page"]

_PLACE = re.compile(r"\{([\w.]+)\}")


@cache
def classify_page(language: str, root_path: str) -> bytes:
    """Return the page in a language, as UTF-8.

    Args:
        language: one of `hubel.core.language.LANGUAGES`.
        root_path: path below which a proxy publishes the server. Without one the page's links are relative: a proxy
            that removes its prefix need not tell us of it.
    """
    template = files("hubel.studio").joinpath("page.html").read_text(encoding="utf-8")
    sentences = {key: text for key, text in table(language).items() if key.startswith("page.")}
    # "<" alone could end the element, or begin a comment in it.
    script = json.dumps(sentences, ensure_ascii=False).replace("<", "\\u003c")
    filled = {key: html.escape(text) for key, text in sentences.items()} | {"language": language, "sentences": script}
    page = _PLACE.sub(lambda place: filled[place[1]], template)
    return (page.replace('="page.', f'="{root_path}/page.') if root_path else page).encode()
