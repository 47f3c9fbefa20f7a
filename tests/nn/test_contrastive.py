"""The contrastive loss beside its formula, and its temperature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hubel.nn.contrastive import LearntScale, info_nce


def formula(images: NDArray[np.float64], texts: NDArray[np.float64], scale: float, same: NDArray[np.float64]) -> float:
    """The mean, over rows and over columns, of the cross-entropy with the right ones in equal shares."""
    powers = np.exp(scale * images @ texts.T)
    rows, columns = powers / powers.sum(1, keepdims=True), powers / powers.sum(0, keepdims=True)
    shares = same / same.sum(1, keepdims=True)
    return -((shares * np.log(rows)).sum(1).mean() + (shares * np.log(columns.T)).sum(1).mean()) / 2


@pytest.mark.parametrize("groups", [None, [0, 1, 0, 2, 1]])
def test_formula(groups: list[int] | None) -> None:
    rng = np.random.default_rng(0)
    images, texts = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 5, 3)))
    same = np.eye(5) if groups is None else np.equal.outer(groups, groups).astype(np.float64)
    given = None if groups is None else torch.from_numpy(same > 0)
    ours = info_nce(torch.from_numpy(images), torch.from_numpy(texts), 4.0, given)
    assert float(ours) == pytest.approx(formula(images, texts, 4.0, same), rel=1e-12)


def test_towers_that_know_nothing() -> None:
    """All similarities are equal: the loss is the logarithm of the number of pairs, whatever the factor is."""
    vectors = torch.ones(7, 1)
    assert float(info_nce(vectors, vectors, 50.0)) == pytest.approx(np.log(7), rel=1e-6)


def test_the_scale_is_bounded() -> None:
    scale = LearntScale()
    assert float(scale().detach()) == pytest.approx(1 / 0.07, rel=1e-6)
    with torch.no_grad():
        scale.log.fill_(9.0)
    assert float(scale().detach()) == pytest.approx(100, rel=1e-6)
