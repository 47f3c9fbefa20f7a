"""Every verb that takes a model file refuses one that a stranger has made, with a sentence.

A sample; `benchmarks/hostile_files.py` gives all 300 files to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile_models import COMMANDS, sample_of_hostile_models, signed, whole_models
from small_card import CARD


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an attack and a damaged file of each format, and the canary's place."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, content in sample_of_hostile_models(folder / "canary"):
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.filterwarnings("ignore")  # of torch, for kinds of tensors that it will remove
@pytest.mark.parametrize("entry", COMMANDS)
def test_refused_by_every_verb(hubel: Callable[..., Any], hostile: Path, photos: Path, entry: str) -> None:
    photo = next((photos / "red").iterdir())
    models = sorted(path for path in hostile.iterdir())
    assert len(models) == 6, models
    (other := hostile.parent / "other.safetensors").write_bytes(whole_models()["safetensors"])
    for model in models[1::4] if entry.startswith("train") else models:  # it takes a second before it reads one
        words = {"MODEL": model, "OTHER": other, "PHOTO": photo, "PHOTOS": photos}
        done = hubel(*(words.get(word, word) for word in entry.split()))
        assert done.code in (1, 2), (model, done.out)
        assert "\nhubel: " in f"\n{done.err}", (model, done.err)  # after notes, before the weights that do not match
        about_it = (model.name, "weights fit the network")
        assert any(words in done.err for words in about_it), (model, done.err)  # nothing else is refused
        assert not Path("run").exists()  # a run that never begins would have to be removed
        assert not (hostile / "canary").exists()


@pytest.mark.parametrize("entry", ["predict MODEL PHOTO", "explain MODEL PHOTO --compare", "embed MODEL PHOTOS"])
def test_outputs_beyond_float32(hubel: Callable[..., Any], tmp_path: Path, photos: Path, entry: str) -> None:
    """Weights can be finite, and so large that what the network makes of them is not."""
    weights = {name: tensor.contiguous() for name, tensor in CARD.create().state_dict().items()}
    first = next(iter(weights))
    (model := tmp_path / "m.safetensors").write_bytes(signed({**weights, first: weights[first] * 0 + 3e38}, {}))
    words = {"MODEL": model, "PHOTO": photos / "red" / "1.png", "PHOTOS": photos}
    done = hubel(*(words.get(word, word) for word in entry.split()))
    assert (done.code, done.out) == (2, "")
    assert "are NaN or infinite: its weights are damaged, or far too large for float32" in done.err
