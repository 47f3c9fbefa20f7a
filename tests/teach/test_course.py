"""The course: its sentences in both languages, its numbers, its pages as files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.cli import main
from hubel.core.errors import OptionError, UnknownNameError
from hubel.studio.course.bundle import read_bundle
from hubel.teach.course.catalogue import LESSONS, find_lesson
from hubel.teach.course.export import export_course
from hubel.teach.course.json_values import json_ready
from hubel.teach.course.lesson import LANGUAGES, lesson_data, lesson_facts, lesson_strings, shared_strings
from hubel.teach.course.page import exported_page, lesson_numbers, served_page

COURSE = Path(str(files("hubel.teach.course")))
NAMES: list[str] = sorted(json.loads((COURSE / "strings" / "names.json").read_text()), key=len, reverse=True)
PLACEHOLDER = re.compile(r"\{(\w+)\}")
LARGEST = 2_000_000  # bytes of an exported lesson


def placeholders(text: str) -> set[str]:
    """Return the placeholders of a sentence; braces in its formulas also group, as in `x_{i}` and `\\text{relu}`."""
    plain = re.sub(r"\\text\{[^}]*\}", "", re.sub(r"[_^]\{[^}]*\}", "", text))
    return set(
        PLACEHOLDER.findall(re.sub(r"\$[^$]*\$", lambda found: " ".join(re.findall(r"\{\w{2,}\}", found[0])), plain))
    )


def typed_digits(text: str) -> str:
    """Return a sentence without what may hold digits: placeholders, symbolic formulas, code and names."""
    text = re.sub(r"\$[^$]*\$|`[^`]*`", " ", text)
    text = PLACEHOLDER.sub(" ", text)
    for name in NAMES:
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.]*\d)", " ", text)
    return text


def all_strings() -> dict[str, dict[str, dict[str, str]]]:
    return {"(shared)": shared_strings(), **{name: lesson_strings(name) for name in LESSONS}}


@pytest.mark.parametrize("lesson", ["(shared)", *LESSONS])
def test_both_languages_say_the_same(lesson: str) -> None:
    english, korean = (all_strings()[lesson][lang] for lang in LANGUAGES)
    assert list(english) == list(korean)
    for key, text in english.items():
        assert text.strip(), key
        assert korean[key].strip(), key
        assert placeholders(text) == placeholders(korean[key]), f"{lesson}: {key}"
    if lesson != "(shared)":
        assert {"title", "summary"} <= set(english)


@pytest.mark.parametrize("lesson", ["(shared)", *LESSONS])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_number_is_typed_in(lesson: str, lang: str) -> None:
    found = {key: text for key, text in all_strings()[lesson][lang].items() if re.search(r"\d", typed_digits(text))}
    assert not found, f"numbers are computed, or facts with a source, never typed: {found}"


def test_typed_numbers_are_found() -> None:
    for text in ("It has 99 parameters.", "LeNet-5 has 3 layers", "a 3x3x7 block", "ResNet-500", "7 {n}"):
        assert re.search(r"\d", typed_digits(text)), text
    for text in ("{n} parameters", "LeNet-5 and VGG-16", "a 3x3 kernel", "$x^2$", "a 1x1 convolution, then"):
        assert not re.search(r"\d", typed_digits(text)), text


@pytest.mark.parametrize("lesson", LESSONS)
def test_pages_hold_only_sentences_that_exist(lesson: str) -> None:
    """Keys in the page's source exist, and text between its tags is no sentence or number of its own."""
    strings = lesson_strings(lesson)["en"] | shared_strings()["en"]
    for path in (COURSE / "lessons" / lesson).glob("*.tsx"):
        source = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)
        for key in re.findall(r"""\bt(?:\.text)?\(\s*["']([^"']+)["']""", source):
            assert key in strings, f"{path.name}: {key}"
        for text in re.findall(r"(?<![=-])>([^<>{}()=;]+)</", source):
            assert not re.search(r"[A-Za-z가-힣]{3,}|\d", text), f"{path.name}: {text!r} stands in the page"


@pytest.mark.parametrize("lesson", LESSONS)
def test_facts_have_sources(lesson: str) -> None:
    for name, fact in lesson_facts(lesson).items():
        assert isinstance(fact["value"], int | float), name
        assert re.search(r"\b(19|20)\d\d\b", fact["source"]), f"{name}: the source names no year"


@pytest.mark.parametrize("name", LESSONS)
def test_data_is_json(name: str) -> None:
    lesson = find_lesson(name)
    assert lesson.name == name
    json.dumps(lesson_data(lesson), allow_nan=False)


@pytest.mark.parametrize("name", [None, *LESSONS])
def test_exported_pages_stand_alone(name: str | None) -> None:
    bundle = read_bundle()
    page = exported_page(name, None, bundle, LESSONS)
    assert len(page.encode()) < LARGEST
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    for kind, tag, content in (("script", 'script type="module"', bundle.script), ("style", "style", bundle.style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy[1]
        assert f"<{tag}>{content}</" in page
        assert f"</{kind}" not in content
    assert "default-src 'none'" in policy[1]
    assert "connect-src" not in policy[1]
    assert not re.search(r"<(link|img|iframe|base|form)\b|\ssrc=", page.replace(bundle.script, ""))


def payload(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_payload() -> None:
    name = LESSONS[0]
    served = payload(served_page(name, "ko"))
    assert (served["lang"], served["live"], served["links"]["lesson"]) == ("ko", True, "/learn/{name}")
    assert [lesson["name"] for lesson in served["lessons"]] == list(LESSONS)
    assert served["numbers"] is None
    alone = payload(exported_page(name, None, read_bundle(), [name]))
    assert (alone["lang"], alone["live"], len(alone["lessons"])) == (None, False, 1)
    assert (
        alone["numbers"]
        == lesson_numbers(name)
        == {"data": lesson_data(find_lesson(name)), "slips": lesson_data(find_lesson("slips"))["slips"]}
    )
    assert '<html lang="ko">' in served_page(None, "ko")
    with pytest.raises(UnknownNameError, match="no lesson is called 'ox'"):
        find_lesson("ox")


def test_export_loses_nothing(tmp_path: Path) -> None:
    names = LESSONS[:1]
    paths = export_course(tmp_path / "course", names, "en", read_bundle())
    assert [path.name for path in paths] == ["index.html", f"{names[0]}.html"]
    export_course(tmp_path / "course", names, "en", read_bundle())
    (tmp_path / "course" / "index.html").write_text("mine")
    with pytest.raises(OptionError, match="--export"):
        export_course(tmp_path / "course", names, "en", read_bundle())
    with pytest.raises(OptionError, match="is a file; name a folder"):
        export_course(tmp_path / "course" / "index.html", names, "en", read_bundle())
    with pytest.raises(UnknownNameError):
        export_course(tmp_path / "other", ["ox"], "en", read_bundle())
    assert not (tmp_path / "other").exists()


def test_json_values() -> None:
    assert json_ready({1: (np.float32(0.1), None, "x", True)}) == {"1": [0.1, None, "x", True]}
    assert json_ready(123456789) == 123456789
    assert json_ready([float("inf"), 1.23456789e-9]) == [None, 1.23457e-9]


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)

    def call(*words: str) -> int | str | None:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return ended.value.code

    assert call("walkthrough", "xo") == 0
    assert "walkthrough-xo.html" in capsys.readouterr().out
    expected = exported_page("xo", None, read_bundle(), ["xo"])
    assert Path("walkthrough-xo.html").read_text(encoding="utf-8") == expected
    assert call("learn", "xo", "--export", "pages", "--lang", "ko") == 0
    assert {path.name for path in Path("pages").iterdir()} == {"index.html", "xo.html"}
    assert payload(Path("pages/xo.html").read_text(encoding="utf-8"))["lang"] == "ko"
    capsys.readouterr()
    for words, message in (
        (["walkthrough", "ox"], "no lesson is called 'ox'"),
        (["learn", "ox"], "no lesson is called 'ox'"),
        (["walkthrough", "xo", "--out", "pages"], "--out pages is a folder"),
        (["learn", "--lang", "fr"], "en"),
    ):
        assert call(*words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert message in said.err
