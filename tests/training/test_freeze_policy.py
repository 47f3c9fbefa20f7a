"""Every row of the policy's table, on both sides of its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.training.freeze_policy import Evidence, decide

STAGES = ("none", "stage1", "stage2", "stage3", "stage4")
SHOWN = Evidence(images=400, classes=10, probe=0.9, below=0.8, last_stages="stage3", boundaries=(*STAGES, "all"))


@pytest.mark.parametrize(
    ("changes", "freeze", "words"),
    [
        ({}, "stage3", "all up to stage3 stays frozen, and the stages above are tuned with the head"),
        ({"probe": 0.995}, "all", "nothing is left to be won"),
        ({"probe": 0.9949}, "stage3", "tuned with the head"),
        ({"images": 79}, "all", "too few to tune more than the head"),
        ({"images": 80}, "stage3", "tuned with the head"),
        ({"images": 79, "below": 0.9}, "all", "too few"),
        ({"images": 79, "below": 0.91}, "stage3", "tuned with the head"),
        ({"images": 99_999}, "stage3", "tuned with the head"),
        ({"images": 100_000}, "none", "enough images for all weights to learn"),
        ({"images": 100_000, "probe": 1.0}, "all", "nothing is left to be won"),
        ({"images": 100_000, "classes": 40_000}, "all", "too few"),
        ({"boundaries": STAGES, "probe": 0.0, "below": 0.0, "images": 79}, "stage3", "tuned with the head"),
        ({"boundaries": STAGES, "images": 100_000}, "none", "enough images"),
        ({"last_stages": "none"}, "none", "all weights learn"),
    ],
)
def test_the_rows_of_the_table(changes: dict[str, object], freeze: str, words: str) -> None:
    decision = decide(replace(SHOWN, **changes))
    assert decision.freeze == freeze
    assert words in decision.reason
    assert (decision.epochs == 0) == (freeze == "all")


@pytest.mark.parametrize(
    ("images", "epochs", "views"),
    [(80, 40, 8), (180, 40, 8), (240, 30, 8), (500, 14, 8), (1000, 7, 4), (1800, 4, 2), (2000, 4, 2), (99_999, 4, 2)],
)
def test_small_sets_are_seen_more_often_in_more_views(images: int, epochs: int, views: int) -> None:
    decision = decide(replace(SHOWN, images=images))
    assert (decision.freeze, decision.epochs, decision.views) == ("stage3", epochs, views)


def test_views_where_only_the_head_learns_or_nothing_is_frozen() -> None:
    assert decide(replace(SHOWN, probe=1.0)).views == 1
    assert decide(replace(SHOWN, images=100_000)).views == 1


@pytest.mark.parametrize("changes", [{}, {"probe": 1.0}, {"images": 5}, {"images": 10**6}])
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("all", "all but the last layer stays frozen, as you asked"),
        ("none", "all weights learn, as you asked"),
        ("stage1", "all up to stage1 stays frozen, and the stages above are tuned with the head, as you asked"),
    ],
)
def test_who_asks_is_given(changes: dict[str, object], asked: str, words: str) -> None:
    decision = decide(replace(SHOWN, **changes), asked)
    assert decision.freeze == asked
    assert decision.reason.endswith(words)
    assert (decision.epochs == 0) == (asked == "all")
    assert decision.epochs == 0 or 4 <= decision.epochs <= 40


@pytest.mark.parametrize("asked", ["auto", "stage2"])
def test_the_sentence_has_the_numbers(asked: str) -> None:
    reason = decide(replace(SHOWN, images=12_345, probe=0.9234, below=0.4567), asked).reason
    assert reason.startswith(
        "12,345 images in 10 classes; a linear head on the features is right for 92.3% in cross-validation, "
        "on the maps below the last stages for 45.7%: "
    )
    assert "\n" not in reason


@given(
    images=st.integers(0, 10**7),
    classes=st.integers(0, 10**5),
    probe=st.floats(0, 1),
    below=st.floats(0, 1),
    last=st.sampled_from(STAGES),
    linear=st.booleans(),
    asked=st.sampled_from(["auto", *STAGES]),
)
def test_every_decision_can_be_carried_out(
    images: int, classes: int, probe: float, below: float, last: str, linear: bool, asked: str
) -> None:
    known = (*STAGES, "all") if linear else STAGES
    decision = decide(Evidence(images, classes, probe, below, last, known), asked)
    assert decision.freeze in known
    assert 0 <= decision.epochs <= 40
    assert 1 <= decision.views <= 8
