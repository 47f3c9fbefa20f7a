import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hubel.core.errors import DataError
from hubel.inference.scores import softmax
from hubel.metrics import figures
from hubel.metrics.classification import measure_classification, measure_multilabel
from hubel.metrics.reconstruction import draw_reconstructions
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.figure_files import save_figure, to_png
from hubel.plots.learning_curves import learning_curves
from hubel.plots.style import MISSING, class_labels, drawable, ems

AWKWARD = [
    "猫の写真",
    "frog 🐸",
    "$x_1^2$ or $6",
    "a\nb\tc",
    "bad\udcff",
    "שלום",
    "",
    "x" * 300,
    "\\frac{",
    "é",
]


def predictions(c, n=300, seed=0):
    rng = np.random.default_rng(seed)
    labels, logits = rng.integers(0, c, n), rng.normal(0, 1, (n, c))
    logits[np.arange(n), labels] += 2
    return softmax(logits), labels


def drawn(figure):
    """The picture, after a look that it is one and that its text lies inside it."""
    with Image.open(io.BytesIO(to_png(figure))) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def overlapping(labels):
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return [(a, b) for a, b in itertools.pairwise(boxes) if a.overlaps(b)]


@pytest.mark.parametrize("c", [1, 2, 10, 60, pytest.param(250, marks=pytest.mark.slow)])
def test_confusion_matrix(c):
    confusion = np.diag(np.arange(c)) + (np.random.default_rng(0).random((c, c)) < 0.1)
    figure = figures.confusion_matrix(confusion, [f"class number {i}" for i in range(c)])
    picture = drawn(figure)
    assert 300 < min(picture.shape[:2]) <= max(picture.shape[:2]) < 4000
    axes = figure.axes[0]
    assert not overlapping(axes.get_yticklabels())
    assert len(axes.texts) == (np.count_nonzero((confusion > 0) | np.eye(c, dtype=bool)) if c <= 20 else 0)


def test_confusion_matrix_refuses_another_shape():
    with pytest.raises(DataError, match=r"shape \(3, 3\), not \(2, 2\)"):
        figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b", "c"])


def test_awkward_names_are_drawn_without_warnings():
    p, labels = predictions(len(AWKWARD))
    metrics = measure_classification(p, labels, AWKWARD)
    drawn(figures.confusion_matrix(metrics.confusion, AWKWARD))
    drawn(figures.class_bars(metrics))
    drawn(contact_sheet([np.zeros((4, 4), np.uint8)] * len(AWKWARD), AWKWARD, AWKWARD[0] + AWKWARD[-3]))


def test_characters_that_no_font_has_are_replaced_and_the_names_stay_apart():
    assert drawable("frog \U0010fffd") == f"frog {MISSING}"
    assert drawable("\U0010fffd$") == rf"{MISSING}\$"
    assert drawable("a\u202eb\u200bc\n d") == "abc d"
    assert drawable("e\u0301") == "é"
    assert class_labels(["cat", "\U0010fffd", "\U0010fffe"], limit=9) == [
        "cat",
        f"#1 {MISSING}",
        f"#2 {MISSING}",
    ]


@given(st.text(max_size=60), st.floats(2, 40))
@settings(max_examples=200, deadline=None)
def test_text_is_cut_in_the_middle_to_fit(text, limit):
    short = drawable(text, limit=limit).replace(r"\$", "$")
    whole = drawable(text).replace(r"\$", "$")
    assert ems(short) <= limit
    if short != whole:
        head, tail = short.split("…", 1) if short.count("…") == 1 else ("", "")
        assert whole.startswith(head)
        assert whole.endswith(tail)


FULL = {
    "epoch": 1,
    "train_loss": 2.0,
    "val_loss": 2.1,
    "val_top1": 0.5,
    "learning_rate": 0.1,
    "images_per_second": 9,
}


@pytest.mark.parametrize(
    "history",
    [
        [FULL],
        [FULL | {"epoch": i, "val_loss": 2 / i} for i in range(1, 60)],
        [{"epoch": 1, "train_loss": 1.0}, {"epoch": 2}],
        [{"val_loss": 0.0, "images_per_second": 0.0}],
        [{"epoch": i, "train_loss": 2 / i, "val_loss": 2 / i, "learning_rate": 0.1} for i in (1, 2)],
        [FULL | {"val_loss": float("nan"), "val_top1": float("nan")}, FULL | {"train_loss": float("inf")}],
        [{}],
    ],
    ids=["one epoch", "many", "holes", "zeros", "no accuracy", "not finite", "nothing"],
)
def test_learning_curves(history):
    drawn(learning_curves(history))


def test_learning_curves_mark_the_best_epoch():
    history = [{"epoch": e, "val_top1": top1, "val_loss": 1 / e} for e, top1 in [(1, 0.5), (2, 0.9), (3, 0.8)]]
    loss, accuracy = learning_curves(history).axes
    assert accuracy.get_title(loc="right") == "best: 90.0% in epoch 2"
    assert loss.get_title(loc="right") == ""
    for row in history:
        del row["val_top1"]
    (loss,) = learning_curves(history).axes
    assert loss.get_title(loc="right") == "lowest: 0.333 in epoch 3"
    with pytest.raises(DataError, match="at least one epoch"):
        learning_curves([])


@pytest.mark.parametrize(("c", "n"), [(2, 1), (2, 100), (10, 500)])
def test_reliability(c, n):
    p, labels = predictions(c, n)
    figure = figures.reliability(p, labels)
    drawn(figure)
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == n
    ece = measure_classification(p, labels, [str(i) for i in range(c)]).ece
    assert figure.axes[0].get_title(loc="right") == f"calibration error {100 * ece:.1f}%"


@pytest.mark.parametrize("c", [2, 10, pytest.param(130, marks=pytest.mark.slow)])
def test_class_bars(c):
    p, labels = predictions(c, 10 * c)
    labels[labels == 0] = 1
    metrics = measure_classification(p, labels, [f"class {i}" for i in range(c)])
    figure = figures.class_bars(metrics)
    drawn(figure)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == sorted(widths, reverse=True)
    assert len(widths) == min(100, sum(one.support > 0 for one in metrics.per_class))
    assert widths[-1] == 100 * min(one.f1 for one in metrics.per_class if one.support)
    assert not overlapping(figure.axes[0].get_yticklabels())


def test_class_bars_of_many_labels():
    drawn(figures.class_bars(measure_multilabel([[0.9, 0.1], [0.2, 0.7]], [[1, 0], [0, 1]], ["a", "b"])))


def test_contact_sheet_shows_the_pixels():
    red = np.zeros((3, 2, 3), np.uint8)
    red[..., 0] = 255
    grey = np.full((500, 400), 128, np.uint8)
    picture = drawn(contact_sheet([red, grey, grey[:5, :5, None]], ["red", "grey\n2\n3\n4", ""], "Three"))
    for colour in ((255, 0, 0), (128, 128, 128)):
        assert (picture == colour).all(axis=2).mean() > 0.05


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("shape", [(28, 28, 1), (20, 30, 3)])
def test_reconstructions_show_the_pixels(k, shape):
    white, black = np.full(shape, 255, np.uint8), np.zeros(shape, np.uint8)
    figure = draw_reconstructions([white] * k, [black] * k, AWKWARD[:k])
    picture = drawn(figure)
    assert (picture == 0).all(axis=2).mean() > 0.1
    assert len(figure.axes) == 2 * k


@pytest.mark.parametrize(
    ("images", "captions", "says"),
    [
        ([], [], "not 0 and 0"),
        ([np.zeros((2, 2), np.uint8)], [], "not 1 and 0"),
        ([np.zeros((2, 2))], ["a"], "image 0 must be uint8"),
        ([np.zeros((2, 2, 4), np.uint8)], ["a"], r"not uint8 \(2, 2, 4\)"),
        ([np.zeros((0, 2), np.uint8)], ["a"], r"not uint8 \(0, 2\)"),
        ([np.zeros(3, np.uint8)], ["a"], r"not uint8 \(3,\)"),
    ],
)
def test_contact_sheet_names_wrong_input(images, captions, says):
    with pytest.raises(DataError, match=says):
        contact_sheet(images, captions, "title")


def test_files_are_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        save_figure(figures.reliability(*predictions(3)), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert set(picture.info) == {"dpi", "Software"}
        assert round(picture.info["dpi"][0]) == 150


def test_nothing_heavy_loads_before_it_is_needed():
    code = (
        "import sys, hubel.metrics.classification, hubel.metrics.figures, hubel.evaluation.report;"
        "print([m for m in ('torch', 'matplotlib', 'jinja2', 'scipy', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_pyplot_stays_out():
    code = (
        "import sys; from hubel.plots.figure_files import to_png;"
        "from hubel.plots.learning_curves import learning_curves;"
        "to_png(learning_curves([{'val_loss': 1.0}]));"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
