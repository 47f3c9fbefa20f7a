"""Embedding of a dataset: features of all images in two dimensions, by PCA and t-SNE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.csv_text import csv_text
from hubel.core.errors import DataError
from hubel.core.random import permutation
from hubel.data.loading import Images
from hubel.data.samples import network_input
from hubel.explain.layers import default_layer, maps_at
from hubel.explain.untouched import untouched
from hubel.inference.device import device_of
from hubel.inference.forward import reportable
from hubel.inference.stream import batch_size
from hubel.plots.style import INK, MUTED, canvas, class_labels, finish, heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Embedding", "draw_embedding", "embed", "pooled_features"]

_MOST = 5_000  # images; t-SNE takes about a minute for them
_LEAST = 4
_PERPLEXITY = 30.0
_NAMED = 30  # classes, up to which a legend names them
_MARKERS = "os^Dv"  # so that classes differ not only in colour


@dataclass(frozen=True, eq=False, kw_only=True)
class Embedding:
    """Images as points in two dimensions.

    Attributes:
        paths: paths of the images.
        labels: class numbers `(n,)`.
        classes: class names.
        layer: the layer whose pooled maps are the features.
        points: coordinates `(n, 2)` for each of "PCA" and "t-SNE".
        explained: share of the features' variance explained by the two principal components, 0 to 1.
    """

    paths: Sequence[str]
    labels: NDArray[np.int64]
    classes: Sequence[str]
    layer: str
    points: dict[str, NDArray[np.float64]]
    explained: float = 0.0

    def to_csv(self) -> str:
        """Return a CSV table with a row for each image: path, class, and coordinates."""
        names = [name.lower().replace("-", "") for name in self.points]
        rows: list[list[Any]] = [["image_path", "label", *(f"{name}_{axis}" for name in names for axis in "xy")]]
        for path, label, *points in zip(self.paths, self.labels.tolist(), *self.points.values(), strict=True):
            rows.append([path, self.classes[label], *(f"{value:.5g}" for point in points for value in point)])
        return csv_text(rows)


def pooled_features(network: nn.Module, images: Images, layer: str | None = None) -> tuple[NDArray[np.float32], str]:
    """Return the mean of each map of a layer, `(n, k)`, and the layer's name; `default_layer` if none is given.

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: the layer outputs no map, or no layer of the network does.
        DataError: there is no image.
        ModelFileError: a feature is NaN or infinite.
    """
    device = device_of(network)
    parts = []
    with untouched(network) as frozen, torch.no_grad():
        for batch in images.in_sequence(batch_size(images.preprocess)):
            x = network_input(batch.pixels, images.preprocess, device)
            layer = layer or default_layer(frozen, x)
            parts.append(maps_at(frozen, x, [layer])[layer].mean((2, 3)).float().cpu().numpy())
    if not parts or layer is None:
        raise DataError("there is no image to embed")
    return reportable(np.concatenate(parts), "features"), layer


def embed(network: nn.Module, images: Images, *, layer: str | None = None) -> Embedding:
    """Embed the features of images by PCA and by t-SNE (van der Maaten & Hinton 2008, JMLR 9).

    t-SNE is initialised with the principal components, so the result is reproducible. Of more than 5,000 images, a
    fixed random sample is embedded.

    Args:
        network: any network, which is left unchanged.
        images: at least 4 images.
        layer: a name among `layer_names`; `default_layer` if not given.

    Raises:
        OptionError: no layer of the network outputs a map.
        DataError: there are fewer than 4 images.
    """
    if len(images) < _LEAST:
        raise DataError(f"an embedding needs at least {_LEAST} images, not {len(images)}")
    features, layer = pooled_features(network, images, layer)
    sample = np.sort(permutation(len(features), 0)[:_MOST])
    components, explained = _principal_components(features[sample])
    points = {"PCA": components[:, :2], "t-SNE": _tsne(components)}
    return Embedding(
        paths=[images.path(position) for position in sample.tolist()],
        labels=images.label_codes[sample].astype(np.int64),
        classes=images.label_names,
        layer=layer,
        points=points,
        explained=explained,
    )


def draw_embedding(embedding: Embedding, title: str) -> Figure:
    """Draw each image as a point in its class's colour, by PCA and by t-SNE."""
    present = np.unique(embedding.labels)
    names = dict(zip(present.tolist(), class_labels([embedding.classes[i] for i in present], limit=16), strict=True))
    colours = _colours(len(present))
    figure = canvas(11.0, 6.0 if len(present) <= _NAMED else 5.4)
    asides = {"PCA": f"{embedding.explained:.0%} of the variance", "t-SNE": "only small distances are meaningful"}
    for axes, (method, points) in zip(figure.subplots(1, 2), embedding.points.items(), strict=True):
        for label, colour in zip(present.tolist(), colours, strict=True):
            of_class = points[embedding.labels == label]
            dots: dict[str, Any] = {"s": max(4, min(22, 9000 / len(points))), "linewidths": 0, "alpha": 0.75}
            axes.scatter(*of_class.T, color=colour, label=names[label], marker=_MARKERS[label % len(_MARKERS)], **dots)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#cbd2d9")
        heading(axes, method, asides[method])
    figure.suptitle(
        f"{title}: pooled features of {embedding.layer}", x=0.01, ha="left", size=12, weight="bold", color=INK
    )
    if len(present) <= _NAMED:
        handles, names_shown = figure.axes[0].get_legend_handles_labels()
        columns = min(len(present), 6)
        shown: dict[str, Any] = {"frameon": False, "fontsize": 9, "labelcolor": INK, "markerscale": 1.6}
        figure.legend(handles, names_shown, loc="outside lower center", ncols=columns, **shown)
    else:
        figure.text(0.01, 0.01, f"{len(present)} classes; the CSV file lists their names", size=9, color=MUTED)
    return finish(figure)


def _principal_components(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return up to 50 principal components `(n, 50)`, and the share of variance explained by the first two."""
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    u, s, vh = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is arbitrary; fix it, so that it is the same on every machine.
    sign = np.sign(vh[np.arange(len(vh)), np.abs(vh).argmax(1)])
    share = (s[:2] ** 2).sum() / max((s**2).sum(), np.finfo(float).tiny)
    components = (u * s * sign)[:, :50]
    if components.shape[1] < 2:
        components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    return components, float(share)


def _tsne(components: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    spread = components[:, :2] / max(components[:, 0].std(), np.finfo(float).tiny) * 1e-4
    perplexity = min(_PERPLEXITY, (len(components) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init=spread.astype(np.float32), random_state=0).fit_transform(components)
    return np.asarray(points, np.float64)


def _colours(count: int) -> list[Any]:
    from matplotlib import colormaps

    if count <= 10:
        return list(colormaps["tab10"].colors[:count])  # type: ignore[attr-defined]
    if count <= 20:
        return list(colormaps["tab20"].colors[:count])  # type: ignore[attr-defined]
    return [colormaps["hsv"](number / count) for number in range(count)]
