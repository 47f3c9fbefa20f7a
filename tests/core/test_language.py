"""Sentences by language: both tables agree, a page in Korean says what the English one says, and names stay names."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest

from hubel.core.errors import UnknownNameError
from hubel.core.language import (
    LANGUAGES,
    counted_images,
    find_language,
    in_language,
    joined,
    plural,
    preferred,
    sentence,
    split_name,
    table,
)
from source_trees import SOURCE, source_trees


def places(text: str) -> list[str]:
    return sorted(set(re.findall(r"\{(\w+)", text)))


def test_each_language_has_every_sentence_with_the_same_values() -> None:
    for language in LANGUAGES[1:]:
        assert list(table(language)) == list(table("en"))
        for key, text in table("en").items():
            assert places(table(language)[key]) == places(text), key


def test_korean_is_korean() -> None:
    for key, text in table("ko").items():
        named = re.sub(r"\{[^}]*\}|F1 %|AUROC|FPR|TPR|IoU|AP|OKS|Top-\d", "", text)
        assert re.search("[가-힣]", named) or not re.search("[A-Za-z]{2}", named), key
        assert not re.search(r"(?:요|[습입합됩]니다)[.!)]?$", text), f"{key} is colloquial"


def test_keys_in_the_sources_exist_and_all_are_used() -> None:
    """A key that is written out exists; a sentence whose key stands nowhere is not read by anybody."""
    stated: set[str] = set()  # keys in calls
    words: set[str] = set()  # all texts of the sources, among them keys in tables
    starts: tuple[str, ...] = (
        "page.error.",
        "page.maps",
        "page.boxes",
        "page.points",
        "page.vector",
        "explain.",
    )  # of composed keys
    for tree in source_trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words |= {node.value}
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("sentence", "plural") and node.args:
                ends = ("",) if ast.unparse(node.func) == "sentence" else (".one", ".other")
                if isinstance(key := node.args[0], ast.Constant):
                    stated |= {f"{key.value}{end}" for end in ends}
                elif isinstance(key, ast.JoinedStr) and isinstance(start := key.values[0], ast.Constant):
                    starts += (str(start.value),)
    for name in ("evaluation/report.html.jinja", "studio/page.html", "studio/page.js"):
        text = (SOURCE / name).read_text(encoding="utf-8")
        stated |= {f"{key}.{end}" for key in re.findall(r'plural\("([\w.]+)"', text) for end in ("one", "other")}
        stated |= set(re.findall(r'\b(?:sentence|t)\("([\w.]+)"', text)) | set(re.findall(r"\{(page\.[\w.]+)\}", text))
    assert stated <= table("en").keys()
    assert [key for key in table("en") if key not in stated | words and not key.startswith(starts)] == []


def test_values_are_never_keys() -> None:
    found = plural("run.data", 3, data="report.summary {n} <b>")
    assert found == "report.summary {n} <b>: 3 classes"
    assert in_language(found, "ko") == "report.summary {n} <b>: 클래스 3개"
    assert in_language("report.summary", "ko") == "report.summary"


def test_sentences_within_sentences_are_translated() -> None:
    inner = sentence("text.range", low="1.0", high="2.0")
    assert in_language(sentence("report.interval", interval=inner), "ko") == "95% 신뢰구간 1.0~2.0%"
    two = joined("", sentence("report.summary"), "plain")
    assert (two, in_language(two, "ko")) == ("Summary plain", "요약 plain")


@pytest.mark.parametrize("n", [0, 1, 2, 1200])
def test_number_decides_between_one_and_many(n: int) -> None:
    assert plural("report.wrong", n) == f"{n:,} wrong photo{'' if n == 1 else 's'}"
    assert in_language(plural("report.wrong", n), "ko") == f"틀린 사진 {n:,}장"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("en-GB,en;q=0.9,ko;q=0.8", "en"),
        ("fr, ko;q=0.1", "ko"),
        ("ko;q=0, en;q=0.1", "en"),
        ("*;q=1, x;q=nonsense", "en"),
        (",".join(["ko;q=0.5"] * 10_000), "ko"),
    ],
)
def test_browser_decides(header: str, expected: str) -> None:
    assert preferred(header) == expected


def test_unknown_languages_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"no language is called 'kr'"):
        find_language("kr")


def test_interval_is_a_text_like_any_other() -> None:
    found = sentence("text.range", low=np.float64(1.5), high=2)
    assert isinstance(found, str)
    assert f"({found})" == "(1.5 to 2%)"


def test_a_split_of_ours_has_a_word_and_any_other_its_name() -> None:
    assert in_language(split_name("validation"), "ko") == table("ko")["split.validation"]
    assert split_name("mine") == "mine"


def test_one_image_is_counted_as_one() -> None:
    assert (counted_images(1, "test"), counted_images(1200, "labelled")) == ("1 test image", "1,200 labelled images")
    assert in_language(counted_images(1, "test"), "ko") == "테스트 이미지 1장"
    said = plural("classify.headline", 1, split="test", share="100", interval="20.7 to 100%")
    assert said.startswith("100% of 1 test image is classified correctly")
    assert said.endswith("one image says little.")
