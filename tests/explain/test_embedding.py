"""Embeddings: features are pooled maps, similar images are close, the table equals the figure."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from small_networks import pixels, predictor

from hubel.core.errors import DataError, OptionError
from hubel.data.dataset import open_dataset
from hubel.data.loading import Images
from hubel.data.samples import network_input
from hubel.data.sources.arrays import ArraySource
from hubel.explain.embedding import Embedding, draw_embedding, embed, pooled_features
from hubel.inference.predictor import Predictor


def images(model: Predictor, n: int = 30) -> Images:
    """Three classes of one colour each."""
    labels = np.arange(n) % 3
    source = ArraySource(np.uint8(pixels(n) // 4 + np.eye(3, dtype=np.uint8)[labels][:, None, None] * 190), labels)
    return open_dataset(source).images(model.card.preprocess, threads=0)


def test_features() -> None:
    model = predictor()
    data = images(model)
    features, layer = pooled_features(model.network, data)
    x = network_input(data.pixels(np.arange(len(data))), data.preprocess)
    with torch.no_grad():
        expected = list(model.network.walk(x))[-1][1].mean((2, 3))
    assert layer == "stage2"
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-6)


def test_points() -> None:
    model = predictor()
    data = images(model)
    found = embed(model.network, data)
    features, _ = pooled_features(model.network, data)
    reference = PCA(2).fit(features)
    assert found.explained == pytest.approx(reference.explained_variance_ratio_.sum(), rel=1e-3)
    np.testing.assert_allclose(np.abs(found.points["PCA"]), np.abs(reference.transform(features)), rtol=1e-2, atol=1e-4)
    again = embed(model.network, data)
    for name, points in found.points.items():
        assert points.shape == (30, 2)
        assert np.array_equal(points, again.points[name])
        distance = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(30) * 1e9
        assert (found.labels[distance.argmin(1)] == found.labels).mean() > 0.9
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(rows) == 30
    assert list(rows[0]) == ["image_path", "label", "pca_x", "pca_y", "tsne_x", "tsne_y"]
    assert float(rows[7]["tsne_y"]) == pytest.approx(found.points["t-SNE"][7, 1], rel=1e-3)
    assert len(draw_embedding(found, "title").axes) == 2


@pytest.mark.parametrize("classes", [30, 31])
def test_names_of_many_classes_are_left_to_the_file(classes: int) -> None:
    names, points = [str(i) for i in range(classes)], np.random.default_rng(0).normal(size=(classes, 2))
    found = Embedding(
        paths=names,
        labels=np.arange(classes),
        classes=names,
        layer="stage2",
        points={"PCA": points, "t-SNE": points},
    )
    figure = draw_embedding(found, "title")
    texts = [text.get_text() for text in figure.texts if "file lists" in text.get_text()]
    assert texts == ([] if classes == 30 else ["31 classes; the CSV file lists their names"])


def test_few_images_and_networks_without_maps() -> None:
    model = predictor()
    assert embed(model.network, images(model, 4)).points["t-SNE"].shape == (4, 2)
    with pytest.raises(DataError, match="at least 4 images, not 3"):
        embed(model.network, images(model, 3))
    linear = predictor(name="linear")
    with pytest.raises(OptionError, match="no map"):
        embed(linear.network, images(linear))
