"""`hubel data preview`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Call = Callable[..., Any]


def test_two_sheets(hubel: Call, photos: Path) -> None:
    answer = hubel("data", "preview", photos, "--policy", "strong", "--out", "made.png", "--size", "64")
    assert answer.code == 0
    for words in ("rotate", "20", "made.png", "made-operations.png"):
        assert words in answer.out
    for file in ("made.png", "made-operations.png"):
        assert np.asarray(Image.open(file).convert("L")).std() > 10


def test_without_flags(hubel: Call, photos: Path) -> None:
    answer = hubel("data", "preview", photos)
    assert answer.code == 0
    assert Path("runs/preview-photos-1/augmentation.png").is_file()


def test_nothing_to_show_alone(hubel: Call, photos: Path) -> None:
    answer = hubel("data", "preview", photos, "--policy", "none", "--out", "plain.png")
    assert answer.code == 0
    assert not Path("plain-operations.png").exists()


def test_mistakes(hubel: Call, photos: Path) -> None:
    Path("bad.toml").write_text("rotat = 3")
    for words, said in (
        (["--policy", "stong"], "no augmentation policy is called 'stong'; did you mean strong"),
        (["--policy", "bad.toml"], "bad.toml: no setting of an augmentation is called 'rotat'; did you mean rotate"),
        (["--out", "made.jpg"], "a preview is a .png file, not made.jpg"),
        (["--size", "-3"], "size is at least 0 pixels, not -3"),
    ):
        answer = hubel("data", "preview", photos, *words)
        assert answer.code == 2
        assert said in answer.err
        assert len(answer.err.strip().splitlines()) == 1
