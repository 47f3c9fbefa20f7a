import csv
import hashlib
import io
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import hubel
from hubel.audit import data_check as module
from hubel.audit.data_check import check_dataset
from hubel.core.errors import DataError
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.sources import ArraySource
from hubel.inference.predictor import Predictor
from hubel.weights.card import ModelCard
from pages import Page

ROOT = Path(__file__).parents[2]
CLOTHING = ROOT.parent / "shared" / "data" / "clothing"
HOSTILE = "<script>alert(1) & 'x'"
COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), HOSTILE: (200, 50, 40)}


def picture(colour, seed, side=40):
    """Blots around one colour."""
    blots = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side + 20, 3)), (2, 2, 0))
    return np.clip(np.array(colour) + 200 * blots, 0, 255).astype(np.uint8)


def colours(network, images, *, card):
    """Instead of a network's features: the mean of each channel and of its complement."""
    assert (card.preprocess, card.preprocess.resize, card.preprocess.crop) == (images.preprocess, "squash", 1.0)
    mean = np.concatenate([batch.pixels.mean((1, 2)) for batch in images.in_sequence(7)]) / 255
    return np.concatenate([mean, 1 - mean], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "last_layer_features", colours)


@pytest.fixture
def predictor():
    card = ModelCard("linear", ("a", "b"), Preprocess(32, 32, 3, resize="crop", crop=0.875))
    return Predictor(card.create(), card)


@pytest.fixture
def photos(tmp_path):
    """Three classes, with two wrong labels, a leak, a picture with two labels, a stranger and a broken file."""
    root = tmp_path / "photos"
    for c, (name, colour) in enumerate(COLOURS.items()):
        for number in range(14):
            file = root / ("test" if number > 9 else "train") / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(colour, 100 * c + number)).save(file)
    Image.fromarray(picture(COLOURS["blue"], 999)).save(root / "train" / "green" / "wrong.png")
    Image.fromarray(picture(COLOURS["green"], 998)).save(root / "train" / HOSTILE / "<b>wrong.png")
    (root / "test" / "blue" / "leak.png").write_bytes((root / "train" / "blue" / "3.png").read_bytes())
    with Image.open(root / "train" / "blue" / "4.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "train" / "green" / "two.jpg", quality=90)
    Image.fromarray(np.full((30, 30, 3), 255, np.uint8)).save(root / "train" / "green" / "strange.png")
    (root / "train" / "green" / "broken.png").write_bytes(b"broken")
    return root


def state(folder):
    return {
        path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_is_found_and_nothing_changed(photos, predictor, tmp_path):
    before = state(photos)
    found = check_dataset(str(photos), predictor, tmp_path / "out")
    assert state(photos) == before
    assert len(found) == 3 * 14 + 5
    suspects = {Path(one.path).name: one for one in found.suspects()}
    assert {"wrong.png", "<b>wrong.png", "two.jpg"} <= set(suspects)
    wrong = suspects["wrong.png"]
    assert (wrong.label, wrong.guess, wrong.split) == ("green", "blue", "train")
    assert wrong.label_probability < wrong.guess_probability
    groups = [{found.images.path(row) for row in rows} for rows in found.duplicates.groups]
    leak = {"train/blue/3.png", "test/blue/leak.png"}
    two = {"train/blue/4.png", "train/green/two.jpg"}
    assert sorted(groups, key=sorted) == sorted([leak, two], key=sorted)
    assert [groups[place] for place in found.leaks()] == [leak]
    assert [groups[place] for place in found.label_conflicts()] == [two]
    assert found.farthest()[0][0] == "train/green/strange.png"
    assert any("unreadable" in note for note in found.notes)


def test_files_agree_with_the_result(photos, predictor, tmp_path):
    found = check_dataset(str(photos), predictor, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "data-check.html",
        "data-check.csv",
        "data-check.json",
        ".hubel",
    }
    told = json.loads((tmp_path / "out" / "data-check.json").read_text())
    assert told == found.to_json()
    assert (told["images"], told["leaks"], len(told["duplicates"])) == (len(found), 1, 2)
    assert [one["path"] for one in told["suspects"]] == [one.path for one in found.suspects()]
    rows = list(csv.DictReader(io.StringIO(found.table.read_text())))
    assert [row["image_path"] for row in rows] == [found.images.path(row) for row in found.ranking.order.tolist()]
    marked = {key: [row["image_path"] for row in rows if row[key] == "1"] for key in ("suspect", "leak", "far")}
    assert marked["suspect"] == [one.path for one in found.suspects()]
    assert set(marked["leak"]) == {"train/blue/3.png", "test/blue/leak.png"}
    assert set(marked["far"]) == {path for path, _ in found.farthest()}
    assert len({row["group"] for row in rows}) == 3


def test_page_is_well_formed_and_safe(photos, predictor, tmp_path):
    found = check_dataset(str(photos), predictor, tmp_path / "out")
    source = found.page.read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == []
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert "href" not in attributes
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
    assert not re.search(r"https?:|url\(|@import", source)
    assert "default-src 'none'" in source
    text = " ".join(" ".join(page.text).split())
    assert f"{HOSTILE} → green ?" in text
    assert f"train/{HOSTILE}/<b>wrong.png" in text
    for words in ("in more than one split", "with different labels", "same file", "1 image is in more than one"):
        assert words in text


def test_other_sources_and_the_default_folder(predictor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.stack([picture(colour, seed) for seed in range(8) for colour in list(COLOURS.values())[:2]])
    source = ArraySource(images, ["a", "b"] * 8)
    found = check_dataset(source, predictor)
    assert found.page.parent == Path("runs") / f"check-{source.name}-1"
    assert dict(found.summary())["of these in more than one split"] == "-"
    assert found.suspects() == []
    assert "None." in found.page.read_text()


@pytest.mark.parametrize(("splits", "leaks"), [([1, 0], 0), ([1, 1], 0), ([1, 3], 1), ([2, 3], 1)])
def test_images_without_a_split_are_no_leaks(predictor, tmp_path, splits, leaks):
    images = np.stack([picture(list(COLOURS.values())[seed % 2], seed) for seed in range(8)])
    source = ArraySource(np.concatenate([images, images[:1]]), [*"abababab", "a"], [splits[0]] * 8 + [splits[1]])
    found = check_dataset(source, predictor, tmp_path / "out")
    assert [rows.tolist() for rows in found.duplicates.groups] == [[0, 8]]
    assert len(found.leaks()) == leaks


def test_a_model_trained_on_the_images_is_noted(photos, predictor, tmp_path):
    seen = {"fingerprint": open_dataset(photos).index.fingerprint()}
    card = ModelCard("linear", ("a", "b"), Preprocess(32, 32, 3), provenance=seen)
    found = check_dataset(str(photos), Predictor(card.create(), card), tmp_path / "out")
    assert any("was trained on these images" in note for note in found.notes)
    assert not any("was trained" in note for note in check_dataset(str(photos), predictor, tmp_path / "out").notes)


def test_one_class_is_refused(predictor):
    with pytest.raises(DataError, match="only one class"):
        check_dataset(ArraySource(np.zeros((3, 8, 8, 3), np.uint8), ["a"] * 3), predictor)


@pytest.mark.slow
@pytest.mark.skipif(not CLOTHING.is_dir(), reason="needs ../shared/data/clothing")
def test_planted_errors_are_found(tmp_path, monkeypatch):
    """The claims of benchmarks/data_check.py, with one seed."""
    monkeypatch.undo()
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "data_check.py"))
    model = hubel.load("efficientnet_lite0")
    flipped = benchmark["plant_flips"](CLOTHING / "train", tmp_path / "flipped", 0)
    found = check_dataset(str(tmp_path / "flipped"), model, tmp_path / "out")
    first = [Path(found.images.path(row)).name for row in found.ranking.order[: len(found) // 10].tolist()]
    assert len(flipped) == 50
    assert len(flipped & set(first)) >= 35
    planted = benchmark["plant_copies"](CLOTHING, tmp_path / "copies", 0)
    found = check_dataset(str(tmp_path / "copies"), model, tmp_path / "out")
    groups = [{Path(found.images.path(row)).name for row in found.duplicates.groups[place]} for place in found.leaks()]
    assert len(planted) == 50
    assert sorted(map(sorted, groups)) == sorted(sorted([copy, original]) for _, copy, original in planted)
    assert len(found.duplicates.groups) == 50
