"""Numbers of the lesson on X and O against loops, its gradient against autograd, its training against its claims."""

from __future__ import annotations

import dataclasses
import math
from itertools import islice

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.xo.lesson import LESSON, train_xo
from hubel.teach.course.lessons.xo.network import (
    Weights,
    cross_entropies,
    gradient,
    logistic,
    match,
    moved,
    pool,
    trace_forward,
)
from hubel.teach.course.lessons.xo.training import (
    DRAWINGS,
    RATE,
    chosen_weights,
    confusions,
    drawn_weights,
    gradient_step,
    references,
    train_drawings,
    xo_images,
)


def random_weights(seed: int) -> Weights:
    generator = np.random.default_rng(seed)
    shapes = ((3, 1, 3, 3), (2, 3, 3, 3), (2, 8), (2,))
    return Weights(*(generator.normal(size=shape) for shape in shapes))


def in_torch(weights: Weights, images: np.ndarray, targets: np.ndarray) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the weights and the loss of the same network in torch operations."""
    by_name = {f.name: torch.tensor(getattr(weights, f.name), requires_grad=True) for f in dataclasses.fields(Weights)}
    patterns, arrangements, output, bias = by_name.values()
    # Divided last, so that whole numbers stay exact and equal ones tie.
    x = F.relu(F.conv2d(torch.tensor(images)[:, None], patterns) / 9)
    x = F.relu(F.conv2d(F.max_pool2d(x, 2, ceil_mode=True), arrangements) / 9)
    loss = F.binary_cross_entropy_with_logits(
        F.linear(x.flatten(1), output, bias), torch.tensor(targets), reduction="none"
    )
    return by_name, loss.sum(1).mean()


@pytest.mark.parametrize("weights", [chosen_weights(), *map(random_weights, range(3)), drawn_weights(7)])
@pytest.mark.parametrize("count", [1, 20])
def test_gradient_is_autograds(weights: Weights, count: int) -> None:
    images, targets = (rows[:count] for rows in xo_images(DRAWINGS))
    by_name, loss = in_torch(weights, images, targets)
    loss.backward()
    trace = trace_forward(weights, images)
    assert cross_entropies(trace.outputs, targets).sum(1).mean() == pytest.approx(loss.item(), rel=1e-12)
    by_hand = gradient(weights, trace, targets)
    for name, parameter in by_name.items():
        assert parameter.grad is not None
        np.testing.assert_allclose(getattr(by_hand, name), parameter.grad.numpy(), atol=1e-13, err_msg=name)


def test_match_is_a_mean_of_products() -> None:
    generator = np.random.default_rng(0)
    maps, patterns = generator.normal(size=(2, 3, 6, 7)), generator.normal(size=(4, 3, 3, 3))
    expected = np.zeros((2, 4, 4, 5))
    for n, k, y, x in np.ndindex(expected.shape):
        expected[n, k, y, x] = (maps[n, :, y : y + 3, x : x + 3] * patterns[k]).sum() / 9
    np.testing.assert_allclose(match(maps, patterns), expected, atol=1e-14)


def test_pool_takes_the_largest() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    pooled = pool(maps)
    assert pooled.shape == (2, 3, 3, 4)
    for n, c, y, x in np.ndindex(pooled.shape):
        assert pooled[n, c, y, x] == maps[n, c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].max()


def test_moved() -> None:
    image = np.array([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    assert moved(image, 0, 0).tolist() == image.tolist()
    assert moved(image, 0, 1).tolist() == [[-1, 1, -1], [-1, -1, 1], [-1, -1, -1]]
    assert moved(image, 1, 0).tolist() == [[-1, -1, -1], [1, -1, -1], [-1, 1, -1]]
    assert moved(image, -1, -1).tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, -1]]


def test_references_are_the_classic_pictures() -> None:
    x, o = references()
    assert ["".join("#" if pixel > 0 else "." for pixel in row) for row in x] == [
        ".........",
        ".#.....#.",
        "..#...#..",
        "...#.#...",
        "....#....",
        "...#.#...",
        "..#...#..",
        ".#.....#.",
        ".........",
    ]
    assert set(np.unique(o)) == {-1, 1}
    assert np.array_equal(o, o.T)
    # The map that the classic explanation prints (Rohrer 2016), whose 0.77 and 0.55 are 7/9 and 5/9.
    first = np.rint(9 * trace_forward(chosen_weights(), x[None]).matches[0, 0]).astype(int).tolist()
    assert first == [
        [7, -1, 1, 3, 5, -1, 3],
        [-1, 9, -1, 3, -1, 1, -1],
        [1, -1, 9, -3, 1, -1, 5],
        [3, 3, -3, 5, -3, 3, 3],
        [5, -1, 1, -3, 9, -1, 1],
        [-1, 1, -1, 3, -1, 9, -1],
        [3, -1, 5, 3, 1, -1, 7],
    ]


def test_what_the_page_says_of_its_numbers() -> None:
    x, o = references()
    shifted, other = float((moved(x, 0, 1) * x).mean()), float((o * x).mean())
    assert abs(shifted - other) < 0.1  # "there is hardly a difference"
    assert (moved(o, 1, 1) * x).mean() > (moved(o, 1, 1) * o).mean()  # "it is an X"
    falling = chosen_weights().patterns[:1]
    on_x, on_o = (np.rint(9 * match(image[None, None], falling)) for image in (x, o))
    assert (on_x == 9).sum() == 4
    assert (on_o.max(), (on_o == 5).sum()) == (5, 4)  # nowhere perfectly
    for image, letter in ((x, 0), (o, 1)):
        arranged = trace_forward(chosen_weights(), image[None]).arranged[0]
        assert arranged[letter].max() > 0.1 > arranged[1 - letter].max()


def test_one_step_goes_downhill() -> None:
    x, _ = references()
    weights = chosen_weights()
    step = gradient_step(weights, x, np.array([[1.0, 0.0]]))
    error = step.before.outputs[0] - [1, 0]
    np.testing.assert_allclose(step.gradient.output, np.outer(error, step.before.flat[0]))
    np.testing.assert_allclose(step.weights.output, weights.output - step.gradient.output)
    p = logistic(step.before.flat[0] @ weights.output.T)
    np.testing.assert_allclose(step.losses, [-np.log(p[0]), -np.log(1 - p[1])])
    assert step.losses_after.sum() < 0.8 * step.losses.sum()
    # The rounded numbers add up, so that nobody stumbles over a sum.
    first, second, total = (round(float(value), 2) for value in (*step.losses, step.losses.sum()))
    assert round(first + second, 2) == total


def test_training_classifies_all_drawings() -> None:
    *_, last = train_drawings(chosen_weights(), DRAWINGS, RATE)
    images, targets = xo_images(DRAWINGS)
    says = trace_forward(last.weights, images).outputs.argmax(1)
    assert last.right == int((says == targets.argmax(1)).sum()) == DRAWINGS.count
    found = confusions(last.weights, DRAWINGS)
    new, new_targets = xo_images(dataclasses.replace(DRAWINGS, seed=1))
    says = trace_forward(last.weights, new).outputs.argmax(1)
    right = [int(((says == letter) & (new_targets.argmax(1) == letter)).sum()) for letter in (0, 1)]
    assert np.diag(found["drawn"]["network"]).tolist() == right
    accuracy = {key: {m: np.trace(c) / c.sum() for m, c in by.items()} for key, by in found.items()}
    assert accuracy["drawn"]["network"] > 0.99
    assert accuracy["moved"]["network"] == 1
    assert max(accuracy[key]["pixels"] for key in accuracy) < 0.7
    assert lesson_data(LESSON)["trained"]["steps"] == last.step


def test_a_dead_network_stays_at_twice_log_2() -> None:
    """The loss that the page names for a network that knows nothing, with random patterns that never learn."""
    *_, last = islice(train_drawings(drawn_weights(2), DRAWINGS, RATE), 101)
    assert last.right == DRAWINGS.count / 2
    assert last.loss == pytest.approx(2 * math.log(2), abs=0.01)


def test_live_training_checks_what_it_is_asked() -> None:
    events = train_xo({"rate": 4})
    first, second = next(events), next(events)
    assert np.shape(first["samples"]) == (12, 9, 9)
    assert second["step"] == 0
    assert 0 < second["right"] < 1000
    for asked, message in (
        ({"rate": "fast"}, "rate is a number from 0.01 to 10, not 'fast'"),
        ({"rate": float("nan")}, "rate is a number"),
        ({"noise": 0.5}, "noise is a number from 0 to 0.1, not 0.5"),
        ({"start": "best"}, "start is one of chosen, random, not 'best'"),
        ({"start": "random", "seed": True}, "seed is a number"),
    ):
        with pytest.raises(OptionError, match=message):
            next(train_xo(asked))
