"""`hubel data bench` as its user sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

QUICK = ("--model", "convnet", "--size", 16, "--weights", "none", "--threads", 1, "--seconds", 0.02)


@pytest.mark.parametrize("keep", ["auto", "off", "disk"])
def test_the_table(hubel: Call, photos: Path, keep: str) -> None:
    found = hubel("data", "bench", photos, *QUICK, "--cache", keep)
    assert found.code == 0, found.err
    for words in (
        "decode and augment",
        "augment cached images",
        "the network",
        "input of 16x16",
        " is the bottleneck: ",
    ):
        assert words in found.out


def test_json(hubel: Call, photos: Path) -> None:
    numbers = json.loads(hubel("data", "bench", photos, *QUICK, "--augment", "standard", "--json").out)
    assert numbers["augment"] == "standard"
    assert all(numbers[f"{part}_images_per_second"] > 0 for part in ("decode", "augmented", "cached", "network"))


def test_mistakes(hubel: Call, photos: Path) -> None:
    for words, line in (
        (("--cache", "yes"), "no cache is called 'yes'"),
        (("--seconds", 0), "--seconds is at least 0.001, not 0"),
        (("--augment", "standart"), "standard"),
    ):
        found = hubel("data", "bench", photos, "--model", "convnet", *words)
        assert (found.code, found.out) == (2, "")
        assert line in found.err
        assert len(found.err.strip().splitlines()) == 1
