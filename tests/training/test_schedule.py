"""Learning rates against the formulae of their papers, and what holds for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.training.schedule import SCHEDULES, Schedule

SHARES = st.floats(0, 1)
WARMUPS = st.floats(0.001, 0.9)
REFERENCES = {
    "onecycle": lambda p, rest: 1 - rest,
    "cosine": lambda p, rest: 0.5 * (1 + np.cos(np.pi * rest)),
    "step": lambda p, rest: np.select([p < 0.5, p < 0.75], [1.0, 0.1], 0.01),
    "constant": lambda p, rest: np.ones_like(p),
}


def test_every_schedule_has_a_reference() -> None:
    assert SCHEDULES.keys() == REFERENCES.keys()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.9])
@pytest.mark.parametrize(("first", "last"), [(0.0, 0.0), (0.2, 0.07)])
def test_values_are_those_of_the_formula(name: str, warmup: float, first: float, last: float) -> None:
    progress = np.linspace(0, 1, 1001)
    rest = np.clip((progress - warmup) / (1 - warmup), 0, 1)
    falling = REFERENCES[name](progress, rest)
    if name in ("onecycle", "cosine"):
        falling = last + (1 - last) * falling
    rising = np.interp(progress, [0, warmup], [first, 1]) if warmup else falling
    schedule = Schedule(name=name, warmup=warmup, first=first, last=last)
    expected = np.where(progress < warmup, rising, falling)
    np.testing.assert_allclose([schedule.factor(p) for p in progress], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@given(warmup=WARMUPS, a=SHARES, b=SHARES)
def test_rises_to_one_and_then_never_again(name: str, warmup: float, a: float, b: float) -> None:
    schedule = Schedule(name=name, warmup=warmup, milestones=(0.95,))
    low, high = sorted((a, b))
    assert 0 <= schedule.factor(a) <= 1
    assert schedule.factor(0) == 0
    assert schedule.factor(warmup) == 1
    if high < warmup:
        assert schedule.factor(low) <= schedule.factor(high)
    if low >= warmup:
        assert schedule.factor(low) >= schedule.factor(high)


@pytest.mark.parametrize(("name", "end"), [("onecycle", 0.0), ("cosine", 0.0), ("step", 0.01), ("constant", 1.0)])
@given(warmup=st.floats(0, 0.9))
def test_ends_where_it_should(name: str, end: float, warmup: float) -> None:
    assert Schedule(name=name, warmup=warmup).factor(1.0) == pytest.approx(end, abs=1e-12)


def test_the_papers_steps_of_section_4_2() -> None:
    """He et al. 2015: 0.1 for 32k iterations, 0.01 up to 48k, 0.001 up to 64k, to the step."""
    schedule = Schedule(name="step", warmup=0.0)
    rates = {i: 0.1 * schedule.factor((i + 0.5) / 64_000) for i in (0, 31_999, 32_000, 47_999, 48_000, 63_999)}
    expected = {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001, 63_999: 0.001}
    assert rates == pytest.approx(expected, rel=1e-12)


def test_milestones_divide_at_their_shares() -> None:
    schedule = Schedule(name="step", warmup=0.05, milestones=(1 / 3, 2 / 3, 8 / 9))
    levels = {round(schedule.factor(p), 6) for p in np.linspace(0.05, 1, 500)}
    assert levels == {1.0, 0.1, 0.01, 0.001}
