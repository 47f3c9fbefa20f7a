"""The classes of ImageNet-1k, in the order of the outputs of every network that was trained on it.

`imagenet_classes.txt` has a line for each class: its WordNet synset and the name that hubel uses. Names are WordNet's
first lemma, or a later one that is more specific ("tabby" is "tabby cat") or more common ("ice bear" is "polar bear");
ambiguous words have their meaning in parentheses. Each name is unique.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["imagenet_classes", "imagenet_synsets"]


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1,000 classes.

    >>> imagenet_classes()[281]
    'tabby cat'
    """
    return _table()[1]


def imagenet_synsets() -> tuple[str, ...]:
    """Return the synsets of the 1,000 classes, after which folders and files of the data set are named.

    >>> imagenet_synsets()[281]
    'n02123045'
    """
    return _table()[0]


@cache
def _table() -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = files("hubel.weights").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    synsets, names = zip(*(line.split("\t") for line in text.splitlines()), strict=True)
    return synsets, names
