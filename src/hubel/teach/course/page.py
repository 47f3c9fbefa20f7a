"""HTML of a page of the course: its sentences and numbers as JSON, drawn by one script.

A served page asks for its script, its style sheet and its numbers, and for nothing else. The numbers come last, since
lessons that count networks import torch for them: the reader sees the page before. In an exported file all of this
stands inside, and its content policy names script and style by their hashes, so that nothing else can run there.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hubel.teach.course.catalogue import LESSONS, check_lesson, find_lesson
from hubel.teach.course.lesson import LANGUAGES, lesson_data, lesson_facts, lesson_strings, shared_strings

__all__ = ["MARK", "Bundle", "exported_page", "lesson_numbers", "served_page"]

MARK = '<meta name="generator" content="hubel course">'
_SLIPS = "slips"  # lesson whose boxes stand in the others
_SERVED = {"index": "/learn/", "lesson": "/learn/{name}", "numbers": "/v1/lessons/{name}/numbers"}
_EXPORTED = {"index": "index.html", "lesson": "{name}.html"}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Script and style sheet of all pages.

    Attributes:
        script: JavaScript.
        style: CSS.
    """

    script: str
    style: str


def served_page(name: str | None, lang: str | None) -> str:
    """Return the page of a lesson, or the list of lessons if None, for the server of `hubel learn`.

    It computes nothing, and imports no lesson: the page asks for `lesson_numbers`.

    Args:
        name: name of the lesson.
        lang: language of the page, "en" or "ko"; that of the browser if None.

    Raises:
        UnknownNameError: there is no such lesson.
    """
    head = '<link rel="stylesheet" href="/app.css">\n<script defer src="/app.js"></script>'
    return _html(name, lang, head, _payload(name, lang, LESSONS, live=True))


def exported_page(name: str | None, lang: str | None, bundle: Bundle, beside: Sequence[str] = LESSONS) -> str:
    """Return the same page as one self-contained file, without live computations.

    Args:
        name: see `served_page`.
        lang: see `served_page`.
        bundle: script and style sheet to put inside.
        beside: lessons whose files lie in the same folder, to which it links.
    """
    policy = (
        f"default-src 'none'; script-src '{_hash(bundle.script)}'; style-src '{_hash(bundle.style)}'; "
        "img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none'"
    )
    # A module runs when the page is there, and needs no file of its own for that, as `defer` would.
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{bundle.style}</style>\n'
        f'<script type="module">{bundle.script}</script>'
    )
    return _html(name, lang, head, _payload(name, lang, beside, live=False))


def _payload(name: str | None, lang: str | None, beside: Sequence[str], *, live: bool) -> dict[str, Any]:
    if name:
        check_lesson(name)
    return {
        "lesson": name,
        "lang": lang,
        "live": live,
        "links": _SERVED if live else _EXPORTED,
        "lessons": [{"name": other, **{key: _heading(other, key) for key in LANGUAGES}} for other in beside],
        "strings": {lang: _strings(name, lang) for lang in LANGUAGES},
        "facts": lesson_facts(name) if name else {},
        "numbers": lesson_numbers(name) if name and not live else None,
    }


def _heading(name: str, lang: str) -> dict[str, str]:
    check_lesson(name)
    strings = lesson_strings(name)[lang]
    return {"title": strings["title"], "summary": strings["summary"]}


def lesson_numbers(name: str) -> dict[str, Any]:
    """Return the computed numbers of a lesson's page as JSON values: its own, and those of the boxes of `slips`.

    Raises:
        UnknownNameError: there is no such lesson.
    """
    return {"data": lesson_data(find_lesson(name)), "slips": lesson_data(find_lesson(_SLIPS))["slips"]}


def _strings(name: str | None, lang: str) -> dict[str, str]:
    """Return the sentences of a page: those of all pages, of the boxes on common mistakes, and its own."""
    shared = shared_strings()[lang]
    if name is None:
        return shared
    slips = {key: text for key, text in lesson_strings(_SLIPS)[lang].items() if key.startswith("slip.")}
    return shared | slips | lesson_strings(name)[lang]


def _html(name: str | None, lang: str | None, head: str, payload: dict[str, Any]) -> str:
    written = lang or "en"
    strings = payload["strings"][written]
    title = f"{_heading(name, written)['title']} · hubel" if name else f"{strings['course.title']} · hubel"
    # "<" alone could end the element, or begin a comment in it.
    data = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="{written}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{MARK}
<title>{html.escape(title)}</title>
{head}
</head>
<body>
<div id="app"></div>
<noscript>{html.escape(strings["course.noscript"])}</noscript>
<script type="application/json" id="payload">{data}</script>
</body>
</html>
"""


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
