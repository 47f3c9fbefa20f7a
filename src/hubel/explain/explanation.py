"""Explanations of what a trained model says of images: from paths or arrays to maps."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hubel.core.errors import DecodeError, OptionError, UnknownNameError
from hubel.core.progress import bar
from hubel.data.inputs import Input, collect
from hubel.data.loading import network_input
from hubel.data.sources.arrays import as_pixels
from hubel.explain.faithfulness import CONTROLS, deletion, insertion
from hubel.explain.methods import METHODS, Method, find_method
from hubel.explain.occlusion import occlusion
from hubel.explain.untouched import untouched
from hubel.inference.device import device_of
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores
from hubel.inference.stream import batch_size

__all__ = ["Explanation", "Faithfulness", "Picture", "compare", "explain", "pictures", "readable", "to_input"]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as the network sees it.

    Attributes:
        name: as the user knows it.
        pixels: uint8 `(h, w, c)`, at the network's size.
        aspect: width by height as it is to be shown; a squashed photo has its own shape back.
    """

    name: str
    pixels: NDArray[np.uint8]
    aspect: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where on an image a class comes from.

    Attributes:
        picture: what was looked at.
        method: a name among `METHODS`.
        label: the class.
        score: what the model gives it, 0 to 1.
        map: float32 `(h, w)`; higher where the class comes from, negative where something speaks against it.
    """

    picture: Picture
    method: str
    label: str
    score: float
    map: NDArray[np.float32]


@dataclass(frozen=True)
class Faithfulness:
    """How much a method's maps tell, over some images; see `hubel.explain.faithfulness`.

    Attributes:
        method: a name among `METHODS` or `CONTROLS`.
        insertion: mean area under the curve; higher is better.
        deletion: likewise; lower is better.
        ms: milliseconds that the map of an image took.
        shown: the explanations of the first images.
    """

    method: str
    insertion: float
    deletion: float
    ms: float
    shown: tuple[Explanation, ...] = ()


def pictures(predictor: Predictor, images: Any) -> Iterator[Picture]:
    """Images as the network sees them.

    Args:
        predictor: a trained model.
        images: paths, folders or patterns; or an array or list of arrays, as `Predictor.predict_proba` takes them; an
            iterator of `Picture`s goes through as it is.

    Raises:
        DecodeError: a file cannot be read.
        DataError: an array has another shape, or a path does not exist.
    """
    preprocess = predictor.card.preprocess
    if isinstance(images, Iterator):
        yield from images
        return
    if isinstance(images, str | Path):
        images = [images]
    if len(images) and all(isinstance(image, str | Path) for image in images):
        yield from (picture_of(predictor, item) for item in collect(images))
        return
    arrays = as_pixels(images) if isinstance(images, np.ndarray) else (as_pixels([image])[0] for image in images)
    for number, pixels in enumerate(arrays):
        yield Picture(str(number), preprocess.apply(pixels), _aspect(predictor, pixels.shape[1], pixels.shape[0]))


def picture_of(predictor: Predictor, item: Input) -> Picture:
    """One image as the network sees it.

    Raises:
        DecodeError: it cannot be read.
    """
    preprocess = predictor.card.preprocess
    decoded = item.decode(preprocess.min_size)
    return Picture(item.name, preprocess.apply(decoded.pixels), _aspect(predictor, decoded.width, decoded.height))


def explain(
    predictor: Predictor,
    images: Any,
    *,
    method: str = "gradcam",
    label: str | None = None,
    layer: str | None = None,
) -> Iterator[Explanation]:
    """Where on each image a class comes from, in order, as they are found.

    Args:
        predictor: a trained model, which stays as it is.
        images: see `pictures`.
        method: a name among `METHODS`.
        label: the class; for each image the one with the highest score if not given.
        layer: a name among `layer_names`; `default_layer` if not given.

    Raises:
        UnknownNameError: no such method, class or layer.
        OptionError: the method cannot explain such a network.
        DecodeError: a file cannot be read.
    """
    made = _method(predictor, method)
    for group in _groups(predictor, images, label):
        maps = made(predictor.network, group.x, group.targets, layer)
        yield from _explanations(predictor, method, group, maps)


def compare(
    predictor: Predictor,
    images: Any,
    *,
    methods: Sequence[str] = (),
    label: str | None = None,
    layer: str | None = None,
) -> list[Faithfulness]:
    """How faithful methods are on some images, beside a random map and a centred Gaussian.

    Args:
        predictor: a trained model, which stays as it is.
        images: see `explain`.
        methods: names among `METHODS`; all that can explain this network if none is given.
        label: see `explain`.
        layer: see `explain`.
    """
    chosen = {name: _method(predictor, name) for name in methods or METHODS}
    groups = list(_groups(predictor, images, label))
    if not groups:
        raise OptionError("a comparison needs at least one image")
    if not methods:
        chosen = {name: made for name, made in chosen.items() if _applies(made, predictor, groups[0], layer)}
    rows = []
    with bar("comparing", (len(chosen) + len(CONTROLS)) * len(groups)) as progress:
        for name, made in {**chosen, **CONTROLS}.items():
            areas, seconds = [], 0.0
            shown: list[Explanation] = []
            for group in groups:
                began = time.perf_counter()
                maps = made(predictor.network, group.x, group.targets, layer)
                seconds += time.perf_counter() - began
                both = [
                    area(predictor.network, group.x, group.targets, maps, score=_score(predictor)) for area in _AREAS
                ]
                areas.append(torch.stack(both))
                shown += list(_explanations(predictor, name, group, maps))[: _SHOWN - len(shown)]
                progress.step(note=name)
            inserted, deleted = torch.cat(areas, 1).mean(1).tolist()
            ms = 1000 * seconds / sum(len(group.pictures) for group in groups)
            rows.append(Faithfulness(name, inserted, deleted, ms, tuple(shown)))
    return rows


_AREAS = (insertion, deletion)
_SHOWN = 6  # images of a comparison that are drawn


@dataclass(frozen=True, eq=False)
class _Group:
    """Some pictures, the network's input, the class asked for, and its score."""

    pictures: list[Picture]
    x: Tensor
    targets: Tensor
    scores: NDArray[np.float64]


def to_input(predictor: Predictor, group: Sequence[Picture]) -> Tensor:
    """Pictures as the normalised tensor `(n, c, h, w)` that the network sees, on its device."""
    device = device_of(predictor.network)
    return network_input(np.stack([picture.pixels for picture in group]), predictor.card.preprocess, device)


def _groups(predictor: Predictor, images: Any, label: str | None) -> Iterator[_Group]:
    card = predictor.card
    if label is not None and label not in card.classes:
        raise UnknownNameError("class", label, card.classes)
    ready = pictures(predictor, images)
    while group := list(itertools.islice(ready, batch_size(card.preprocess))):
        x = to_input(predictor, group)
        with untouched(predictor.network) as quiet, torch.no_grad():
            found = scores(quiet(x.clone()).float().cpu().numpy(), card.scores, card.temperature)
        targets = found.argmax(1) if label is None else np.full(len(group), card.classes.index(label))
        given = found[np.arange(len(group)), targets]
        yield _Group(group, x, torch.from_numpy(targets), given)


def _explanations(predictor: Predictor, method: str, group: _Group, maps: Tensor) -> Iterator[Explanation]:
    rows = zip(group.pictures, group.targets.tolist(), group.scores.tolist(), maps.cpu().numpy(), strict=True)
    for picture, target, score, values in rows:
        yield Explanation(picture, method, predictor.classes[target], score, values)


def _method(predictor: Predictor, name: str) -> Method:
    """A method by its name, as it suits the model's kind of scores."""
    made = find_method(name)
    return partial(occlusion, exclusive=False) if made is occlusion and predictor.card.scores == "sigmoid" else made


def _applies(made: Method, predictor: Predictor, group: _Group, layer: str | None) -> bool:
    try:
        made(predictor.network, group.x[:1], group.targets[:1], layer)
    except OptionError:
        return False
    return True


def _score(predictor: Predictor) -> Any:
    card = predictor.card

    def score(logits: Tensor) -> Tensor:
        return torch.from_numpy(scores(logits.float().cpu().numpy(), card.scores, card.temperature))

    return score


def _aspect(predictor: Predictor, width: int, height: int) -> float:
    preprocess = predictor.card.preprocess
    return width / height if preprocess.resize == "squash" else preprocess.width / preprocess.height


def readable(predictor: Predictor, inputs: Iterable[Input], problems: list[DecodeError]) -> Iterator[Picture]:
    """The images that can be read; why the others cannot be is added to `problems`."""
    for item in inputs:
        try:
            yield picture_of(predictor, item)
        except DecodeError as error:
            problems.append(error)
