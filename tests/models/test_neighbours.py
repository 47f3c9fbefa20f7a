from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model


@pytest.mark.parametrize("k", [1, 3, 7])
def test_agrees_with_sklearn(k: int) -> None:
    generator = np.random.default_rng(k)
    train, queries = generator.normal(size=(120, 1, 6, 5)), generator.normal(size=(40, 1, 6, 5))
    labels = generator.integers(0, 4, 120)
    network = build_model("knn", num_classes=4, input_size=(6, 5), options={"k": k})
    options = network.fit(torch.tensor(train, dtype=torch.float32), torch.tensor(labels))  # type: ignore[operator]
    assert options == {"k": k, "samples": 120}
    shares = network(torch.tensor(queries, dtype=torch.float32)).exp().numpy()
    peer = KNeighborsClassifier(k).fit(train.reshape(120, -1), labels)
    expected = peer.predict_proba(queries.reshape(40, -1))
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(shares, expected, atol=4e-3)  # every class has 0.001 votes more
    assert np.array_equal(shares.argmax(1), peer.predict(queries.reshape(40, -1)))


def test_fewer_images_than_neighbours() -> None:
    network = build_model("knn", num_classes=2, input_size=(1, 1), options={"k": 5})
    network.fit(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1), torch.tensor([0, 0]))  # type: ignore[operator]
    assert network(torch.zeros(1, 1, 1, 1)).exp()[0, 0] > 0.99


def test_untrained_is_undecided() -> None:
    assert torch.allclose(build_model("knn")(torch.zeros(2, 1, 28, 28)).exp(), torch.full((2, 10), 0.1))


def test_wrong_numbers() -> None:
    for options in ({"k": 0}, {"samples": -1}):
        with pytest.raises(OptionError, match="at least"):
            build_model("knn", options=options)
