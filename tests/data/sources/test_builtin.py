"""The digits, and the pictures of X and O."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.index import scan
from hubel.data.sources import open_source
from hubel.data.sources.builtin import XO, draw_xo, xo

NUMBERS = np.arange(200)
PLAIN = XO(size=9, shift=0.0, scale=1.0, rotate=0.0, thicker=1.0, noise=0.0)


def test_digits() -> None:
    from sklearn.datasets import load_digits

    source = open_source("digits")
    index = scan(source)
    assert len(index) == 1797
    assert index.classes() == tuple("0123456789")
    data = load_digits()
    assert [index.labels[code] for code in index.label] == [str(digit) for digit in data.target]
    assert all(np.array_equal(source.read(i, ""), np.rint(data.images[i] * 15.9375)) for i in range(0, 1797, 50))


def test_even_numbers_are_x_and_odd_ones_o() -> None:
    cross, circle = draw_xo(PLAIN, np.array([0, 1]))
    assert cross[1:8, 1:8].tolist() == (255 * (np.eye(7) + np.eye(7)[::-1]).clip(0, 1)).tolist()
    assert circle[4, 4] == 0
    assert circle[4, 1] == circle[1, 4] == circle[4, 7] == circle[7, 4] == 255
    assert not cross[[0, -1]].any()
    listing = open_source("xo").listing()
    assert len(listing) == 1000
    assert [listing.labels[code] for code in listing.label[:4]] == ["X", "O", "X", "O"]


def test_pictures_depend_on_their_number_and_the_seed_alone() -> None:
    spec = XO(size=12, shift=0.2, scale=0.5, rotate=30, thicker=2, noise=0.1)
    whole = draw_xo(spec, NUMBERS)
    assert np.array_equal(draw_xo(spec, NUMBERS[::-7]), whole[::-7])
    assert not np.array_equal(draw_xo(replace(spec, seed=1), NUMBERS), whole)
    source = xo(replace(spec, count=600))
    assert all(np.array_equal(source.read(i, ""), draw_xo(spec, np.array([i]))[0]) for i in (0, 255, 256, 599))


def test_with_plain_settings_all_pictures_of_a_letter_are_equal() -> None:
    pictures = draw_xo(PLAIN, NUMBERS)
    assert len(np.unique(pictures[0::2], axis=0)) == len(np.unique(pictures[1::2], axis=0)) == 1


def test_shift_moves_the_centre() -> None:
    pictures = draw_xo(replace(PLAIN, size=32, shift=0.25), NUMBERS) > 0
    row, column = (np.mgrid[:32, :32] - 15.5)[:, None]
    centres = [(axis * pictures).sum((1, 2)) / pictures.sum((1, 2)) for axis in (row, column)]
    for centre in centres:
        assert 4 < np.abs(centre).max() <= 8.5
    assert abs(np.corrcoef(*centres)[0, 1]) < 0.3


def test_scale_shrinks() -> None:
    def widths(scale: float) -> np.ndarray:  # type: ignore[type-arg]
        return (draw_xo(replace(PLAIN, size=40, scale=scale), NUMBERS) > 0).any(1).sum(1)

    assert len(np.unique(widths(1.0))) <= 2
    assert widths(0.5).min() < 0.6 * widths(1.0).min()
    assert widths(0.5).max() <= widths(1.0).max()


def test_rotate_turns() -> None:
    crosses = draw_xo(replace(PLAIN, size=41, rotate=45), NUMBERS[::2]) > 0
    angle = np.array([np.abs(np.mgrid[:41, :41] - 20)[:, c].min(0).mean() for c in crosses])
    upright = np.abs(np.mgrid[:41, :41] - 20)[:, draw_xo(replace(PLAIN, size=41), NUMBERS[:1])[0] > 0].min(0).mean()
    assert angle.min() < upright / 3  # a plus: its pixels are near the axes
    assert angle.max() > upright * 0.9
    circles = draw_xo(replace(PLAIN, size=41, rotate=180), NUMBERS[1::2])
    assert np.abs(circles.mean((1, 2)) - circles[0].mean()).max() < 10


def test_thicker_strokes_have_more_pixels() -> None:
    amount = (draw_xo(replace(PLAIN, size=40, thicker=2.5), NUMBERS) > 0).mean((1, 2))
    usual = (draw_xo(replace(PLAIN, size=40), NUMBERS) > 0).mean((1, 2))
    assert (amount >= usual - 1e-9).all()
    assert amount.max() > 1.8 * usual.max()


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_noise_inverts_its_share(noise: float) -> None:
    inverted = draw_xo(replace(PLAIN, size=20, noise=noise), NUMBERS) != draw_xo(replace(PLAIN, size=20), NUMBERS)
    assert abs(inverted.mean() - noise) < 0.01
    assert np.abs(inverted.mean(0) - noise).max() < 0.18


@settings(max_examples=30, deadline=None)
@given(
    st.integers(5, 24),
    st.floats(0, 0.5),
    st.floats(0.05, 1),
    st.floats(0, 180),
    st.floats(1, 10),
    st.floats(0, 0.5),
    st.integers(-(2**63), 2**63 - 1),
)
def test_any_setting_draws(
    size: int, shift: float, scale: float, rotate: float, thicker: float, noise: float, seed: int
) -> None:
    pictures = draw_xo(XO(size, 4, shift, scale, rotate, thicker, noise, seed), np.arange(4))
    assert pictures.shape == (4, size, size)
    assert set(np.unique(pictures).tolist()) <= {0, 255}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 4),
        ("size", 2000),
        ("count", 1),
        ("shift", 0.6),
        ("shift", -0.1),
        ("scale", 0.0),
        ("scale", 1.1),
        ("rotate", 181),
        ("thicker", 0.5),
        ("noise", 0.51),
        ("noise", float("nan")),
    ],
)
def test_ranges(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=f"take a {name} from .* not {value}"):
        XO(**{name: value})  # type: ignore[arg-type]


def test_too_many_pixels() -> None:
    with pytest.raises(OptionError, match="10,000,000 images of 1024x1024 pixels are more than memory holds"):
        XO(size=1024, count=10_000_000)


def test_settings_by_name() -> None:
    assert XO.from_numbers({}) == XO()
    assert XO.from_numbers({"size": 12.0, "noise": 0.25, "seed": 3}) == XO(size=12, noise=0.25, seed=3)
    assert isinstance(XO.from_numbers({"size": 12.0}).size, int)
    with pytest.raises(UnknownNameError, match="did you mean noise"):
        XO.from_numbers({"noize": 1})
    for value in (9.5, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="a whole number for size"):
            XO.from_numbers({"size": value})
