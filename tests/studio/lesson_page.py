"""A lesson's page in a browser: move its sliders, choose, press keys, and read its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser

from hubel.studio.course.bundle import read_bundle
from hubel.teach.course.page import exported_page


def open_exported(page: Browser, name: str, lang: str, folder: Path) -> Path:
    """Write the lesson as a file, open it, wide in English, narrow in Korean, and return its path."""
    file = folder / f"{name}-{lang}.html"
    file.write_text(exported_page(name, lang, read_bundle()), encoding="utf-8")
    page.open(file.as_uri(), 390 if lang == "ko" else 1280)
    page.wait("document.querySelectorAll('.step').length > 0")
    return file


def at(name: str) -> str:
    return f"document.querySelector('[data-id=\"{name}\"]')"


def set_input(page: Browser, name: str, value: float, number: int = 0) -> None:
    """Move a slider, or type into one of the fields of a grid."""
    page.run(
        f"(e => {{ e.focus(); e.value = {value}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"({at(name)}.querySelectorAll('input')[{number}])"
    )


def choose(page: Browser, name: str, number: int = 0) -> None:
    """Choose one of several, or toggle."""
    page.run(f"{at(name)}.querySelectorAll('input')[{number}].click()")


def press(page: Browser, name: str) -> None:
    """Press a button."""
    page.run(f"{at(name)}.click()")


def keys(page: Browser, selector: str, *pressed: str) -> None:
    """Press keys on an element."""
    for key in pressed:
        page.run(
            f"document.querySelector('{selector}').dispatchEvent("
            f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true, cancelable: true}}))"
        )
        page.run("new Promise(done => requestAnimationFrame(done))")


def value(page: Browser, name: str) -> float:
    """Return the number of an element."""
    return float(page.run(f"{at(name)}.dataset.value"))


def values(page: Browser, name: str) -> list[float]:
    """Return the numbers inside an element."""
    found: list[float] = page.run(f"[...{at(name)}.querySelectorAll('[data-value]')].map(e => Number(e.dataset.value))")
    return found


def becomes(page: Browser, read: Callable[[], Any], expected: Any, rtol: float = 1e-4, atol: float = 1e-8) -> None:
    """Wait until the page shows the numbers."""
    for _ in range(100):
        shown = read()
        if np.shape(shown) == np.shape(expected) and np.allclose(shown, expected, rtol=rtol, atol=atol):
            return
        page.run("new Promise(done => setTimeout(done, 20))")
    np.testing.assert_allclose(read(), expected, rtol=rtol, atol=atol)
