"""Learning rates against the formulae of their papers, and what holds for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.training.schedule import SCHEDULES, factor

SHARES = st.floats(0, 1)
WARMUPS = st.floats(0.001, 0.9)
REFERENCES = {
    "onecycle": lambda p: 1 - p,
    "cosine": lambda p: 0.5 * (1 + np.cos(np.pi * p)),
    "step": lambda p: np.select([p < 0.5, p < 0.75], [1.0, 0.1], 0.01),
    "constant": lambda p: np.ones_like(p),
}


def test_every_schedule_has_a_reference() -> None:
    assert SCHEDULES.keys() == REFERENCES.keys()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.9])
def test_values_are_those_of_the_formula(name: str, warmup: float) -> None:
    progress = np.linspace(0, 1, 1001)
    rest = np.clip((progress - warmup) / (1 - warmup), 0, 1)
    rising = progress / warmup if warmup else progress
    expected = np.where(progress < warmup, rising, REFERENCES[name](rest))
    np.testing.assert_allclose([factor(name, p, warmup) for p in progress], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@given(warmup=WARMUPS, a=SHARES, b=SHARES)
def test_rises_to_one_and_then_never_again(name: str, warmup: float, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= factor(name, a, warmup) <= 1
    assert factor(name, 0, warmup) == 0
    assert factor(name, warmup, warmup) == 1
    if high < warmup:
        assert factor(name, low, warmup) <= factor(name, high, warmup)
    if low >= warmup:
        assert factor(name, low, warmup) >= factor(name, high, warmup)


@pytest.mark.parametrize(("name", "end"), [("onecycle", 0.0), ("cosine", 0.0), ("step", 0.01), ("constant", 1.0)])
@given(warmup=st.floats(0, 0.9))
def test_ends_where_it_should(name: str, end: float, warmup: float) -> None:
    assert factor(name, 1.0, warmup) == pytest.approx(end, abs=1e-12)


def test_step_has_three_levels() -> None:
    levels = {round(factor("step", p, 0.0), 6) for p in np.linspace(0, 1, 500)}
    assert levels == {1.0, 0.1, 0.01}
