import re
from typing import cast

import numpy as np
import pytest

from hubel.core.language import LANGUAGES, sentence
from hubel.data.loading import Images
from hubel.evaluation.report import Report, write_report
from hubel.metrics.classification import measure_classification, measure_multilabel
from hubel.metrics.figures import confusion_matrix
from hubel.metrics.reconstruction import ReconstructionMetrics
from hubel.metrics.report_items import FileGroup
from hubel.plots.figure_files import to_png
from hubel.tasks.classify_evaluation import ClassificationEvaluation
from hubel.tasks.multi_label import MultiLabelEvaluation
from hubel.tasks.reconstruct import ReconstructionEvaluation
from pages import Page

NO_IMAGES = cast(Images, None)  # reports are made of numbers

HOSTILE = "<script>alert(1)</script>"
NAMES = ["cat", 'a "quoted" & <b>bold</b> name', HOSTILE, "猫", "🐸", "bad\udcff name", "unseen"]


def single():
    labels = np.array([0, 1, 2, 3, 4, 5, 5])
    scores = np.eye(7)[[0, 2, 2, 3, 1, 5, 0]]
    metrics = measure_classification(scores, labels, NAMES)
    return ClassificationEvaluation(metrics=metrics, probabilities=scores, targets=labels, images=NO_IMAGES)


def several():
    targets = np.eye(7, dtype=int)[:6]
    scores = np.clip(targets * 0.8, 0.1, 0.9)
    metrics = measure_multilabel(scores, targets, NAMES)
    return MultiLabelEvaluation(metrics=metrics, probabilities=scores, targets=targets, images=NO_IMAGES)


def read(tmp_path, **parts):
    path = tmp_path / "report.html"
    facts = [("Model", "resnet18"), (HOSTILE, HOSTILE)]
    metrics = parts.pop("metrics", None)
    if metrics is not None:
        parts |= {"tiles": metrics.tiles(), "tables": metrics.report_tables(), "footnote": metrics.footnote()}
    write_report(path, Report(title=HOSTILE, headline=f"85.7 % {HOSTILE}", facts=facts, **parts))
    return path.read_text(encoding="utf-8")


RECONSTRUCTION = ReconstructionEvaluation(
    metrics=ReconstructionMetrics(n=7, mse=0.0123, bce=0.29, entropy=0.24),
    images=NO_IMAGES,
    shown=np.arange(0),
    errors=np.full(7, 0.0123),
    reconstructions=np.empty((0, 1, 1, 1), np.uint8),
)


@pytest.mark.parametrize(
    "metrics", [single(), several(), RECONSTRUCTION, None], ids=["one label", "many labels", "made", "none"]
)
def test_is_whole_and_refers_to_nothing_outside(tmp_path, metrics):
    picture = to_png(confusion_matrix(single().metrics.confusion, NAMES))
    source = read(
        tmp_path,
        notes=[f"{HOSTILE}.jpg: broken"] * 30,
        metrics=metrics,
        figures=[(HOSTILE, HOSTILE, picture)],
    )
    page = Page(source)
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "b"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert "href" not in attributes
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,"), tag
    assert not re.search(r"https?:|url\(|@import", source)
    assert "default-src 'none'" in source


@pytest.mark.parametrize("metrics", [single(), several()], ids=["one label", "many labels"])
def test_lists_every_class_by_its_own_name(tmp_path, metrics):
    page = Page(read(tmp_path, metrics=metrics))
    for name in NAMES:
        assert name.encode("utf-8", "backslashreplace").decode() in page.text


def test_says_the_numbers(tmp_path):
    text = " ".join(" ".join(Page(read(tmp_path, metrics=single())).text).split())
    assert "Top-1 57.1%" in text
    assert "Most confused" in text
    assert "Each class" in text


def test_says_which_classes_the_macro_numbers_leave_out(tmp_path):
    labels, scores = np.array([0, 1, 1]), np.eye(7)[[0, 1, 2]]
    metrics = measure_classification(scores, labels, NAMES)
    found = ClassificationEvaluation(metrics=metrics, probabilities=scores, targets=labels, images=NO_IMAGES)
    rows = {name: value for name, value, *_ in found.rows("test")}
    assert rows["macro F1, without 1 predicted class that no image has"] == "0.8333"
    text = " ".join(" ".join(Page(read(tmp_path, metrics=found)).text).split())
    assert "without 1 predicted class that no image has" in text
    assert "a class that is predicted but has none counts in none of them" in text
    assert "macro F1" in [row[0] for row in single().rows("test")], "every predicted class has an image"


def test_says_how_near_images_made_again_come(tmp_path):
    text = " ".join(" ".join(Page(read(tmp_path, metrics=RECONSTRUCTION)).text).split())
    assert "Squared error 0.0123" in text
    assert "Cross-entropy 0.2900" in text
    assert "Each class" not in text


def test_folds_long_lists_of_notes_away_but_keeps_them(tmp_path):
    source = read(tmp_path, notes=[f"image {i}.jpg: truncated" for i in range(50)])
    page = Page(source)
    assert "42 more" in page.text
    assert all(f"image {i}.jpg: truncated" in page.text for i in range(50))
    assert "<details" not in read(tmp_path, notes=["only one"])


def test_leaves_out_what_is_not_there(tmp_path):
    text = " ".join(Page(read(tmp_path)).text)
    for heading in ("Please note", "Most confused", "Each class"):
        assert heading not in text


def test_the_same_report_gives_the_same_bytes(tmp_path):
    assert read(tmp_path, metrics=single()) == read(tmp_path, metrics=single())


def test_says_the_same_in_korean(tmp_path):
    """Every sentence of a classifier's report is Korean; names of classes stay as they are, and the page stays safe."""
    metrics = single()
    parts = {"tiles": metrics.tiles(), "tables": metrics.report_tables(), "footnote": metrics.footnote()}
    group = FileGroup(label=HOSTILE, prediction="猫", files=[("a.jpg", "62%")])
    report = Report(
        title=sentence("report.title", network="lenet5", data=HOSTILE),
        headline=metrics.headline("test"),
        facts=[(sentence("fact.seed"), "0")],
        notes=[f"image {i}.jpg" for i in range(9)],
        mistakes=[group],
        **parts,
    )
    for language in LANGUAGES:
        write_report(tmp_path / f"{language}.html", report, language=language)
    english, korean = (Page((tmp_path / f"{name}.html").read_text(encoding="utf-8")) for name in LANGUAGES)
    text = " ".join(" ".join(korean.text).split())
    for said in (
        "테스트 이미지 7장 가운데 57.1%를 바르게 분류했다",
        "클래스별 성적",
        "재현율 %",
        "정밀도(precision)",
        "시드(seed)",
        "틀린 사진 1장",
    ):
        assert said in text
    assert HOSTILE in text
    assert not {tag for tag, _ in korean.elements} & {"script"}
    named = {
        *NAMES,
        "bad",
        "Top-1",
        "Top-5",
        "F1",
        "Wilson",
        "Guo",
        "et",
        "al.",
        "nat",
        "a.jpg",
        "predictions.csv",
        "image",
    }
    left = [
        line
        for line in korean.text
        if re.search("[A-Za-z]{3}", line) and line in english.text and not any(one in line for one in named)
    ]
    assert left == []
