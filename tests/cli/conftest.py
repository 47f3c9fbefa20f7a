"""A command to call, photos to call it on, and a run to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hubel.cli import main

COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 50, 40)}
QUICK = ["--epochs", "2", "--size", "12", "--options.filters", "4,8", "--options.repeat", "1", "--threads", "1"]


@dataclass(frozen=True)
class Answer:
    """What a command has said."""

    code: int
    out: str
    err: str


def draw(folder: Path, each: int = 10) -> Path:
    """Noise around one colour for each class, of several sizes."""
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            h, w = 16 + generator.integers(0, 12, 2)
            pixels = np.clip(np.array(colour) + generator.normal(0, 30, (h, w, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test in a folder of its own, where `runs/` will be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)
    torch.set_num_threads(1)
    return tmp_path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return draw(tmp_path / "photos")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, made once; nobody writes to it."""
    place = tmp_path_factory.mktemp("trained")
    words = ["train", str(draw(place / "photos")), "--out", str(place / "run"), *QUICK]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBEL_CACHE", str(place / "cache"))
        with pytest.raises(SystemExit) as ended:
            main(words)
    assert ended.value.code == 0
    return place / "run"


@pytest.fixture
def hubel(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def call(*words: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        assert "Traceback" not in said.err
        return Answer(ended.value.code, said.out, said.err)

    return call
