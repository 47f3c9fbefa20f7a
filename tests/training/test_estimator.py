"""`ImageClassifier` among scikit-learn's tools."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from hubel import ImageClassifier, Recipe
from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.training import estimator as module
from hubel.training.execute import TrainedModel

pytestmark = pytest.mark.usefixtures("cache")

QUICK = Recipe(threads=1, loading_threads=0, precision="float32", batch_size=32)
DIGITS = load_digits()
X: NDArray[np.float64] = DIGITS.images[:400] / 16
Y: NDArray[np.int64] = DIGITS.target[:400]


def knn(**changes: Any) -> ImageClassifier:
    return ImageClassifier("knn", recipe=QUICK, **changes)


def test_parameters_and_clones() -> None:
    classifier = ImageClassifier("linear", epochs=3, options={"k": 1}, recipe=QUICK)
    assert classifier.get_params()["epochs"] == 3
    assert clone(classifier).get_params() == classifier.get_params()
    assert classifier.set_params(model="knn", seed=4) is classifier
    assert (classifier.model, classifier.seed) == ("knn", 4)
    with pytest.raises(ValueError, match="Invalid parameter"):
        classifier.set_params(depth=3)


def test_only_classifiers_classify() -> None:
    with pytest.raises(OptionError, match="autoencoder_28 is not for the task classify"):
        ImageClassifier("autoencoder_28", recipe=QUICK).fit(X, Y)


def test_cross_validation() -> None:
    assert cross_val_score(knn(), X, Y, cv=3).min() > 0.85


def test_grid_search() -> None:
    search = GridSearchCV(knn(), {"options": [{"k": 1}, {"k": 200}]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"options": {"k": 1}}
    assert search.best_estimator_.score(X, Y) > 0.9


def test_options_may_be_tuples() -> None:
    classifier = ImageClassifier("convnet", epochs=1, options={"filters": (4, 8), "repeat": 1}, recipe=QUICK)
    network = classifier.fit(X, Y).predictor_.network
    assert [p.shape[0] for p in network.parameters() if p.ndim == 4] == [4, 8]


@pytest.mark.parametrize(
    "labels", [Y, Y * 5 - 7, np.array([f"c{y}" for y in Y]), (Y > 4), Y.astype(float), [str(y) for y in Y]],
    ids=["int", "negative", "text", "bool", "float", "list"],
)  # fmt: skip
def test_classes_are_sorted_and_of_the_type_of_the_labels(labels: Any) -> None:
    classifier = knn().fit(X, labels)
    np.testing.assert_array_equal(classifier.classes_, np.unique(labels))
    assert classifier.classes_.dtype == np.unique(labels).dtype
    predicted = classifier.predict(X)
    assert predicted.dtype == classifier.classes_.dtype
    assert (predicted == np.asarray(labels)).mean() > 0.9
    scores = classifier.predict_proba(X)
    np.testing.assert_allclose(scores.sum(1), 1)
    np.testing.assert_array_equal(classifier.classes_[scores.argmax(1)], predicted)
    assert classifier.score(X, labels) == (predicted == np.asarray(labels)).mean()


def test_columns_follow_classes_where_names_sort_otherwise() -> None:
    labels = np.array([2, 10, 100])[Y % 3]
    classifier = knn().fit(X, labels)
    assert classifier.classes_.tolist() == [2, 10, 100]
    words = np.array(["b10", "a", "b9"])[Y % 3]  # by nature b9 comes before b10, by letters after it
    classifier = knn().fit(X, words)
    assert classifier.classes_.tolist() == ["a", "b10", "b9"]
    assert classifier.score(X, words) > 0.9


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], list[str]]:
    paths, labels = [], []
    for i in range(40):
        name = ("dark", "light")[i % 2]
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        paths.append(tmp_path / "photos" / name / f"{i}.png")
        Image.new("L", (8, 8), 30 + i + 150 * (i % 2)).save(paths[-1])
        labels.append(name)
    return paths, labels


def test_a_list_of_paths(files: tuple[list[Path], list[str]]) -> None:
    paths, labels = files
    for kind in (list, lambda paths: [str(path) for path in paths], lambda paths: np.array([str(p) for p in paths])):
        classifier = knn().fit(kind(paths), labels)
        assert classifier.score(paths, labels) == 1
    assert cross_val_score(knn(), paths, labels, cv=2).tolist() == [1, 1]


def test_a_folder(files: tuple[list[Path], list[str]]) -> None:
    paths, labels = files
    classifier = knn().fit(paths[0].parents[1])
    assert classifier.classes_.tolist() == ["dark", "light"]
    assert classifier.score(paths, labels) == 1


def test_images_of_any_kind_and_size(files: tuple[list[Path], list[str]]) -> None:
    paths, labels = files
    expected = knn().fit(paths, labels).predict_proba(paths)
    arrays = [np.asarray(Image.open(path)) for path in paths]
    objects = np.empty(len(paths), object)
    objects[:] = arrays
    for images in (
        arrays,
        objects,
        [Image.open(path) for path in paths],
        [path.read_bytes() for path in paths],
        [torch.from_numpy(array.copy())[None] for array in arrays],
    ):
        np.testing.assert_allclose(knn().fit(images, labels).predict_proba(images), expected, atol=1e-6)
    sizes = [array[: 8 - i % 3] for i, array in enumerate(arrays)]
    assert knn().fit(sizes, labels).score(sizes, labels) > 0.9


class Shade(enum.Enum):
    DARK = 1
    LIGHT = 2


@pytest.mark.parametrize(
    ("kinds", "nothing"),
    [
        ((0.0, 1.0), np.nan),
        ((0, 1), None),
        (("a", "b"), None),
        (("a", "b"), ""),
        ((b"a", b"b"), None),
        (tuple(Shade), None),
    ],
)
def test_images_without_a_label_are_left_out(kinds: tuple[Any, Any], nothing: Any) -> None:
    labels = [nothing if i % 5 == 0 else kinds[int(y > 4)] for i, y in enumerate(Y)]
    classifier = knn().fit(X, labels)
    assert classifier.classes_.tolist() == list(kinds)
    known = np.arange(len(Y)) % 5 > 0
    predicted = classifier.predict(X[known]).tolist()
    assert np.mean([one == kinds[int(y > 4)] for one, y in zip(predicted, Y[known], strict=True)]) > 0.9


def test_not_fitted() -> None:
    for method in (knn().predict, knn().predict_proba):
        with pytest.raises(NotFittedError):
            method(X)


@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (X.reshape(400, 64), Y, r"shape \(n, h, w\)"),
        (X[:10], Y[:9], "10 images .* labels"),
        (X, Y[:, None], r"labels have the shape \(n,\), not \(400, 1\)"),
        (X * 16, Y, "between 0 and 1"),
        (X, None, r"fit\(X, y\)"),
        ("photos", ["a", "b"], "labels of its own"),
        (["a.png"], ["a", "b"], "1 images need 1 labels"),
        (X[:20], np.zeros(20, int), "only one class"),
    ],
)
def test_what_cannot_be_used(images: Any, labels: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        knn().fit(images, labels)


def test_wrong_settings() -> None:
    with pytest.raises(UnknownNameError, match="lenet5"):
        ImageClassifier("lenet55").fit(X, Y)
    with pytest.raises(OptionError):
        ImageClassifier(epochs=-1).fit(X, Y)


def test_no_image_is_held_out_for_a_test_that_nobody_makes() -> None:
    classifier = knn().fit(X, Y)
    assert len(classifier.predictor_.network.images) == 360  # all but the tenth that chooses and calibrates


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    knn().fit(X, Y)
    assert not list(tmp_path.rglob("*.*"))


def test_ctrl_c_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "execute", lambda *_: TrainedModel(path=Path("absent"), stopped_by=2))
    with pytest.raises(KeyboardInterrupt):
        knn().fit(X, Y)
