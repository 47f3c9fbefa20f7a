"""Outputs that are no numbers are an error, whatever the weights are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.core.errors import ModelFileError
from hubel.data.dataset import open_dataset
from hubel.inference.forward import forward, output_batches, outputs
from hubel.inference.load import load
from hubel.nn.network import Network
from hubel.weights.model_file import save_model
from small_card import CARD

DATA = (np.random.default_rng(0).integers(0, 256, (6, 12, 10, 3), np.uint8), ["blue", "green", "red"] * 2)


def huge() -> Network:
    """A network whose weights are finite, and whose outputs are not."""
    network = CARD.create().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e30)
    return network


@pytest.mark.parametrize(
    "run",
    [
        lambda network, images: forward(network, DATA[0], CARD.preprocess),
        lambda network, images: outputs(network, images),
        lambda network, images: list(output_batches(network, images)),
    ],
    ids=["forward", "outputs", "output_batches"],
)
def test_outputs_are_finite(run: Callable[..., object]) -> None:
    images = open_dataset(DATA).images(CARD.preprocess, threads=0)
    run(CARD.create(), images)
    with pytest.raises(ModelFileError, match="outputs are NaN or infinite"):
        run(huge(), images)


def test_training_looks_at_them_itself() -> None:
    images = open_dataset(DATA).images(CARD.preprocess, threads=0)
    ((_, found),) = output_batches(huge(), images, finite=False)
    assert not np.isfinite(found).all()


def test_a_caller_of_other_types_changes_no_score(tmp_path: Path) -> None:
    """Neither autocast around a prediction nor another default type of torch."""
    torch.manual_seed(0)
    save_model(tmp_path / "model.safetensors", CARD.create().state_dict(), CARD)
    expected = load(tmp_path).predict_proba(DATA[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (load(tmp_path).predict_proba(DATA[0]) == expected).all()
    torch.set_default_dtype(torch.float64)
    try:
        assert (load(tmp_path).predict_proba(DATA[0]) == expected).all()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
