"""`hubel search`: every format, the page, nothing that fits, and mistakes in one line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fake_texts

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_texts.use(monkeypatch)


def test_table_json_csv_and_page(hubel: Call, model: Path, photos: Path) -> None:
    words = ("search", photos, "red", "--model", model)
    answer = hubel(*words, "--nearest")
    assert (answer.code, answer.err) == (0, "")
    rows = [line.split() for line in answer.out.splitlines() if ".png" in line]
    assert len(rows) == 10
    assert sum(Path(path).parent.name == "red" for path, _ in rows[:5]) >= 4
    assert "30 photos were new or changed" in answer.out
    told = json.loads(hubel(*words, "--json").out)
    assert told["images"] == 30
    assert [one["path"] for one in told["nearest"]] == [path for path, _ in rows]
    assert told["found"] == [one for one in told["nearest"] if one["similarity"] >= told["threshold"]]
    table = list(csv.DictReader(hubel(*words, "--csv", "--top", 3, "--nearest").out.splitlines()))
    assert [row["path"] for row in table] == [path for path, _ in rows[:3]]
    assert hubel(*words, "--page", "found.html").code == 0
    page = Path("found.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == len(told["found"])
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert hubel(*words, "--page", "found.html").code == 0  # its own page is replaced


def test_nothing_is_an_answer(hubel: Call, model: Path, photos: Path) -> None:
    answer = hubel("search", photos, "🙂", "--model", model, "--page", "none.html")
    assert answer.code == 0
    assert answer.out.splitlines()[0] == "Nothing fits: no word of the query is known; English and Korean are."
    assert "Nothing fits" in Path("none.html").read_text(encoding="utf-8")


def test_a_query_cannot_control_the_page(hubel: Call, model: Path, photos: Path) -> None:
    hubel("search", photos, "<script>red</script>", "--model", model, "--page", "found.html")
    assert "<script" not in Path("found.html").read_text(encoding="utf-8")


MISTAKES = {
    "photos|": "an argument of hubel search is empty",
    "nowhere|red": "nowhere: no such folder or table",
    "photos|red|--top|0": "--top is at least 1, not 0",
    "photos|red|--json|--csv": "choose one of --json and --csv",
    "photos|red|--encoder|clap": "no encoder is called 'clap'",
    "photos": "search needs QUERY; see hubel search --help",
    "photos|red|--page|photos": "--page photos is a folder; name a file",
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes(hubel: Call, model: Path, photos: Path, words: str, message: str) -> None:
    answer = hubel("search", *words.split("|"), "--model", model)
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert line.startswith("hubel: ")
    assert message in line


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "--classes cat photos": "--classes takes at least two different names",
        "--classes cat,dog photos --tta": "--classes prints classes and scores",
        "--classes cat,dog photos --encoder clap": "no encoder is called 'clap'",
        "--classes cat,dog": "predict needs MODEL",
    }.items(),
)
def test_mistakes_with_classes_by_name(hubel: Call, photos: Path, words: str, message: str) -> None:
    answer = hubel("predict", *words.split())
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
