"""Every row of the policy's table, on both sides of its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.training.freeze_policy import Evidence, decide_freezing, tuning_epochs, views_for

EVIDENCE = Evidence(images=400, classes=10, probe=0.9, probe_below=0.8, last_stages="stage3")
OPEN = ("all", "stage3", "none")


@pytest.mark.parametrize(
    ("changes", "boundary", "words"),
    [
        ({}, "stage3", "all up to stage3 stays frozen, and the stages above are tuned with the head"),
        ({"probe": 0.995}, "all", "nothing is left to be won"),
        ({"probe": 0.9949}, "stage3", "tuned with the head"),
        ({"images": 79}, "all", "too few to tune more than the head"),
        ({"images": 80}, "stage3", "tuned with the head"),
        ({"images": 79, "probe_below": 0.9}, "all", "too few"),
        ({"images": 79, "probe_below": 0.91}, "stage3", "tuned with the head"),
        ({"images": 99_999}, "stage3", "tuned with the head"),
        ({"images": 100_000}, "none", "enough images to train all weights"),
        ({"images": 100_000, "probe": 1.0}, "all", "nothing is left to be won"),
        ({"images": 100_000, "classes": 40_000}, "all", "too few"),
        ({"probe": None, "probe_below": None, "images": 79}, "all", "too few"),
        ({"probe": None, "images": 100_000}, "none", "enough images"),
        ({"last_stages": "none"}, "none", "all weights train"),
    ],
)
def test_the_rows_of_the_table(changes: dict[str, object], boundary: str, words: str) -> None:
    decision = decide_freezing(replace(EVIDENCE, **changes), OPEN)
    assert decision.boundary == boundary
    assert words in decision.reason


def test_without_a_linear_head_more_is_tuned() -> None:
    evidence = replace(EVIDENCE, images=79, probe=None, probe_below=None)
    assert decide_freezing(evidence, ("stage3", "none")).boundary == "stage3"


@pytest.mark.parametrize(
    ("images", "epochs", "views"),
    [(80, 40, 8), (180, 40, 8), (240, 30, 8), (500, 14, 8), (1000, 7, 4), (1800, 4, 2), (2000, 4, 2), (99_999, 4, 2)],
)
def test_small_sets_are_trained_on_more_often_in_more_views(images: int, epochs: int, views: int) -> None:
    assert (tuning_epochs(images), views_for(images)) == (epochs, views)


@pytest.mark.parametrize("changes", [{}, {"probe": 1.0}, {"images": 5}, {"images": 10**6}])
@pytest.mark.parametrize(
    ("requested", "words"),
    [
        ("all", "all but the last layer stays frozen, as requested"),
        ("none", "all weights train, as requested"),
        ("stage1", "all up to stage1 stays frozen, and the stages above are tuned with the head, as requested"),
    ],
)
def test_a_request_is_granted(changes: dict[str, object], requested: str, words: str) -> None:
    decision = decide_freezing(replace(EVIDENCE, **changes), (requested,))
    assert decision.boundary == requested
    assert decision.reason.endswith(words)


@pytest.mark.parametrize("boundaries", [OPEN, ("stage2",)])
def test_the_sentence_has_the_numbers(boundaries: tuple[str, ...]) -> None:
    reason = decide_freezing(replace(EVIDENCE, images=12_345, probe=0.9234, probe_below=0.4567), boundaries).reason
    assert reason.startswith(
        "12,345 images in 10 classes; cross-validated score of a linear head on the features 92.3%, "
        "on the maps below the last stages 45.7%: "
    )
    assert "\n" not in reason


@given(
    images=st.integers(0, 10**7),
    classes=st.integers(0, 10**5),
    probe=st.none() | st.floats(0, 1),
    below=st.none() | st.floats(0, 1),
    last=st.sampled_from(["none", "stage1", "stage3"]),
    requested=st.sampled_from([None, "none", "stage2"]),
)
def test_every_decision_can_be_carried_out(
    images: int, classes: int, probe: float | None, below: float | None, last: str, requested: str | None
) -> None:
    linear = ("all",) if probe is not None else ()
    boundaries = (requested,) if requested else tuple(dict.fromkeys((*linear, last, "none")))
    evidence = Evidence(images=images, classes=classes, probe=probe, probe_below=below, last_stages=last)
    assert decide_freezing(evidence, boundaries).boundary in boundaries
    assert 4 <= tuning_epochs(images) <= 40
    assert 2 <= views_for(images) <= 8
