"""The lesson on comparing pictures: its numbers against other libraries, and what its sentences claim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import shift
from scipy.signal import correlate2d
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from hubel.models.convnet import ConvBlock
from hubel.teach.course.digit_pictures import LEVELS, digit_pictures
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.compare import cost, network, templates
from hubel.teach.course.lessons.compare.lesson import LESSON
from hubel.teach.course.lessons.compare.settings import parameters
from hubel.teach.course.lessons.compare.views import CANVAS, MARGIN, VIEWS, crop, on_canvas

TRAIN, TEST = digit_pictures()
X, Y = TRAIN.levels / LEVELS, TRAIN.labels
OTHERS, TRUTH = TEST.levels / LEVELS, TEST.labels


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def test_pictures_are_those_of_scikit_learn(data: Any) -> None:
    known = {image.tobytes(): int(label) for image, label in zip(*load_digits(return_X_y=True), strict=True)}
    for part, levels in (("train", TRAIN.levels), ("test", TEST.levels)):
        read = np.array([[int(character, 17) for character in text] for text in data[part]["pictures"]], float)
        assert np.array_equal(read, levels.reshape(len(levels), -1))
        assert [known[row.tobytes()] for row in read] == [int(label) for label in data[part]["labels"]]
    assert not set(data["train"]["pictures"]) & set(data["test"]["pictures"])


def test_accuracy_of_neighbours(data: Any) -> None:
    def accuracy(k: int, n: int, seen: Any = X, asked: Any = OTHERS) -> float:
        model = KNeighborsClassifier(k, algorithm="brute").fit(seen[:n].reshape(n, -1), Y[:n])
        return float(model.score(asked.reshape(len(asked), -1), TRUTH))

    # Of equally near pictures and equal votes, scikit-learn may choose others: a few of the 500 answers.
    for row in data["votes"]:
        assert row["accuracy"] == pytest.approx(accuracy(row["k"], len(X)), abs=0.006)
    for row in data["growth"]:
        assert row["accuracy"] == pytest.approx(accuracy(1, row["n"]), abs=0.006)
    canvases = on_canvas(X)
    for row in data["views"]:
        seen = accuracy(data["voters"], len(X), canvases, VIEWS[row["name"]](OTHERS))
        assert row["knn"] == pytest.approx(seen, abs=0.012)


def test_views() -> None:
    canvas = on_canvas(OTHERS)
    for name, moved in (("right2", (0, 0, 2)), ("down1", (0, 1, 0))):
        assert np.array_equal(VIEWS[name](OTHERS), shift(canvas, moved, order=0))
    inner = torch.from_numpy(canvas[:, None, 1:-2, 1:-2])
    enlarged = torch.nn.functional.interpolate(inner, (CANVAS, CANVAS), mode="bilinear", align_corners=False)
    assert np.allclose(crop(canvas), enlarged[:, 0].numpy())
    assert np.array_equal(VIEWS["mirrored"](OTHERS), np.flip(canvas, 2))
    assert np.array_equal(VIEWS["upside_down"](OTHERS), np.flip(canvas, 1))


def test_templates_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "_STEPS", 20)
    canvases = on_canvas(X)
    layer = torch.nn.Linear(CANVAS**2, 10).double()
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    decayed = [{"params": [layer.weight], "weight_decay": 1e-3}, {"params": [layer.bias]}]
    optimizer = torch.optim.SGD(decayed, lr=0.5, momentum=0.9)
    x, y = torch.from_numpy(canvases).flatten(1), torch.from_numpy(Y)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(layer(x), y).backward()
        optimizer.step()
    found = templates.learn_templates(canvases, Y)
    assert np.allclose(found.weights.reshape(10, -1), layer.weight.detach().numpy(), atol=1e-8)
    assert np.allclose(found.bias, layer.bias.detach().numpy(), atol=1e-8)


def test_scores_of_the_templates(data: Any) -> None:
    weights, bias = np.array(data["templates"]["weights"]), np.array(data["templates"]["bias"])
    for row in data["views"]:
        scores = np.einsum("nhw,chw->nc", VIEWS[row["name"]](OTHERS), weights) + bias
        assert row["templates"] == pytest.approx((scores.argmax(1) == TRUTH).mean(), abs=0.003)


def test_no_ink_in_the_margin_teaches_nothing(data: Any) -> None:
    weights = np.array(data["templates"]["weights"])
    inside = np.zeros((CANVAS, CANVAS), bool)
    inside[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    assert np.abs(weights[:, ~inside]).max() == 0 < np.abs(weights[:, inside]).max()


def test_nearest_average(data: Any) -> None:
    canvases, asked = on_canvas(X), on_canvas(OTHERS)
    means = np.stack([canvases[digit == Y].mean(0).ravel() for digit in range(10)])
    nearest = cdist(asked.reshape(len(asked), -1), means).argmin(1)
    assert np.array_equal(templates.class_averages(canvases, Y).classify(asked), nearest)
    assert data["views"][0]["averages"] == pytest.approx((nearest == TRUTH).mean())


def test_a_moved_digit_is_nearer_to_another(data: Any) -> None:
    picture, other = data["moved"]["picture"], data["moved"]["other"]
    canvas, moved = on_canvas(OTHERS), on_canvas(OTHERS, 0, 1)
    assert TRUTH[picture] != TRUTH[other]
    to_moved, to_other = cdist([canvas[picture].ravel()], [moved[picture].ravel(), canvas[other].ravel()])[0]
    assert to_moved > 1.2 * to_other


def test_two_pixels_make_them_guess_and_none_knows_an_upturned_digit(data: Any) -> None:
    views = {row["name"]: row for row in data["views"]}
    for method in ("knn", "templates"):
        assert max(views["right2"][method], views["down2"][method]) < 0.2
        assert views["upside_down"][method] < 0.75 * views["as_is"][method]


def test_weights_for_the_page_are_the_network() -> None:
    built = network.build_network().eval()
    assert sum(p.numel() for p in built.parameters()) == parameters(10)
    torch.manual_seed(1)
    for norm in (block[1] for block in built.modules() if isinstance(block, ConvBlock)):
        for tensor in (norm.running_mean, norm.weight, norm.bias):
            tensor.data.normal_()
        norm.running_var.uniform_(0.5, 2)
    sent = network._weights(built)
    maps = on_canvas(OTHERS)[:1] / sent["std"]
    for layer in sent["convolutions"]:
        sums = [
            bias + sum(correlate2d(m, kernel, "same") for m, kernel in zip(maps, kernels, strict=True))
            for kernels, bias in zip(layer["weights"], layer["bias"], strict=True)
        ]
        rectified = np.maximum(sums, 0)
        side = rectified.shape[1] // 2
        maps = rectified.reshape(-1, side, 2, side, 2).max((2, 4))
    scores = np.array(sent["linear"]["weights"]) @ maps.mean((1, 2)) + sent["linear"]["bias"]
    with torch.no_grad():
        expected = built(torch.from_numpy(on_canvas(OTHERS)[:1] / sent["std"]).float()[:, None])[0]
    assert np.allclose(scores, expected.numpy(), atol=1e-4)


def test_cost_grows_with_the_number_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SIZES", (1_000, 30_000))
    monkeypatch.setattr(cost, "_SECONDS", 0.02)
    cnn, few, many = LESSON.live["cost"]({})
    assert [row["n"] for row in (cnn, few, many)] == [0, 1_000, 30_000]
    assert many["bytes"] == 30 * few["bytes"] == 30_000 * (4 * CANVAS**2 + 8)  # numbers of 4 bytes, labels of 8
    assert many["ms"] > 3 * few["ms"]


@pytest.mark.slow
def test_what_the_page_says_of_the_cnn() -> None:
    rows = list(LESSON.live["network"]({}))
    assert rows[0]["loss"] > 2 > 0.3 > rows[rows[0]["epochs"]]["loss"]
    accuracy = {row["view"]: row["accuracy"] for row in rows if "view" in row}
    assert accuracy["as_is"] > 0.94
    assert min(accuracy["right2"], accuracy["down2"]) > 0.7  # where the others guess
    assert accuracy["right1"] < accuracy["right2"]
    assert accuracy["down1"] < accuracy["down2"]
    assert max(accuracy["upside_down"], accuracy["cropped"]) < 0.75 * accuracy["as_is"]
    assert set(rows[-1]) == {"network"}
