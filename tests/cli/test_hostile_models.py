"""Every verb that takes a model file refuses one that a stranger has made, with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile_models import hostile_models

ENTRIES = (
    "predict MODEL PHOTO", "evaluate MODEL PHOTOS", "explain MODEL PHOTO", "explain MODEL --filters", "export MODEL",
    "summary MODEL", "compare MODEL MODEL", "serve MODEL", "embed MODEL PHOTOS --out e.npz",
    "similar PHOTOS PHOTO --model MODEL", "robust MODEL PHOTOS", "walkthrough MODEL PHOTO",
    "weights convert MODEL --model convnet --out out.safetensors",
    "train PHOTOS --model convnet --weights MODEL --epochs 1 --size 12",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an attack and a damaged file of each format, and the canary's place."""
    folder = tmp_path_factory.mktemp("hostile")
    kinds: dict[str, list[bytes]] = {}
    for name, content in hostile_models(folder / "canary"):
        kinds.setdefault(name.rpartition(".")[2], []).append(content)
    for kind in ("pth", "safetensors", "onnx"):
        for number in (0, len(kinds[kind]) - 12):
            (folder / f"{number}.{kind}").write_bytes(kinds[kind][number])
    return folder


@pytest.mark.filterwarnings("ignore")  # of torch, for kinds of tensors that it will remove
@pytest.mark.parametrize("entry", ENTRIES)
def test_refused_by_every_verb(hubel: Callable[..., Any], hostile: Path, photos: Path, entry: str) -> None:
    photo = next((photos / "red").iterdir())
    models = sorted(path for path in hostile.iterdir())
    assert len(models) == 6, models
    for model in models[1::4] if entry.startswith("train") else models:  # it takes a second before it reads one
        words = {"MODEL": model, "PHOTO": photo, "PHOTOS": photos}
        done = hubel(*(words.get(word, word) for word in entry.split()))
        assert done.code in (1, 2), (model, done.out)
        assert "\nhubel: " in f"\n{done.err}", (model, done.err)  # after notes, before the weights that do not match
        assert not (hostile / "canary").exists()
