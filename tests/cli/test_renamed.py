"""Names of the release before are understood, with a hint on standard error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hubel.cli.renamed import with_new_names

Call = Callable[..., Any]


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("--fit pad", "--resize pad", "--fit is --resize now"),
        ("--fit=pad", "--resize=pad", "--fit is --resize now"),
        ("--lr-decay 0.5", "--layer-decay 0.5", "--lr-decay is --layer-decay now"),
        ("--gradual=0.1", "--gradual-unfreeze=0.1", "--gradual is --gradual-unfreeze now"),
        ("--loss softmax", "--loss cross_entropy", "--loss softmax is --loss cross_entropy now"),
        ("--multi-label", "--task multi_label", "--multi-label is --task multi_label now"),
        ("--class-weights", "--balance inverse", "--class-weights is --balance inverse now"),
        ("--no-class-weights", "--balance none", "--no-class-weights is --balance none now"),
        ("--loss=sigmoid", "--loss=bce", "--loss sigmoid is --loss bce now"),
    ],
)
def test_old_names(old: str, new: str, hint: str) -> None:
    tokens, hints = with_new_names(["train", "digits", *old.split(), "--seed", "3"])
    assert tokens == ["train", "digits", *new.split(), "--seed", "3"]
    assert hints == [f"{hint}; the old name goes away in 0.3"]


def test_several_at_once() -> None:
    tokens, hints = with_new_names(["train", "x", "--fit", "crop", "--loss", "softmax", "--gradual", "0"])
    assert tokens == ["train", "x", "--resize", "crop", "--loss", "cross_entropy", "--gradual-unfreeze", "0"]
    assert len(hints) == 3


@pytest.mark.parametrize(
    "words",
    [
        "train digits --resize pad --loss mse --layer-decay 0.5",
        "train softmax --model sigmoid --balance softmax",
        "train digits --loss bce sigmoid",
        "predict model --top 3 -- --fit --loss softmax",
        "predict model fit gradual",
        "",
    ],
)
def test_other_words_stay(words: str) -> None:
    assert with_new_names(words.split()) == (words.split(), [])


def test_the_hint_is_one_line_on_standard_error(hubel: Call) -> None:
    answer = hubel("train", "nowhere", "--fit", "pad")
    first, second = answer.err.splitlines()
    assert first == "hubel: --fit is --resize now; the old name goes away in 0.3"
    assert "nowhere" in second
    assert (answer.code, answer.out) == (2, "")
