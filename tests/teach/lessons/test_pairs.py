"""The lesson `pairs`: captions that fit one kind of scene, scenes as their captions say, the loss, the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hubel.core.errors import OptionError, UnknownNameError
from hubel.teach.course.lesson import LANGUAGES, lesson_data
from hubel.teach.course.lessons.pairs import live
from hubel.teach.course.lessons.pairs.lesson import LESSON, pair_contrast
from hubel.teach.course.lessons.pairs.live import find_scenes, train_live
from hubel.teach.course.lessons.pairs.scenes import (
    COLOURS,
    EDITS,
    KINDS,
    SPOKEN,
    caption,
    draw_scenes,
    edited,
    split_kinds,
)
from hubel.teach.course.lessons.pairs.training import embed_pairs, make_pairs, train_towers, vocabulary


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_caption_fits_one_kind(language: str) -> None:
    kinds = range(0, KINDS, 1 if language == "en" else 7)
    captions = [caption(kind, swapped, language) for kind in kinds for swapped in (False, True)]
    assert len(set(captions)) == len(captions)
    assert KINDS == (2 * 6 * 4) ** 2 * 2
    used = set(" ".join(captions).split())
    assert used == set(SPOKEN[language].vocabulary)


def test_both_views_of_a_scene() -> None:
    kind = next(k for k in range(KINDS) if caption(k, False) == "a large red circle left of a small blue square")
    assert caption(kind, True) == "a small blue square right of a large red circle"
    assert caption(kind, False, "ko") == "작은 파란 사각형 왼쪽에 있는 큰 빨간 원"
    wrong = {edit: caption(int(edited(np.array([kind]), edit)[0]), False) for edit in EDITS}
    assert wrong == {
        "size": "a small red circle left of a small blue square",
        "colour": "a large green circle left of a small blue square",
        "shape": "a large red square left of a small blue square",
        "order": "a small blue square left of a large red circle",
    }


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_every_scene(edit: str) -> None:
    kinds = np.arange(KINDS)
    assert (edited(kinds, edit) != kinds).all()


def test_scenes_show_what_their_captions_say() -> None:
    """The colour on either side, by the pixels that differ from a grey ground; and large figures cover more."""
    kinds = np.arange(5, KINDS, 31)
    scenes = draw_scenes(kinds, 3).astype(float)
    named = np.array(list(COLOURS.values()), float)
    areas: dict[tuple[str, str], list[int]] = {}
    for kind, scene in zip(kinds.tolist(), scenes, strict=True):
        words = caption(kind, False).split()
        first, second = (words[1:4], words[-3:])
        halves = (scene[:, :16], scene[:, 16:]) if "left" in words else (scene[:16], scene[16:])
        for (size, colour, shape), half in zip((first, second), halves, strict=True):
            there = (np.ptp(half, axis=2) > 60) | (half.mean(2) > 170)
            found = np.abs(named - np.median(half[there], axis=0)).sum(1).argmin()
            assert list(COLOURS)[found] == colour, caption(kind, False)
            areas.setdefault((shape, size), []).append(int(there.sum()))
    for shape in ("circle", "square", "triangle", "cross"):
        assert np.median(areas[shape, "large"]) > 1.5 * np.median(areas[shape, "small"])


def test_scenes_are_drawn_by_seed() -> None:
    assert np.array_equal(draw_scenes([7, 8], 1), draw_scenes([7, 8], 1))
    assert not np.array_equal(draw_scenes([7, 8], 1), draw_scenes([7, 8], 2))


def test_split() -> None:
    train_kinds, held_out = split_kinds(100, 0)
    assert sorted([*train_kinds.tolist(), *held_out.tolist()]) == list(range(KINDS))
    with pytest.raises(OptionError, match="1 to 4,607 are held out, not 4,608"):
        split_kinds(KINDS, 0)


def test_the_loss_of_the_page(data: Any) -> None:
    hand = data["hand"]
    images, texts = (F.normalize(torch.tensor(hand[name], dtype=torch.float64)) for name in ("pictures", "sentences"))
    logits = images @ texts.T / hand["temperature"]
    right = torch.arange(3)
    assert hand["loss"] == pytest.approx(
        float(F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2, rel=1e-5
    )
    assert np.allclose(hand["rows"], logits.softmax(1), atol=1e-5)
    assert np.allclose(hand["columns"], logits.softmax(0), atol=1e-5)
    assert pair_contrast(np.eye(3), np.eye(3), 0.01)["loss"] == pytest.approx(0, abs=1e-9)


def test_what_the_page_is_told(data: Any) -> None:
    assert data["training"] + data["held_out"] == data["kinds"] == KINDS
    assert len(data["scenes"]) == len(data["captions"]["ko"]) == max(data["shown"], data["in_matrix"])
    assert (data["scenes"][0]["rows"], data["scenes"][0]["channels"]) == (32, 3)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_towers_learn(language: str) -> None:
    kinds = np.arange(0, KINDS, 60)
    steps = list(train_towers(kinds, steps=8, batch=38, language=language))
    assert [step.step for step in steps] == list(range(9))
    losses = [step.loss for step in steps]
    assert losses[0] is None
    assert losses[1] == pytest.approx(np.log(38), rel=0.1), "they know nothing"
    assert losses[-1] is not None
    assert losses[1] is not None
    assert losses[-1] < losses[1] - 0.2
    images, texts = embed_pairs(steps[-1].towers, make_pairs(kinds, 5, language))
    assert torch.allclose(images.norm(dim=1), torch.ones(len(kinds)))
    assert torch.allclose(texts.norm(dim=1), torch.ones(len(kinds)))


def test_words_that_were_never_seen() -> None:
    with pytest.raises(OptionError, match=r"never saw the word “dragon”\. They know: a, above, below"):
        vocabulary("en").encode(["a red dragon"])
    for empty in ("", "a " * 13):
        with pytest.raises(OptionError, match="A sentence has from one to 12 words"):
            vocabulary("en").encode([empty])


@pytest.mark.parametrize("action", [train_live, find_scenes])
def test_other_languages(action: Any) -> None:
    with pytest.raises(UnknownNameError, match="no language of captions is called 'fr'"):
        next(action({"lang": "fr", "sentence": "a"}))


def test_a_search_before_the_training() -> None:
    with pytest.raises(OptionError, match="Train the towers first"):
        next(find_scenes({"lang": "ko", "sentence": "큰 빨간 원"}))
    with pytest.raises(OptionError, match="a sentence is text, not 3"):
        next(find_scenes({"sentence": 3}))


def test_what_is_shown_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STEPS", 4)
    monkeypatch.setattr(live, "_EVERY", 2)
    assert [event["step"] for event in train_live({"lang": "en"})] == [0, 2, 4]


@pytest.mark.slow
def test_the_matrix_becomes_diagonal() -> None:
    events = list(train_live({"lang": "en"}))
    first, last = events[0], events[-1]
    assert np.ptp(first["matrix"]) < 0.5, "all alike"
    matrix = np.asarray(last["matrix"])
    assert (matrix.argmax(1) == np.arange(len(matrix))).mean() >= 0.9
    assert last["recall"]["captions"] > 0.5
    assert min(last["told"].values()) > 0.8
    found = list(find_scenes({"lang": "en", "sentence": "a large red circle left of a small blue square"}))
    similarities = [one["similarity"] for one in found]
    assert similarities == sorted(similarities, reverse=True)
    assert "red" in found[0]["caption"]
