"""Numbers of the lesson `distillation`: the outputs of a trained network at several temperatures, and its students."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.teach.course.digit_pictures import LEVELS, digit_pictures
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.distillation.networks import (
    SmallNetwork,
    entropy,
    fresh_network,
    softened,
    train_small_network,
)

__all__ = ["LABELLED", "LESSON", "TEMPERATURES", "distillation_numbers", "teach_students"]

Floats = NDArray[np.float64]

TEMPERATURES = (1, 4, 20)
#: Numbers of pictures with labels that the students may have.
LABELLED = (20, 50, 200)

_CLASSES = 10
_HIDDEN, _STUDENT = 64, 12
_STEPS, _STUDENT_STEPS, _EVERY = 150, 300, 10
_SHOWN = 6  # pictures


def distillation_numbers() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    train, test = digit_pictures()
    x = _inputs(test.levels)
    teacher = _teacher()
    logits = teacher.logits(x)
    shown = _instructive(logits, test.labels)
    soft = {t: softened(logits, t) for t in TEMPERATURES}
    means = {t: np.stack([soft[t][test.labels == digit].mean(0) for digit in range(_CLASSES)]) for t in TEMPERATURES}
    return {
        "temperatures": TEMPERATURES,
        "pictures": test.levels[shown] / LEVELS,
        "labels": test.labels[shown],
        "logits": logits[shown],
        "entropy": [[float(entropy(soft[t][at])) for t in TEMPERATURES] for at in shown],
        "means": [means[t] for t in TEMPERATURES],
        "pair": _likest(means[TEMPERATURES[1]]),
        "gradients": _gradients(x, logits),
        "accuracy": float((logits.argmax(1) == test.labels).mean()),
        "training": len(train.labels),
        "test": len(test.labels),
        "teacher_parameters": teacher.parameters(),
        "student_parameters": fresh_network(x.shape[1], _STUDENT, 0).parameters(),
        "labelled": LABELLED,
    }


def teach_students(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train the same small network twice: on few labels, and on a teacher's answers for all pictures, no label at all.

    Args:
        asked: `temperature`, one of `TEMPERATURES`; `labelled`, one of `LABELLED`.

    Yields:
        The steps, and the accuracy on test pictures, "alone" and "taught", and "agreement" of the latter.

    Raises:
        OptionError: a value is another one.
    """
    temperature, labelled = asked.get("temperature", TEMPERATURES[1]), asked.get("labelled", LABELLED[1])
    for name, value, known in (("temperature", temperature, TEMPERATURES), ("labelled", labelled, LABELLED)):
        if type(value) is not int or value not in known:
            raise OptionError(f"{name} is {', '.join(map(str, known[:-1]))} or {known[-1]}, not {value!r}")
    train, test = digit_pictures()
    x, other = _inputs(train.levels), _inputs(test.levels)
    logits, aims = _teacher().logits(x), np.eye(_CLASSES)[train.labels]
    answers = _teacher().logits(other).argmax(1)
    fresh = fresh_network(x.shape[1], _STUDENT, 1)
    alone = train_small_network(fresh, x[:labelled], aims[:labelled], steps=_STUDENT_STEPS, every=_EVERY)
    taught = train_small_network(
        fresh, x, softened(logits, temperature), steps=_STUDENT_STEPS, temperature=temperature, every=_EVERY
    )
    for (step, one), (_, two) in zip(alone, taught, strict=True):
        first, second = (network.logits(other).argmax(1) for network in (one, two))
        yield {
            "step": step,
            "alone": float((first == test.labels).mean()),
            "taught": float((second == test.labels).mean()),
            "agreement": float((second == answers).mean()),
        }


@cache
def _teacher() -> SmallNetwork:
    """Return the network that has learned all training pictures with their labels."""
    train, _ = digit_pictures()
    x = _inputs(train.levels)
    fresh = fresh_network(x.shape[1], _HIDDEN, 0)
    ((_, trained),) = train_small_network(fresh, x, np.eye(_CLASSES)[train.labels], steps=_STEPS)
    return trained


def _inputs(levels: NDArray[np.int64]) -> Floats:
    """Return pictures `(n, 64)` from 0 to 1."""
    return levels.reshape(len(levels), -1) / LEVELS


def _instructive(logits: Floats, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the right answers with the likest second class, each of another label, the least sure first."""
    p = softened(logits, 1)
    second = np.sort(p, 1)[:, -2]
    right = p.argmax(1) == labels
    chosen: list[int] = []
    for at in np.argsort(-second * right, kind="stable").tolist():
        if right[at] and labels[at] not in labels[chosen] and len(chosen) < _SHOWN:
            chosen.append(at)
    return np.array(chosen)


def _likest(means: Floats) -> Mapping[str, Any]:
    """Return the two different classes of which one has most of the other's mean soft target."""
    others = means * (1 - np.eye(_CLASSES))
    label, like = np.unravel_index(int(others.argmax()), others.shape)
    return {"label": int(label), "like": int(like), "share": float(others[label, like])}


def _gradients(x: Floats, logits: Floats) -> list[Mapping[str, float]]:
    """Return, at each temperature, the mean size of the gradient of a student's logits, without T² and with it."""
    student = fresh_network(x.shape[1], _STUDENT, 1).logits(x)
    rows: list[Mapping[str, float]] = []
    for t in TEMPERATURES:
        error = (softened(student, t) - softened(logits, t)) / t
        size = float(np.linalg.norm(error, axis=1).mean())
        rows.append({"temperature": t, "plain": size, "scaled": t**2 * size})
    return rows


LESSON = Lesson(name="distillation", data=distillation_numbers, live={"teach": teach_students})
