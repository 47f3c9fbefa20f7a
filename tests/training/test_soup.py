"""A soup is never worse on its validation images than the best run, and says so where it is no better."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hubel
from hubel.core.errors import CheckpointError, HubelError, OptionError
from hubel.data.dataset import open_dataset
from hubel.tasks.catalogue import find_task
from hubel.training import soup
from hubel.weights.model_file import load_model, read_card, save_model
from hubel.weights.weight_file import read_weights

pytestmark = pytest.mark.slow  # three whole runs

RECIPE: dict[str, Any] = {
    "model": "convnet", "epochs": 2, "options": {"filters": "8", "repeat": "1"}, "threads": 1, "loading_threads": 0,
    "freeze": "none", "ema": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run from scratch, and two from its weights, with the same held-out images."""
    folder = tmp_path_factory.mktemp("soup")
    begun = hubel.train("digits", {**RECIPE, "seed": 5, "freeze": None, "ema": None, "weights": "none", "epochs": 1},
                        out=folder / "start", quiet=True)  # fmt: skip
    card = read_card(begun.model)
    start = folder / "start.safetensors"
    save_model(start, read_weights(begun.model), type(card)(card.model, card.classes, card.preprocess, card.options))
    tuned = [
        hubel.train("digits", {**RECIPE, "weights": str(start), "lr": lr}, out=folder / f"lr-{lr}", quiet=True).folder
        for lr in (0.001, 0.004)
    ]
    return [begun.folder, *tuned]


@pytest.fixture
def runs(all_runs: list[Path]) -> list[Path]:
    return all_runs[1:]


def validation_accuracy(path: Path) -> float:
    model, card = load_model(path)
    dataset = open_dataset("digits")
    rows = dataset.evaluation_rows(card.provenance, "val").rows
    task = find_task("classify")
    images = dataset.images(card.preprocess, rows)
    found = task.evaluate(task.model(model, card), images, dataset.targets(card.classes, rows)).accuracy
    assert found is not None
    return found


def test_a_soup_is_never_worse_where_it_is_chosen(runs: list[Path], tmp_path: Path) -> None:
    done = soup(runs, tmp_path / "soup.safetensors")
    alone = {str(run): validation_accuracy(run / "model.safetensors") for run in runs}
    assert {one.name: one.accuracy for one in done.ingredients} == pytest.approx(alone)
    accuracies = [one.accuracy for one in done.ingredients]
    assert accuracies == sorted(accuracies, reverse=True)
    assert validation_accuracy(done.path) == pytest.approx(done.accuracy)
    assert done.accuracy >= max(alone.values())
    assert done.ingredients[0].added
    _, card = load_model(done.path)
    parts = [load_model(Path(one.name) / "model.safetensors")[0].state_dict() for one in done.ingredients if one.added]
    statistics = "stages.0.0.1.running_mean"
    differ = any(not torch.equal(one[statistics], parts[0][statistics]) for one in parts)
    assert done.norms == differ
    assert len(card.provenance["members"]) == sum(one.added for one in done.ingredients)
    assert "run" not in card.provenance, "what one run reached is not what the soup reaches"


def test_the_weights_are_the_mean(runs: list[Path], tmp_path: Path) -> None:
    """Two equal runs: the mean is each of them, and is added, since the accuracy does not fall."""
    import shutil

    twin = tmp_path / "twin"
    shutil.copytree(runs[0], twin)
    network, card = load_model(runs[0] / "model.safetensors")
    other = copy.deepcopy(network)
    with torch.no_grad():
        for name, value in other.named_parameters():
            if name.endswith("bias"):
                value += 1e-6
    save_model(twin / "model.safetensors", other.state_dict(), card)
    done = soup([runs[0], twin], tmp_path / "soup.safetensors")
    assert [one.added for one in done.ingredients] == [True, True]
    assert not done.norms
    assert "as accurate as the best" in done.lines()[0]
    mixed, _ = load_model(done.path)
    for name, value in mixed.state_dict().items():
        expected = (network.state_dict()[name].double() + other.state_dict()[name].double()) / 2
        np.testing.assert_allclose(value.double().numpy(), expected.numpy(), rtol=1e-6, atol=1e-9)


def test_a_worse_run_is_left_out(runs: list[Path], tmp_path: Path) -> None:
    import shutil

    bad = tmp_path / "bad"
    shutil.copytree(runs[0], bad)
    network, card = load_model(bad / "model.safetensors")
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(-30 * value)
    save_model(bad / "model.safetensors", network.state_dict(), card)
    done = soup([bad, runs[1]], tmp_path / "soup.safetensors")
    assert [(one.name, one.added) for one in done.ingredients] == [(str(runs[1]), True), (str(bad), False)]
    assert "that run alone" in done.lines()[0]
    assert done.rows()[-1][0] == "soup"


def test_what_cannot_be_mixed(all_runs: list[Path], runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="at least two different runs"):
        soup(runs[:1], tmp_path / "s.safetensors")
    with pytest.raises(OptionError, match=r"NAME\.safetensors"):
        soup(runs, tmp_path / "s.onnx")
    with pytest.raises(CheckpointError, match="not the folder of a run"):
        soup([runs[0], tmp_path], tmp_path / "s.safetensors")
    with pytest.raises(OptionError, match="random weights"):
        soup([all_runs[0], runs[0]], tmp_path / "s.safetensors")
    weights = str(runs[0].parent / "start.safetensors")
    other = hubel.train("digits", {**RECIPE, "weights": weights, "seed": 1}, out=tmp_path / "other", quiet=True).folder
    with pytest.raises(HubelError, match=r"taught none of the runs.*--seed") as refused:
        soup([runs[0], other], tmp_path / "s.safetensors")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("s.*"))
