"""A served page of the course in a browser: its parts by their `data-id`, used with a keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from browser import Browser

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
_CODES = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowUp": 38, "ArrowDown": 40, " ": 32, "Tab": 9, "Enter": 13}


class LessonPage:
    """A tab that shows lessons from an address such as `http://127.0.0.1:8000`."""

    def __init__(self, tab: Browser, address: str) -> None:
        self.tab, self.address = tab, address

    def open(self, lesson: str, lang: str = "en", width: int = 1280, *, dark: bool = False) -> None:
        """Open a lesson, or the list of lessons for "", and wait until it is drawn with its numbers."""
        self.tab.said.clear()
        self.tab.open(f"{self.address}/learn/{lesson}?lang={lang}", width, dark=dark)
        self.tab.wait("document.querySelector('section.step, ol.lessons') !== null", 180)
        assert self.tab.run("document.documentElement.lang") == lang
        assert self.tab.run("document.documentElement.scrollWidth") <= width, "the page is wider than the window"

    def one(self, name: str, inside: str = "") -> str:
        """Return the script that finds a part, or an element inside it."""
        selector = json.dumps(f'[data-id="{name}"] {inside}'.strip())
        return f"document.querySelector({selector})"

    def value(self, name: str) -> float:
        """Return the number of a result."""
        return float(self.tab.run(f"{self.one(name)}.dataset.value"))

    def text(self, name: str) -> str:
        """Return the text of a part."""
        return str(self.tab.run(f"{self.one(name)}.innerText"))

    def grid(self, name: str) -> list[list[float]]:
        """Return the numbers of a grid."""
        rows = f"[...{self.one(name)}.querySelectorAll('tr')]"
        read: list[list[float]] = self.tab.run(
            f"{rows}.map(row => [...row.children].map(td => Number(td.dataset.value)))"
        )
        return read

    def column(self, name: str, number: int) -> list[str]:
        """Return the cells of a table's column."""
        rows = f"[...{self.one(name)}.querySelectorAll('tbody tr')]"
        cells: list[str] = self.tab.run(f"{rows}.map(row => row.children[{number}].innerText.trim())")
        return cells

    def numbers(self, name: str, inside: str) -> list[float]:
        """Return the numbers of elements inside a part."""
        found = f"[...{self.one(name)}.querySelectorAll({json.dumps(inside)})]"
        numbers: list[float] = self.tab.run(f"{found}.map(one => Number(one.dataset.value))")
        return numbers

    def focus(self, name: str, inside: str = "") -> None:
        """Give the focus to a part, or an element inside it."""
        self.tab.run(f"{self.one(name, inside)}.focus()")

    def press(self, key: str, times: int = 1, *, settle: bool = True) -> None:
        """Press a key, and wait until what it did is drawn."""
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                text = {" ": " ", "Enter": "\r"}.get(key) if kind == "keyDown" else None
                more: dict[str, Any] = {"text": text} if text else {}
                self.tab.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=_CODES[key], **more)
        if settle:
            self.settle()

    def click(self, name: str) -> None:
        """Press the space bar on a button."""
        self.focus(name)
        self.press(" ")

    def choose(self, name: str, value: str) -> None:
        """Choose one of several by the space bar."""
        self.focus(name, f'input[value="{value}"]')
        self.press(" ")

    def slide(self, name: str, steps: int) -> None:
        """Move a slider to the right, or back by a negative number of steps."""
        self.focus(name, "input")
        self.press("ArrowRight" if steps > 0 else "ArrowLeft", abs(steps))

    def toggle(self, name: str, number: int = 0) -> None:
        """Press the space bar on a switch, or on one of several choices by its number."""
        self.tab.run(f"{self.one(name)}.querySelectorAll('input')[{number}].focus()")
        self.press(" ")

    def type(self, name: str, text: str, number: int = 0) -> None:
        """Write into an input, or into one of a grid, in place of what stands there."""
        selector = json.dumps(f'[data-id="{name}"] input, input[data-id="{name}"]')
        self.tab.run(
            f"(field => {{ field.focus(); field.select(); }})(document.querySelectorAll({selector})[{number}])"
        )
        self.tab.call("Input.insertText", text=text)
        self.settle()

    def settle(self) -> None:
        """Wait until what was done is drawn."""
        frame = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
        self.tab.call("Runtime.evaluate", expression=frame, awaitPromise=True)

    def violations(self) -> list[str]:
        """Return what axe-core finds that is serious or critical."""
        self.tab.run(AXE.read_text(encoding="utf-8"))
        self.tab.run("axe.run().then(found => { window.axeFound = found.violations })")
        self.tab.wait("window.axeFound !== undefined", 60)
        found = self.tab.run(
            "axeFound.filter(one => ['serious', 'critical'].includes(one.impact)).map(one => one.id + ': ' + "
            "one.nodes.slice(0, 5).map(node => node.target.join(' ') + ' ' + node.failureSummary).join(' | '))"
        )
        self.tab.run("delete window.axeFound")
        return list(found)

    def foreign_requests(self) -> list[str]:
        """Return the addresses asked for that are not of this server."""
        asked: list[str] = self.tab.run("performance.getEntries().map(one => one.name).filter(n => n.includes('://'))")
        return [address for address in asked if not address.startswith(self.address)]
