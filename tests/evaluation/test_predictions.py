"""Every image that measures a model is accounted for: in `predictions.csv`, and the wrong ones in the report."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import confusion_matrix

from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.taught import Taught
from hubel.evaluation.predictions import predictions_csv
from hubel.evaluation.report import Report, write_report
from hubel.evaluation.write import write_evaluation
from hubel.inference.scores import softmax
from hubel.metrics.report_items import FileGroup
from hubel.tasks.catalogue import find_task
from hubel.tasks.task import Evaluation
from hubel.weights.card import ModelCard
from pages import Page

PREPROCESS = Preprocess(height=8, width=8, channels=3, resize="squash", mean=(0.5,) * 3, std=(0.5,) * 3)
NOBODY = Taught.read({})


def photos(folder: Path, names: list[str]) -> Path:
    """Make small photos, all different, and a table that gives them three classes in turn."""
    rng = np.random.default_rng(0)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path, format="PNG")
    return folder


def evaluated(
    folder: Path, task: str, outputs: NDArray[Any], targets: NDArray[Any], names: tuple[str, ...]
) -> Evaluation:
    images = open_dataset(str(folder)).images(PREPROCESS)
    scores = find_task(task).scores("bce" if task == "multi_label" else "cross_entropy")
    card = ModelCard(model="linear", classes=names, preprocess=PREPROCESS, task=task, scores=scores)
    return find_task(task).evaluate_outputs(outputs.astype(np.float32), card, images, targets)


def rows(evaluation: Evaluation, **settings: Any) -> list[dict[str, str]]:
    found = predictions_csv(evaluation, **{"split": "test", "taught": NOBODY} | settings)
    assert found is not None
    assert found == predictions_csv(evaluation, **{"split": "test", "taught": NOBODY} | settings)
    return list(csv.DictReader(io.StringIO(found.decode(), newline="")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return photos(tmp_path / "photos", [f"{label}/{i}.png" for label in ("cat", "dog", "=owl") for i in range(4)])


def test_rows_give_back_the_numbers(folder: Path, tmp_path: Path) -> None:
    names = open_dataset(str(folder)).classes()
    targets = open_dataset(str(folder)).targets(names)
    logits = np.random.default_rng(1).normal(0, 2, (12, 3))
    found = evaluated(folder, "classify", logits, targets, names)
    table = rows(found)
    assert [row["path"] for row in table] == [found.images.path(i) for i in range(12)]
    assert list(table[0]) == ["path", "label", "prediction", "score", "rank", "split", *(f"score:{n}" for n in names)]
    labels, predictions = [row["label"] for row in table], [row["prediction"] for row in table]
    assert labels == found.images.labels()
    assert (confusion_matrix(labels, predictions, labels=names) == found.metrics.confusion).all()  # type: ignore[attr-defined]
    p = softmax(logits)
    assert [[float(row[f"score:{name}"]) for name in names] for row in table] == pytest.approx(p, abs=1e-6)
    assert [float(row["score"]) for row in table] == pytest.approx(p.max(1), abs=1e-6)
    place = [int((row > row[t]).sum()) + 1 for row, t in zip(p, targets, strict=True)]
    assert [int(row["rank"]) for row in table] == place
    assert {row["split"] for row in table} == {"test"}

    wrong = {row["path"]: (row["label"], row["prediction"]) for row in table if row["label"] != row["prediction"]}
    groups = found.mistakes()
    assert {name: (g.label, g.prediction) for g in groups for name, _ in g.files} == wrong
    sizes = [len(group.files) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    page = write_evaluation(
        tmp_path / "out", found, title="t", split="test", taught=NOBODY, facts={}, notes=[],
        columns={"novelty": [0.5] * 12},
    )  # fmt: skip
    text = Page(page.read_text()).text
    assert all(name in text for name in wrong)
    assert not any(name in text for name in {row["path"] for row in table} - wrong.keys())
    written = list(csv.DictReader(io.StringIO((tmp_path / "out" / "predictions.csv").read_text(), newline="")))
    assert [row.pop("novelty") for row in written] == ["0.5"] * 12
    assert written == table


def test_many_classes_have_columns_for_the_best_five(folder: Path) -> None:
    names = tuple(f"class {i}" for i in range(51))
    p = np.random.default_rng(2).normal(0, 1, (12, 51))
    table = rows(evaluated(folder, "classify", p, np.arange(12), names))
    assert list(table[0])[-2:] == ["class5", "score5"]
    for row, scores in zip(table, softmax(p), strict=True):
        best = np.argsort(-scores)[:5]
        assert [row[f"class{i}"] for i in range(1, 6)] == [names[i] for i in best]
        assert [float(row[f"score{i}"]) for i in range(1, 6)] == pytest.approx(scores[best], abs=1e-6)
    columns = rows(evaluated(folder, "classify", p[:, :50], np.arange(12), names[:50]))[0]
    assert len(columns) == 6 + 50, "each of 50 classes has a column"


def test_splits_of_images(tmp_path: Path) -> None:
    own = photos(tmp_path / "own", [f"{s}/{n}/{i}.png" for s in ("train", "test") for n in "ab" for i in range(2)])
    other = photos(tmp_path / "other", [f"{n}/{i}.png" for n in "ab" for i in range(2)])
    one = evaluated(own, "classify", np.zeros((8, 2)), np.zeros(8, int), ("a", "b"))
    for row in rows(one, split="labelled"):
        assert row["split"] == row["path"].split("/")[0]
    two = evaluated(other, "classify", np.zeros((4, 2)), np.zeros(4, int), ("a", "b"))
    taught = Taught.of(two.images.digests[[0, 3]])
    assert [row["split"] for row in rows(two, split="labelled", taught=taught)] == ["train", "", "", "train"]
    assert [row["split"] for row in rows(two, split="validation")] == ["val"] * 4


def test_labels_of_several_classes(folder: Path) -> None:
    targets = np.random.default_rng(3).integers(0, 2, (12, 3)).astype(np.float32)
    logits = np.where(targets > 0, 2.0, -2.0)
    logits[[1, 5]] = [[3, 3, 3], [-3, -3, -3]]
    targets[[1, 5]] = [[1, 0, 1], [0, 1, 0]]
    found = evaluated(folder, "multi_label", logits, targets, ("x", "y", "z"))
    table = rows(found)
    assert (table[1]["label"], table[1]["prediction"]) == ("x|z", "x|y|z")
    assert (table[5]["label"], table[5]["prediction"]) == ("y", "")
    assert [row["path"] for row in table if row["label"] != row["prediction"]] == [table[1]["path"], table[5]["path"]]
    assert [(g.label, g.prediction, g.files[0][0]) for g in found.mistakes()] == [
        ("x|z", "x|y|z", table[1]["path"]),
        ("y", "no class", table[5]["path"]),
    ]


def test_numbers_have_errors(folder: Path) -> None:
    targets = np.arange(12.0)[:, None]
    table = rows(evaluated(folder, "regress", targets + 0.25, targets, ("value",)))
    assert list(table[0]) == ["path", "label", "prediction", "error", "split"]
    assert [float(row["label"]) for row in table] == targets[:, 0].tolist()
    assert {float(row["error"]) for row in table} == {0.25}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_any_kind(tmp_path: Path) -> None:
    odd = ['a "quoted", name.png', "two\nlines.png", "re\rturn.png", os.fsdecode(b"bad\xff.png"), "=1+1.png", "猫.png"]
    folder = photos(tmp_path / "photos", [f"{label}/{name}" for label in ("x", "y") for name in odd])
    found = evaluated(folder, "classify", np.eye(2)[[0, 1] * 6], np.repeat([0, 1], 6), ("x", "y"))
    table = rows(found)
    names = [found.images.path(i).encode("utf-8", "backslashreplace").decode() for i in range(12)]
    assert len({row["path"] for row in table}) == 12
    assert [row["path"] for row in table] == names
    path = tmp_path / "report.html"
    write_report(path, Report(title="t", headline="h", facts=[], mistakes=found.mistakes()))
    assert "<b>" not in path.read_text()


def test_the_report_names_a_thousand(tmp_path: Path) -> None:
    groups = [
        FileGroup(label="a", prediction="b", files=[(f"<i>{i}.png", "60%") for i in range(990)]),
        FileGroup(label="a", prediction="c", files=[(f"late {i}.png", "") for i in range(25)]),
        FileGroup(label="c", prediction="a", files=[("never named.png", "")]),
    ]
    path = tmp_path / "report.html"
    write_report(path, Report(title="t", headline="h", facts=[], mistakes=groups))
    page = Page(path.read_text())
    assert page.open == []
    text = " ".join(" ".join(page.text).split())
    assert "1,016 wrong photos" in text
    assert "16 more are in predictions.csv" in text
    assert "late 9.png" in text
    assert "late 10.png" not in text
    assert "never named" not in text
    assert text.index("a → b : 990") < text.index("a → c : 25")
