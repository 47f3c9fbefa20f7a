"""Devices, precisions, threads, scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hubel.core.errors import OptionError
from hubel.core.resources import usable_cores
from hubel.data.preprocess import Preprocess
from hubel.inference import threads
from hubel.inference.device import has_bfloat16_unit, pick_device, pick_precision
from hubel.inference.scores import scores, sigmoid, softmax
from hubel.weights.card import ModelCard


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["gpu", "", "meta", "vulkan"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(OptionError, match=f"^device is auto, cpu, cuda, mps, xpu, not {name!r}$"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cpu:x", "cuda:99"])
def test_absent_devices(name: str) -> None:
    with pytest.raises(OptionError, match=r"^device '.*' cannot be used here: ") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_precisions() -> None:
    cpu = torch.device("cpu")
    assert pick_precision("float32", cpu) == torch.float32
    assert pick_precision("bfloat16", cpu) == torch.bfloat16
    assert (pick_precision("auto", cpu) == torch.bfloat16) is has_bfloat16_unit()
    with pytest.raises(OptionError, match="precision is auto, float32 or bfloat16, not 'half'"):
        pick_precision("half", cpu)


@pytest.mark.parametrize("set_to", [1, 2])
def test_probing_restores_the_setting(set_to: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_SECONDS", 0.001)
    before = torch.get_num_threads()
    torch.set_num_threads(set_to)
    try:
        assert 1 <= threads.probe_threads() <= usable_cores()
        assert torch.get_num_threads() == set_to
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("rates", "best"), [({4: 1, 2: 1.2, 1: 1.3}, 1), ({4: 1, 2: 1.1, 1: 1.2}, 4), ({4: 1, 2: 3, 1: 2}, 2)]
)
def test_fewer_threads_must_be_clearly_faster(
    rates: dict[int, float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    monkeypatch.setattr(threads, "_rate", rates.__getitem__)
    assert threads.probe_threads() == best


def test_probing_restores_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> float:
        torch.set_num_threads(number)
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_rate", fail)
    with pytest.raises(KeyboardInterrupt):
        threads.probe_threads()
    assert torch.get_num_threads() == before


def test_scores() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(softmax(logits), [[1, 0, 0], [1 / 3] * 3])
    np.testing.assert_allclose(softmax([[2.0, 0.0]], 2.0), softmax([[1.0, 0.0]]))
    np.testing.assert_allclose(sigmoid(logits[1]), 0.5)
    card = ModelCard("linear", ("a", "b", "c"), Preprocess(8, 8), temperature=3.0, offset=5.0)
    assert np.array_equal(scores(logits, card), softmax(logits, 3.0))
    assert np.array_equal(scores(logits, replace(card, scores="sigmoid")), sigmoid(logits))
    np.testing.assert_allclose(scores(logits, replace(card, scores="identity")), logits / 3.0 + 5)
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="temperature must be a positive number"):
            softmax(logits, temperature)
