"""Ensembles: several classifiers in one file, whose scores are the mean over theirs.

The members' probabilities are calibrated, each by itself, before they are averaged. Each member keeps its network and
its normalisation. One file takes images of one size, so all members resize images alike: an image that one of them
would see at 128 pixels cannot be had from the 224 pixels of another, only from the photo.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.core.files import MODEL_FILE
from hubel.core.outputs import output_file
from hubel.core.ranges import check_range
from hubel.core.shell import shell_command
from hubel.core.version import __version__
from hubel.data.preprocess import Preprocess
from hubel.data.sources.kind import Rooted
from hubel.data.taught import Taught
from hubel.export.compose import mean_of_graphs, with_views
from hubel.export.formats import FORMATS
from hubel.export.onnx_graph import OPSET, Parity, check_scores, onnx_network
from hubel.export.quantise import OnnxQuantiser, QuantisationCost, measure_cost
from hubel.export.run import PARITY_IMAGES
from hubel.export.sample import ExportSample, sample_images
from hubel.inference.classifier import Classifier
from hubel.inference.engines.registry import open_onnx
from hubel.inference.onnx_file import described
from hubel.inference.predictor import load_network
from hubel.inference.stream import exported_batch_size
from hubel.inference.tta import VIEWS, Compute, mean_scores
from hubel.metrics.tables import percent
from hubel.tasks.catalogue import find_task
from hubel.weights.card import ModelCard
from hubel.weights.create import means_a_file
from hubel.weights.model_file import model_path

__all__ = ["Ensemble", "EnsembleMember", "ensemble"]

#: Name of the network in the card of an ensemble, which has several.
ENSEMBLE = "ensemble"

# What finds the images that training held out; kept where it is the same for all members.
_SPLIT = ("data", "fingerprint", "multi_label", "stratify", "seed", "shares", "measured", "val_taught")

_ORIGIN = ("data", "seed", "weights", "licence")  # of a member
_MOST_NAMES = 5  # of classes in a message

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class EnsembleMember:
    """A classifier of an ensemble.

    Attributes:
        name: its file or run folder.
        network: its network in the catalogue.
        accuracy: share of the images of `Ensemble.images` that it classifies correctly, 0 to 1; None without labels.
    """

    name: str
    network: str
    accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """An exported ensemble.

    Attributes:
        path: path of the file.
        members: the classifiers, in the order in which they were named.
        parity: comparison with the mean of the members in torch; before quantisation for an int8 file.
        images: description of the images that they were compared on.
        accuracy: share of these images that the ensemble classifies correctly, 0 to 1; None without labels.
        cost: loss due to int8; None for a file in float32.
        tta: text that names the views over which the file averages its scores; "" for the image alone.
    """

    path: Path
    members: tuple[EnsembleMember, ...]
    parity: Parity
    images: str
    accuracy: float | None = None
    cost: QuantisationCost | None = None
    tta: str = ""

    @property
    def columns(self) -> list[str]:
        """Return the headings of `rows`."""
        return ["", "network", *([] if self.accuracy is None else [f"accuracy ({self.images})"])]

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each member, and one for all together."""

        def shown(accuracy: float | None) -> list[str]:
            return [] if accuracy is None else [f"{percent(accuracy, 2)}%"]

        return [
            *((member.name, member.network, *shown(member.accuracy)) for member in self.members),
            ("together", "", *shown(self.accuracy)),
        ]

    def lines(self) -> list[str]:
        """Return the result as lines of text."""
        size = self.path.stat().st_size / 2**20
        return [
            f"parity  {self.parity} ({self.images})",
            *([f"int8    {self.cost}"] if self.cost else []),
            *([f"views   scores are the mean over {self.tta}"] if self.tta else []),
            f"file    {self.path}, {size:.1f} MiB",
            f"use it  {shell_command('hubel', 'predict', self.path, 'IMAGE...')}",
        ]


def ensemble(
    models: Sequence[str | Path],
    output: str | Path = "ensemble.onnx",
    *,
    int8: bool = False,
    data: str | Rooted | None = None,
    max_drop: float = 0.01,
    tta: bool = False,
) -> Ensemble:
    """Write several classifiers as one exported file, whose scores are the mean over theirs.

    Args:
        models: two classifiers or more, as in `hubel.load`, not exported. Their networks and normalisation may differ;
            their classes, in any order, their task and the size of their images are the same.
        output: path of the file.
        int8: True to compute in int8 where that costs little; needs `data`.
        data: images to compare and to calibrate with, see `hubel.export.export`. With labels, the accuracy of each
            member and of all together is measured on those that the training of all held out.
        max_drop: largest cost of int8, for each member and for all together, as a share of all images, 0 to 1.
        tta: True to make the views of `hubel.inference.tta` part of the graph.

    Raises:
        OptionError: the models cannot be averaged, or the file differs too much from them; nothing is written.
        HubelError: a model or the data cannot be read.
    """
    if int8 and data is None:
        raise OptionError("--int8 needs images to calibrate with: --data PHOTOS")
    check_range("--max-drop", 100 * max_drop, 0, 100, unit="percentage points")
    names = [str(model) for model in models]
    if len(set(names)) < max(2, len(names)):
        raise OptionError(f"an ensemble has at least two different models, not {', '.join(names) or 'none'}")
    files = [model_path(Path(name)) for name in names if means_a_file(name)]
    path = output_file(output, ours=FORMATS["onnx"].ours, inputs=[*names, *files, data], flag="--output")
    if path.suffix.lower() != FORMATS["onnx"].suffix:
        raise OptionError(f"an ensemble is an exported file: --output NAME.onnx, not {path.name}")
    loaded = [load_network(name) for name in names]
    cards = [card for _, card in loaded]
    card = ensemble_card(names, cards, tta=tta)
    if tta:
        find_task(card.task).model(*loaded[0], tta=True)  # refuses where scores are not averaged over views
    orders = [_order(member.classes, card.classes) for member in cards]
    sample = sample_images(data, card)
    classifiers = [_classifier(network, member) for network, member in loaded]
    graphs = [onnx_network(network, member) for network, member in loaded]
    exact = whole = mean_of_graphs(graphs, orders, card)

    def mean_of_members(pixels: Pixels) -> NDArray[np.float64]:
        parts = [one.scores(pixels)[:, order] for one, order in zip(classifiers, orders, strict=True)]
        return np.asarray(np.mean(parts, axis=0))

    cost, facts = None, dict[str, Any]()
    if int8:
        quantised = [
            _quantiser(max_drop, sample, order).quantise_with_cost(graph, sample.calibration)
            for graph, order in zip(graphs, orders, strict=True)
        ]
        whole = mean_of_graphs([one.model for one in quantised], orders, card)
        cost = measure_cost(exact, whole, sample.check, sample.targets, max_drop=max_drop)
        facts = {"int8": {**dataclasses.asdict(cost), "members": [one.facts() for one in quantised]}}
    reference: Compute = mean_of_members
    if tta:
        reference = partial(mean_scores, mean_of_members)
        exact, whole = with_views(exact, card), with_views(whole, card)
    parity = check_scores(reference, card, exact, sample.check[:PARITY_IMAGES])
    facts = {
        "opset": OPSET,
        "precision": "int8" if int8 else "float32",
        "parity": parity.to_json(),
        "compared_on": sample.name,
        "made_by": {"hubel": __version__, "torch": torch.__version__},
        **facts,
    }
    FORMATS["onnx"].write(path, loaded[0][0], card, described(whole, card, facts))
    return Ensemble(
        path=path,
        members=tuple(
            EnsembleMember(name=name, network=one.card.model, accuracy=_accuracy(one.scores, one.card, sample, order))
            for name, one, order in zip(names, classifiers, orders, strict=True)
        ),
        parity=parity,
        images=sample.name,
        accuracy=_accuracy(open_onnx("onnxruntime", whole, lanes=1), card, sample, range(len(card.classes))),
        cost=cost,
        tta=VIEWS[card.preprocess.channels] if tta else "",
    )


def ensemble_card(names: Sequence[str], cards: Sequence[ModelCard], *, tta: bool = False) -> ModelCard:
    """Return the card of the mean over several classifiers.

    Args:
        names: names of the models, for the messages.
        cards: their cards, two or more.
        tta: the scores are the mean over views of an image, too.

    Raises:
        OptionError: the classifiers cannot be averaged; says which differs and in what.
    """
    first = cards[0]
    if not first.classes:
        raise OptionError(f"{names[0]} reconstructs images and predicts no classes; an ensemble averages classifiers")
    for name, card in zip(names[1:], cards[1:], strict=True):
        for what, found, expected in (
            ("the task", card.task, first.task),
            ("scores of the kind", card.scores, first.scores),
        ):
            if found != expected:
                raise OptionError(f"{name} has {what} {found} and {names[0]} {expected}; an ensemble averages one kind")
        if difference := _different_classes(card.classes, first.classes):
            raise OptionError(f"{name} has other classes than {names[0]}: {difference}")
        if _geometry(card.preprocess) != _geometry(first.preprocess):
            raise OptionError(
                f"{name} sees images {_in_words(card.preprocess)}, {names[0]} {_in_words(first.preprocess)}; one file "
                "takes images of one size: train the members with the same --size and --resize"
            )
    return first.rescored(
        model=ENSEMBLE,
        options={},
        temperature=first.temperature if first.scores == "identity" else 1.0,
        provenance=_provenance(names, cards),
        tta=tta,
        novelty=None,
        parents=first.parents if all(card.parents == first.parents for card in cards) else {},
    )


def _different_classes(found: Sequence[str], expected: Sequence[str]) -> str:
    """Return the names that are in one only, in words; "" where there are none."""
    parts = [
        f"{word} {', '.join(names[:_MOST_NAMES])}{', ...' if len(names) > _MOST_NAMES else ''}"
        for word, names in (
            ("without", [name for name in expected if name not in found]),
            ("with", [name for name in found if name not in expected]),
        )
        if names
    ]
    return "; ".join(parts)


def _geometry(p: Preprocess) -> Preprocess:
    """Return a preprocessing without its normalisation, which each member has inside."""
    return dataclasses.replace(p, mean=(0.0,) * p.channels, std=(1.0,) * p.channels)


def _in_words(p: Preprocess) -> str:
    kept = f" of {p.crop:.1%}" if p.crop != 1 else ""
    return f"of {p.channels}x{p.height}x{p.width} ({p.resize}{kept}, {p.interpolation})"


def _provenance(names: Sequence[str], cards: Sequence[ModelCard]) -> dict[str, Any]:
    """Return what is known of the images of all members, and where each member comes from."""
    origins = [card.provenance for card in cards]
    split = {name: origins[0][name] for name in _SPLIT if name in origins[0]}
    shared = all({name: other[name] for name in _SPLIT if name in other} == split for other in origins)
    data = {name: value for name, value in split.items() if all(other.get(name) == value for other in origins)}
    taught = [Taught.read(origin) for origin in origins if "taught" in origin]
    return {
        **(split if shared else {name: data[name] for name in ("data", "multi_label") if name in data}),
        **({"taught": reduce(or_, taught).to_json()} if taught else {}),
        "hubel": __version__,
        "members": [
            {
                "name": Path(name).parent.name if Path(name).name == MODEL_FILE else Path(name).name,
                "network": card.model,
                "temperature": card.temperature,
                **{key: card.provenance[key] for key in _ORIGIN if key in card.provenance},
            }
            for name, card in zip(names, cards, strict=True)
        ],
    }


def _order(found: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the position of each wanted class among those found."""
    place = {name: i for i, name in enumerate(found)}
    return [place[name] for name in wanted]


def _classifier(network: nn.Module, card: ModelCard) -> Classifier:
    classifier = find_task(card.task).model(network, card)
    assert isinstance(classifier, Classifier), "a network with classes is one"
    return classifier


def _quantiser(max_drop: float, sample: ExportSample, order: Sequence[int]) -> OnnxQuantiser:
    """Return the quantiser of a member; `order` has the position of each of the ensemble's classes among its own."""
    targets = None if sample.targets is None else np.asarray(order)[sample.targets]
    return OnnxQuantiser(max_drop=max_drop, check=None if targets is None else (sample.check, targets))


def _accuracy(
    compute: Callable[[Pixels], NDArray[Any]], card: ModelCard, sample: ExportSample, order: Sequence[int]
) -> float | None:
    """Return the share of the images that are classified correctly; None where they have no classes."""
    if sample.targets is None:
        return None
    size = exported_batch_size(card)
    batches = [sample.check[start : start + size] for start in range(0, len(sample.check), size)]
    scores = np.concatenate([compute(batch) for batch in batches])[:, list(order)]
    return float((scores.argmax(1) == sample.targets).mean())
