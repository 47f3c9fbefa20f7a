"""Figures in another language: sentences are translated, all else stays, and the figure is left as it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from hubel.core.language import sentence, table
from hubel.core.notes import Caution
from hubel.metrics.figures import confusion_matrix
from hubel.plots import style
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.learning_curves import learning_curves


def shown(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text)}


def sheet() -> Figure:
    captions = [sentence("figure.guess", guess="cat 51%", label="dog"), Caution("mine")]
    return contact_sheet([np.zeros((4, 4), np.uint8)] * 2, captions, sentence("figure.losses"))


@pytest.mark.parametrize(
    ("draw", "keys"),
    [
        (
            lambda: learning_curves([{"train_loss": 1.0, "val_loss": 1.0}]),
            ["tile.loss", "axis.epoch", "split.validation"],
        ),
        (lambda: confusion_matrix(np.eye(2, dtype=np.int64), ["a", "b"]), ["figure.confusion", "axis.shares"]),
        (sheet, ["figure.losses"]),
    ],
)
def test_sentences_of_a_figure(draw: Callable[[], Figure], keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    figure = draw()
    english, korean = ({table(language)[key] for key in keys} for language in ("en", "ko"))
    before = shown(figure)
    assert english <= before
    monkeypatch.setattr(style, "_glyphs", lambda **_: frozenset(range(0x20, 0xD800)))  # fonts with every character
    with style.worded(figure, "ko"):
        assert korean <= shown(figure)
        assert not english & shown(figure)
    assert shown(figure) == before
    monkeypatch.setattr(style, "_glyphs", lambda **_: frozenset(range(0x20, 0x7F)))  # and with none of Korean
    with style.worded(figure, "ko"):
        assert shown(figure) == before


def test_captions_keep_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = sheet()
    monkeypatch.setattr(style, "_glyphs", lambda **_: frozenset(range(0x20, 0xD800)))
    assert {"cat 51%\nlabel dog", "mine"} <= shown(figure)
    with style.worded(figure, "ko"):
        assert {"cat 51%\n정답 dog", "mine"} <= shown(figure)
