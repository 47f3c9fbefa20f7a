"""The lesson on gradient descent in a browser: do what it asks, and read the right numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Browser
from lesson_page import at, becomes, choose, keys, open_exported, press, set_input, value, values
from served_lesson import LessonPage

from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.training.lesson import LESSON

DATA = lesson_data(LESSON)
X, T = np.array(DATA["x"]), np.array(DATA["targets"])


def loss(w: Any, x: Any = X) -> float:
    return float(((x @ w - T) ** 2).mean() / 2)


def walk(w: Any, steps: int, rate: float, x: Any = X, batch: int = 0) -> list[Any]:
    """Return the weights before the first and after each step."""
    path = [np.array(w, float)]
    for step in range(steps):
        rows = [DATA["orders"][(step * batch + i) % len(DATA["orders"])] for i in range(batch)] or slice(None)
        error = x[rows] @ path[-1] - T[rows]
        path.append(path[-1] - rate * x[rows].T @ error / len(error))
    return path


def steps_until(path: list[Any], x: Any = X) -> int:
    """Count the steps until the loss stays within 1 % of its first excess over the lowest."""
    losses = np.array([loss(w, x) for w in path])
    lowest = loss(np.linalg.lstsq(x, T, rcond=None)[0], x)
    return int(np.flatnonzero(losses - lowest > 0.01 * (losses[0] - lowest))[-1]) + 1


def torch_path(optimizer: str, rate: float, steps: int, start: tuple[float, float]) -> list[Any]:
    """Return the path that torch's optimizer takes."""
    kinds: dict[str, Any] = {
        "sgd": torch.optim.SGD,
        "momentum": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9),
        "adam": torch.optim.Adam,
        "adadelta": lambda p, lr: torch.optim.Adadelta(p, lr, rho=0.95, eps=1e-6),
    }
    w = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    stepper = kinds[optimizer]([w], lr=rate)
    path = [np.array(start)]
    for _ in range(steps):
        w.grad = torch.from_numpy(X.T @ (X @ path[-1] - T) / len(X))
        stepper.step()
        path.append(w.detach().numpy().copy())
    return path


@pytest.mark.parametrize("lang", ["en", pytest.param("ko", marks=pytest.mark.slow)])
def test_page(page: Browser, tmp_path: Path, lang: str) -> None:
    open_exported(page, "training", lang, tmp_path)

    press(page, "hand-step")
    press(page, "hand-ten")
    path = walk([0, 0], 11, 1.0)
    becomes(page, lambda: [value(page, "hand-steps"), value(page, "hand-loss")], [11, loss(path[-1])])
    gradient = path[-1] - walk(path[-1], 1, 1.0)[-1]
    weights = np.stack([path[-1], gradient, path[-1] - gradient], 1)
    becomes(page, lambda: values(page, "hand-weights"), weights.ravel(), rtol=1e-3)

    steep, flat = np.linalg.eigvalsh(X.T @ X / len(X))[::-1]
    assert value(page, "rate-limit") == pytest.approx(2 / steep, rel=1e-4)
    choose(page, "predict-rate", 1)
    page.wait(f"{at('predict-rate')}.querySelectorAll('.verdict.right').length === 1")
    for position, state in ((0, "small"), (18, "right"), (22, "zigzag"), (24, "large")):
        set_input(page, "rate-rate", position)
        page.wait(f"{at('rate-state')}.dataset.value === '{state}'")
    keys(page, '[data-id="rate-surface"] svg', "ArrowRight", "ArrowUp")
    page.wait(f"{at('rate-surface')}.dataset.value === '0.25 0.25'")

    hazy = 0.6 + 0.4 * X
    set_input(page, "mean-white", 0.6)
    for x in (hazy, hazy - hazy.mean(0)):
        high, low = np.linalg.eigvalsh(x.T @ x / len(x))[::-1]
        rate = 0.9 * 2 / high
        steps = steps_until(walk([0, 0], 600, rate, x), x)
        lowest = loss(np.linalg.lstsq(x, T, rcond=None)[0], x)
        becomes(page, lambda: values(page, "mean-table"), [high, low, high / low, rate, steps, lowest], rtol=1e-3)
        choose(page, "mean-subtract")

    choose(page, "batch-size", 1)
    path = walk([0, 0], 200, 0.5, batch=8)
    lowest = loss(np.linalg.lstsq(X, T, rcond=None)[0])
    wander = np.mean([loss(w) - lowest for w in path[100:]])
    becomes(page, lambda: values(page, "batch-table"), [1600, 1600 / len(X), loss(path[-1]), wander], rtol=2e-3)

    found = [steps_until(torch_path(name, rate, 1000, (-1, 0.5))) for name, rate in RATES.items()]
    becomes(page, lambda: values(page, "optimizer-table")[1::2], found)

    set_input(page, "initial-gain", 12)  # 1.6 times He's
    gain = value(page, "initial-sigma") / np.sqrt(2 / DATA["units"])
    assert gain > 1.5
    assert value(page, "initial-last") == pytest.approx(DATA["sizes"][-1] * gain ** DATA["layers"], rel=1e-3)

    set_input(page, "decay-lambda", 0.5)
    ridge = np.linalg.solve(X.T @ X / len(X) + 0.5 * np.eye(2), T @ X / len(X))
    becomes(page, lambda: values(page, "decay-table")[:2], [np.linalg.norm(ridge), loss(ridge)], rtol=1e-3)

    press(page, "dropout-many")
    page.wait(f"{at('dropout-average')} !== null")
    kept = values(page, "dropout-result")
    passed = [2 * v for v in (0.4, 1.2, 0, 0.7, 2.1, 0.3, 1.5, 0.8)]
    assert all(a == 0 or a == pytest.approx(b) for a, b in zip(kept, passed, strict=True))
    deviation = np.sqrt(sum(v**2 for v in passed) / 4 / 1000)
    assert value(page, "dropout-average") == pytest.approx(sum(passed) / 2, abs=6 * deviation)

    assert value(page, "best-rate") == pytest.approx(2 / (steep + flat), rel=1e-4)
    assert value(page, "half-life") == pytest.approx(np.log(2) / (0.01 * 0.0005))


RATES = {"sgd": 1.0, "momentum": 1.0, "adam": 0.2, "adadelta": 1.0}  # as the page has them at first


@pytest.mark.slow
def test_live(served: LessonPage) -> None:
    served.open("training")
    page = served.tab
    page.wait(f"{at('rate-live-start')} !== null")
    press(page, "rate-live-start")
    page.wait(f"{at('rate-live-table')} !== null", 120)
    second = f"{at('rate-live-table')}.querySelectorAll('tbody tr td:nth-child(2)')"
    slow, right, _ = page.run(f"[...{second}].map(e => e.innerText)")
    assert float(right) < 0.5 < 2 < float(slow)
