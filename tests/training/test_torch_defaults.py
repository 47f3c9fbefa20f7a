"""What a caller has set in torch changes no training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import hubel
from hubel.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("cache")


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "float64": float64,
    "meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def weights(out: Path) -> dict[str, np.ndarray]:
    recipe = Recipe(model="lenet5_modern", epochs=1, threads=1, precision="float32", loading_threads=0)
    run = hubel.train("xo", recipe, out=out, quiet=True)
    assert run.evaluation is not None
    return load_file(run.model)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return weights(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize("name", SETTINGS)
def test_training_is_the_same(name: str, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    with SETTINGS[name]():
        found = weights(tmp_path / "run")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
