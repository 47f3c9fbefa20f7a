"""Words of the figures: captions, colour scales, and a sentence on how to read each figure, by language."""

from __future__ import annotations

from hubel.core.language import find_language, table
from hubel.core.progress import say_notes
from hubel.plots.legend import ColourScale, Legend
from hubel.plots.style import MISSING, drawable

__all__ = ["drawn_language", "legend", "words"]

_PREFIX = "explain."  # of the keys in the tables of sentences
# Colour maps by the meaning of the colours.
_COLOURS = {
    "evidence": "inferno",
    "sensitivity": "inferno",
    "activation": "magma",
    "signed": "RdBu_r",
    "weight": "gray",
}


def words(key: str, language: str = "en", **values: object) -> str:
    """Return a caption with its values.

    >>> words("unit.field", w=7, h=5)
    'receptive field 7x5'
    """
    return table(language)[f"{_PREFIX}{key}"].format(**values)


def legend(reading: str, *scales: str, language: str = "en") -> Legend:
    """Return the legend of a figure: how to read it, and the meanings of its colours by the names of the scales."""
    bars = [
        ColourScale(_COLOURS[scale], *(words(f"scale.{scale}.{end}", language) for end in ("low", "high")))
        for scale in scales
    ]
    return Legend(words(f"read.{reading}", language), tuple(bars))


def drawn_language(language: str) -> str:
    """Return the language that figures can be drawn in: English, with a note, where no font has the letters.

    Raises:
        UnknownNameError: there is no such language.
    """
    ours = (text for key, text in table(find_language(language)).items() if key.startswith(_PREFIX))
    if MISSING not in drawable("".join(set().union(*ours))):
        return language
    say_notes(["no font of this machine has Korean letters: the figures are in English; install Noto Sans CJK"])
    return "en"
