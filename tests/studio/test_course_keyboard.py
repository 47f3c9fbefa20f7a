"""The keyboard alone suffices: Tab reaches every control of a lesson, shows where it is, and keys operate it."""

from __future__ import annotations

from typing import Any

import pytest
from served_lesson import LessonPage

from hubel.teach.course.catalogue import LESSONS

# What Tab should stop at, in the order of the page; of the buttons of a choice, the chosen one or the first.
STOPS = """(() => {
  const all = "a[href], button:not(:disabled), input:not(:disabled), select, textarea, summary, [tabindex='0']";
  const groups = new Map();
  window.stops = [...document.querySelectorAll(all)].filter(one => {
    if (!one.checkVisibility({ visibilityProperty: true })) return false;
    if (one.type !== "radio") return true;
    const group = [...document.querySelectorAll(`input[name="${CSS.escape(one.name)}"]`)];
    return one === (group.find(other => other.checked) ?? group[0]);
  });
  return stops.length;
})()"""

# The element that has the focus: its number, and whether a reader sees that it has it.
FOCUSED = """(() => {
  const one = document.activeElement, about = [one, one.nextElementSibling, one.parentElement, one.closest("label")];
  const outlined = about.some(part => {
    if (!part) return false;
    const style = getComputedStyle(part);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  });
  const seen = about.some(part => [...part?.getClientRects() ?? []].some(box => {
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const top = x > 0 && y > 0 && x < innerWidth && y < innerHeight && document.elementFromPoint(x, y);
    return top && (part.contains(top) || top.contains(part));
  }));
  const name = one.closest("[data-id]")?.dataset.id ?? one.textContent.slice(0, 40);
  return { at: stops.indexOf(one), outlined, seen, text: `${one.tagName} ${one.type ?? ""} ${name}` };
})()"""

# Count what changes on the page.
WATCH = """(() => {
  window.changes = 0;
  const watcher = new MutationObserver(found => { changes += found.length; });
  watcher.observe(document.querySelector("main"), {
    subtree: true, childList: true, characterData: true, attributes: true,
  });
})()"""

# The controls that are operated, and the kind of each.
CONTROLS = """(() => {
  const inputs = { radio: "radio", checkbox: "switch", range: "slider" };
  const kind = one => {
    // Trainings have tests of their own; a browser without a window chooses no file.
    if (one.closest("nav, header, .live-controls, .photo, .source") || one.type === "file") return "";
    if (one.tagName === "INPUT") return inputs[one.type] ?? (one.closest("form") ? "form" : "text");
    if (["SUMMARY", "BUTTON"].includes(one.tagName)) return one.tagName.toLowerCase();
    return one.getAttribute("role") === "application" ? "surface" : "";
  };
  window.controls = stops.filter(one => document.querySelector("main").contains(one) && kind(one));
  return controls.map(kind);
})()"""
KEYS = {
    "radio": ["ArrowRight", "ArrowLeft"],
    "switch": [" "],
    "slider": ["ArrowRight", "ArrowLeft"],
    "summary": ["Enter"],
    "button": ["Enter", " "],
    "surface": ["ArrowRight", " "],
    "text": ["3", "4"],  # one of them is not what stands there
    "form": ["Enter"],  # sends what stands there
}


def walk(page: LessonPage, lesson: str) -> None:
    """Press Tab from the top of the page to its end."""
    count = page.tab.run(STOPS)
    reached: list[int] = []
    for _ in range(count):
        page.press("Tab", settle=False)
        focus: dict[str, Any] = page.tab.run(FOCUSED)
        assert focus["at"] >= 0, f"Tab stops at what is no control: {focus['text']}"
        assert focus["outlined"], f"nothing shows that this has the focus: {focus['text']}"
        assert focus["seen"], f"this has the focus and is hidden or outside the window: {focus['text']}"
        reached.append(focus["at"])
    assert reached == list(range(count)), "Tab leaves controls out, or goes another way than the page"


def operate(page: LessonPage, lesson: str) -> None:
    """Operate each control by its keys: something on the page changes."""
    page.tab.run(WATCH)
    for number, kind in enumerate(page.tab.run(CONTROLS)):
        one = f"controls[{number}]"
        if not page.tab.run(f"{one}.isConnected && !{one}.disabled"):
            continue  # what was operated before has replaced it
        page.tab.run(f"{one}.focus(); {one}.select?.()")
        page.settle()
        page.tab.run("changes = 0")
        for key in KEYS[kind]:
            if kind == "text":
                page.tab.call("Input.insertText", text=key)
                page.settle()
            else:
                page.press(key)
            if page.tab.run("changes"):
                break
        else:
            name = page.tab.run(f"{one}.closest('[data-id]')?.dataset.id ?? {one}.textContent")
            pytest.fail(f"{lesson}: keys do nothing to the {kind} {name}")


@pytest.mark.parametrize("lang", ["en", pytest.param("ko", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "lesson", [name if name == "slips" else pytest.param(name, marks=pytest.mark.slow) for name in LESSONS]
)
def test_the_keyboard_suffices(served: LessonPage, lesson: str, lang: str) -> None:
    served.open(lesson, lang)
    walk(served, lesson)
    operate(served, lesson)
    assert served.tab.said == []
