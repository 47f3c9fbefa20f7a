"""The names of ImageNet's classes."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

import peers
from hubel.weights.imagenet import imagenet_classes, imagenet_synsets

# Names that are no lemma of WordNet's: the lemma is another spelling, or means other things too.
COINED = {
    "Dalmatian", "Entlebucher", "Leonberger", "airplane wing", "bottle nipple", "ear of corn", "jeans", "loafer",
    "pajamas", "rooster", "shipwreck", "slot machine",
}  # fmt: skip


def test_one_name_for_each_synset() -> None:
    assert len(imagenet_classes()) == len(imagenet_synsets()) == 1000
    assert len({name.casefold() for name in imagenet_classes()}) == 1000
    assert list(imagenet_synsets()) == sorted(imagenet_synsets())
    assert all(re.fullmatch(r"n\d{8}", synset) for synset in imagenet_synsets())
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z' ().-]*[a-zA-Z)]", name) for name in imagenet_classes())


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "tench"),
        (4, "hammerhead shark"),
        (134, "crane (bird)"),
        (263, "Pembroke Welsh corgi"),
        (264, "Cardigan Welsh corgi"),
        (281, "tabby cat"),
        (344, "hippopotamus"),
        (474, "cardigan"),
        (517, "crane (machine)"),
        (638, "maillot"),
        (639, "tank suit"),
        (999, "toilet paper"),
    ],
)
def test_names(index: int, name: str) -> None:
    assert imagenet_classes()[index] == name


@pytest.mark.peer
def test_names_are_wordnets() -> None:
    info = files(peers.timm()) / "data" / "_info"
    assert list(imagenet_synsets()) == (info / "imagenet_synsets.txt").read_text().split()
    lines = (info / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    lemmas = {synset: names.split(", ") for synset, names in (line.split("\t") for line in lines)}
    for synset, name in zip(imagenet_synsets(), imagenet_classes(), strict=True):
        assert name in COINED or re.sub(r" \(.*\)", "", name) in lemmas[synset]
