"""Model card: the description of a model beside its weights. Importing this does not import torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hubel.core.errors import OptionError
from hubel.data.preprocess import Preprocess
from hubel.weights.class_tree import ClassTree
from hubel.weights.coverage import CoverageTable
from hubel.weights.novelty_rule import NoveltyRule
from hubel.weights.own_class import OwnClass
from hubel.weights.skeleton import Skeleton

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DENSE", "MOST_COST", "SCORES", "ModelCard"]

#: Activations of outputs.
SCORES = ("softmax", "sigmoid", "identity")
#: Kinds of output with values at places of the image: scores of each pixel `(classes, h, w)`, boxes, key points.
DENSE = ("maps", "boxes", "points")

_UNFINISHED = "unfinished"  # in the provenance
# Fields that files have only where they say something, so that other files stay as they were.
_ONLY_IF_SET = (
    "tta", "dense", "novelty", "reference", "coverage", "costs", "parents", "shown_score", "skeleton", "conditions",
    "own",
)  # fmt: skip
# Fields that were measured with the very scores or features of one network, and mean nothing for others.
_OF_SCORES = ("novelty", "coverage", "reference", "shown_score")
#: Of a wrong prediction: the sum over all images of the largest datasets stays a number.
MOST_COST = 1e12
_MAX_PIXELS = 2**26  # of one input; bounds the memory that a damaged or hostile card can ask for


@dataclass(frozen=True)
class ModelCard:
    """Description of a model.

    Attributes:
        model: name of the network in the catalogue; of the class where `own` is set.
        classes: class names in the order of the outputs; empty if the outputs are images.
        preprocess: preprocessing of images to network inputs.
        options: options of the network that differ from the catalogue's.
        scores: activation of the outputs: "softmax" (one class per image), "sigmoid" (any number of classes) or
            "identity" (numbers).
        temperature: divisor of the outputs before the activation; above 0.
        provenance: origin of the model, as JSON values.
        task: name of the task in `hubel.tasks.catalogue`; "" derives it, as for files of 0.1.0.
        offset: added to outputs that are numbers, after they are divided by the temperature.
        tta: the scores of the file are the mean over the views of `hubel.inference.tta`, which are part of its graph.
        costs: of predicting each class (column) where each class (row) is true, at least 0; None where all errors cost
            the same. See `hubel.inference.costs`.
        novelty: rule by which an image is of none of the classes; None for a model that has none.
        reference: measurements of the training's images, which new ones are compared with, as JSON values; see
            `hubel.audit.drifting.reference`. Empty where there are none.
        coverage: thresholds of prediction sets; None where the model has none.
        dense: the kind of output of a network that annotates images, see `DENSE`; "" for all others.
        shown_score: from which on objects are shown to users, 0 to 1; 0 where nothing has chosen it.
        skeleton: what the key points, whose names are the classes, are on, and their limbs; None without any.
        parents: the parent of a class, or of another parent, by name; empty where the classes have no hierarchy.
        conditions: names of the classes that an image can be asked for, in the order in which the network takes them;
            empty where it takes none.
        own: class of the network, where it is not of the catalogue; None for all others.

    Raises:
        OptionError: a value is invalid.
        UnknownNameError: there are no classes, and there is no such network; or a parent of no class.
    """

    model: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    options: Mapping[str, Any] = field(default_factory=dict)
    scores: str = "softmax"
    temperature: float = 1.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    offset: float = 0.0
    tta: bool = False
    costs: tuple[tuple[float, ...], ...] | None = None
    novelty: NoveltyRule | None = None
    reference: Mapping[str, Any] = field(default_factory=dict)
    coverage: CoverageTable | None = None
    dense: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    shown_score: float = 0.0
    skeleton: Skeleton | None = None
    own: OwnClass | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(name, str) for name in (*self.classes, *self.conditions)):
            raise OptionError("class names are text")
        if not self.classes and self.output == "vector":
            raise OptionError("a model has at least one class")
        if not self.task:
            object.__setattr__(self, "task", self._derived_task())
        if any(len(set(names)) != len(names) for names in (self.classes, self.conditions)):
            raise OptionError("two classes have the same name")
        if self.dense not in ("", *DENSE):
            raise OptionError(f"the output is {', '.join(DENSE)}, not {self.dense!r}")
        if self.scores not in SCORES:
            raise OptionError(f"scores are {', '.join(SCORES[:-1])} or {SCORES[-1]}, not {self.scores!r}")
        if isinstance(self.offset, bool) or not math.isfinite(self.offset):
            raise OptionError(f"the offset is a number, not {self.offset!r}")
        if isinstance(self.temperature, bool) or not 0 < self.temperature < math.inf:
            raise OptionError(f"the temperature is a positive number, not {self.temperature!r}")
        if isinstance(self.shown_score, bool) or not 0 <= self.shown_score <= 1:
            raise OptionError(f"the score from which on objects are shown is 0 to 1, not {self.shown_score!r}")
        if not isinstance(self.tta, bool):
            raise OptionError(f"tta is true or false, not {self.tta!r}")
        if self.costs is not None:
            _check_costs(self.costs, len(self.classes))
        if self.novelty is not None and not self.classes:
            raise OptionError("a model without classes has no rule for images of none of them")
        if self.coverage is not None and len(self.coverage.class_thresholds) not in (0, len(self.classes)):
            raise OptionError(f"thresholds of coverage are those of {len(self.classes)} classes")
        if self.skeleton is not None and len(self.skeleton.mean) != len(self.classes):
            raise OptionError(f"a skeleton of {len(self.skeleton.mean)} points, where there are {len(self.classes)}")
        if self.parents:
            self.class_tree()  # which refuses what is no hierarchy
        if (pixels := math.prod(self.preprocess.min_size)) > _MAX_PIXELS:
            raise OptionError(f"an input of {pixels:,} pixels is too large; {_MAX_PIXELS:,} is the most")

    @property
    def output(self) -> str:
        """Kind of output; see `Variant.output`.

        Raises:
            UnknownNameError: there are no classes, and there is no such network.
        """
        if self.dense or self.classes:
            return self.dense or "vector"
        from hubel.models.catalogue import find

        return find(self.model)[1].output

    @property
    def without_classes(self) -> str:
        """The purpose of a model without classes, in two words, for messages."""
        return "makes images" if self.output == "samples" else "reconstructs images"

    @property
    def no_scores(self) -> str:
        """The reason that a model without classes gives no scores, and the verbs for it, for messages."""
        shows = "generate MODEL" if self.output == "samples" else "predict MODEL IMAGE --draw FOLDER"
        return (
            f"{self.model} {self.without_classes} and predicts no classes; hubel {shows} shows them, "
            "hubel evaluate MODEL DATA measures it"
        )

    @property
    def unfinished(self) -> bool:
        """The training has not come to its end: these are its best weights so far, and nothing is calibrated."""
        return bool(self.provenance.get(_UNFINISHED))

    def marked_unfinished(self, unfinished: bool) -> ModelCard:
        """Return the card of a training that is, or is no longer, under way; see `unfinished`."""
        others = {name: value for name, value in self.provenance.items() if name != _UNFINISHED}
        return replace(self, provenance={**others, _UNFINISHED: True} if unfinished else others)

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of the classes of what is found: those of the outputs, which of key points are parts of one object."""
        if self.dense != "points":
            return self.classes
        return (self.skeleton.object if self.skeleton else "object",)

    def _derived_task(self) -> str:
        """Return the task of a card without one: 0.1.0 knew three, and did not write them down."""
        if self.classes:
            return "multi_label" if self.provenance.get("multi_label") else "classify"
        return "reconstruct"

    def create(self, module: nn.Module | None = None) -> nn.Module:
        """Build the network with random weights; one of a user's own class is a copy of the module, with its weights.

        Args:
            module: of that class; None for a network of the catalogue.

        Raises:
            OptionError: it has no such options, or nothing that the rule of novelty could be computed from; or the
                module is missing, or cannot take the images.
        """
        if self.own is not None:
            if module is None:
                raise OptionError(f"{self.own.place} is a class of your own, which hubel never imports: give a module")
            from hubel.weights.own_module import own_copy

            return own_copy(module, self.preprocess)
        from hubel.models.catalogue import build_model
        from hubel.nn.freezing import last_linear
        from hubel.nn.network import Network
        from hubel.nn.novelty import Novelty

        network = build_model(
            self.model,
            num_classes=len(self.classes or self.conditions),
            in_channels=self.preprocess.channels,
            input_size=(self.preprocess.height, self.preprocess.width),
            options=self.options,
        )
        if self.novelty is not None:
            layer = last_linear(network) if isinstance(network, Network) else None
            if layer is None or not isinstance(network, Network):
                raise OptionError("it has a rule for images of no class, which needs a last layer that is linear")
            if self.novelty.rank > layer.in_features:
                raise OptionError(f"{self.novelty.rank} directions of novelty among {layer.in_features} features")
            network.novelty = Novelty(layer.in_features, self.novelty.rank)
        return network

    def coverage_table(self) -> CoverageTable:
        """Return the thresholds of prediction sets.

        Raises:
            OptionError: the model has none.
        """
        if self.coverage is None:
            raise OptionError(
                "this model has no calibration for prediction sets; `hubel train` of version 0.2 or later makes models "
                "that have it, where each image has one class and some images are held out: train it again"
            )
        return self.coverage

    def class_tree(self) -> ClassTree:
        """Return the hierarchy of the classes; of one without parents, all classes stand at the top.

        Raises:
            OptionError: an image has not exactly one of the classes; or the parents are no hierarchy.
            UnknownNameError: there is a parent of no class.
        """
        if not self.classes or self.task != "classify":
            raise OptionError(f"a hierarchy needs one class an image; the task {self.task} has none, or several")
        return self._tree

    @cached_property
    def _tree(self) -> ClassTree:
        return ClassTree(self.classes, self.parents)

    def rescored(self, **changes: Any) -> ModelCard:
        """Return a card with some changes for other scores than these, such as a mean over several.

        What was measured with these scores, or with the features that they come from, is left out.
        """
        kept = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OF_SCORES}
        return ModelCard(**{**kept, **changes})

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, optional ones only where they are set."""
        return {name: value for name, value in asdict(self).items() if value or name not in _ONLY_IF_SET}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelCard:
        """Create a card from the values of `to_json`.

        Raises:
            TypeError, ValueError, LookupError: the values are not those of a card.
        """
        kinds = {"model": str, "classes": list, "options": dict, "provenance": dict, "reference": dict, "parents": dict}
        for name, kind in kinds.items():
            if not isinstance(values.get(name, {}) if name in _ONLY_IF_SET else values[name], kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        json.dumps(values, allow_nan=False)  # Python's parser takes NaN, and 1e999 for infinity; JSON has neither
        preprocess, classes = Preprocess.from_json(values["preprocess"]), tuple(values["classes"])
        costs = {"costs": tuple(map(tuple, values["costs"]))} if values.get("costs") is not None else {}
        coverage = CoverageTable.from_json(values["coverage"]) if values.get("coverage") else None
        rule = {"novelty": NoveltyRule.from_json(values["novelty"])} if values.get("novelty") is not None else {}
        asked = {"conditions": tuple(values.get("conditions", ()))}
        form = {"skeleton": Skeleton.from_json(values["skeleton"])} if values.get("skeleton") is not None else {}
        own = {"own": OwnClass.from_json(values["own"])} if values.get("own") is not None else {}
        fixed = {"preprocess": preprocess, "classes": classes, "coverage": coverage}
        return cls(**{**values, **fixed, **costs, **rule, **form, **asked, **own})


def _check_costs(costs: tuple[tuple[float, ...], ...], classes: int) -> None:
    if len(costs) != classes or any(len(row) != classes for row in costs):
        raise OptionError(f"costs are a square of {classes} rows, one for each class")
    if not all(
        isinstance(c, int | float) and not isinstance(c, bool) and 0 <= c <= MOST_COST for r in costs for c in r
    ):
        raise OptionError(f"costs are numbers from 0 to {MOST_COST:g}")
