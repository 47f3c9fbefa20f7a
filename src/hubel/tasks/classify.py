"""Classification: one class an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hubel.core.window import in_order
from hubel.data.loading import Batch, Images, Labelled, Samples
from hubel.inference.classifier import Classifier
from hubel.inference.costs import cheapest
from hubel.inference.scores import rows, scores
from hubel.inference.stream import batch_size
from hubel.inference.tta import VIEWS
from hubel.metrics import figures
from hubel.metrics.advice import advice
from hubel.metrics.calibration import fit_temperature
from hubel.metrics.classification import (
    ClassMetrics,
    LabelMetrics,
    Metrics,
    MultiLabelMetrics,
    measure_classification,
    ranks,
    sample_losses,
)
from hubel.metrics.classification_intervals import classification_intervals, few_images
from hubel.metrics.costs import CostMetrics, measure_costs
from hubel.metrics.hierarchy import HierarchyMetrics, hierarchy_rows, level_table, measure_hierarchy
from hubel.metrics.imbalance import class_counts, inequality, log_shares, prior_shift, recall_weights
from hubel.metrics.intervals import Interval
from hubel.metrics.novelty import NoveltyMetrics, measure_novelty
from hubel.metrics.prediction_sets import coverage_table
from hubel.metrics.report_items import Drawing, FileGroup, PredictionTable, ReportTable, Tile
from hubel.metrics.single_images import group_mistakes, rounded, score_columns
from hubel.metrics.tables import confusion_csv, per_class_csv, percent, percent_range, value_range
from hubel.plots.contact_sheet import contact_sheet
from hubel.tasks.task import Evaluation, FittedHead, LabelledOutputs, Metric, Model, Quality, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.tasks.losses import Loss, LossSettings

__all__ = [
    "Classification",
    "ClassificationEvaluation",
    "ClassificationObjective",
    "ScoresEvaluation",
    "measure_sure",
    "per_class_table",
    "predict_rows",
    "predict_scores",
    "share_tile",
]

_UNEQUAL = 2.0  # times as many images as the rarest class has
_HARDEST = 24  # images on the contact sheet of the highest losses


def _float_tensor(values: NDArray[np.float64]) -> Tensor:
    import torch  # what only evaluates exported files does without

    return torch.from_numpy(values.astype(np.float32))


@dataclass(frozen=True, kw_only=True)
class ClassificationObjective:
    """Logits `(n, classes)` against one class an image, or a set of classes.

    Attributes:
        losses: of training.
        validation_losses: without label smoothing, weights and adjustment.
        score: the name of the share that is correct.
        balanced: classes count alike on the validation images, whose score is the mean recall of the classes.
    """

    losses: Loss
    validation_losses: Loss
    score: str
    balanced: bool = False

    @classmethod
    def of(
        cls, settings: LossSettings, targets: NDArray[Any], device: torch.device, classes: int | None = None
    ) -> Self:
        """Return the objective for the targets of the training images: `(n,)`, or 0 and 1 `(n, classes)`.

        Args:
            settings: of the loss.
            targets: of the training images.
            device: of the network.
            classes: their number; if None, no class has a larger number than the largest among the targets.
        """
        from hubel.tasks.losses import Loss, class_weights  # what only evaluates exported files does without

        if classes is None:
            classes = int(targets.max()) + 1 if targets.ndim == 1 else targets.shape[1]
        weights = offsets = None
        if settings.balance in ("inverse", "effective"):
            weights = class_weights(targets, classes, settings.balance).to(device)
        if settings.balance == "logit_adjustment":
            offsets = _float_tensor(log_shares(class_counts(targets, classes))).to(device)
        return cls(
            losses=Loss(settings.name, settings.label_smoothing, weights, offsets),
            validation_losses=Loss(settings.name),
            score="top1" if targets.ndim == 1 else "exact",
            balanced=settings.balance != "none" and targets.ndim == 1,
        )

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the labels of a batch."""
        import torch  # what only evaluates exported files does without

        return torch.from_numpy(data.targets[batch.positions])

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether each image `(n,)` gets exactly its class, or its set of classes."""
        if targets.ndim == 1:
            return outputs.argmax(1) == targets
        return ((outputs > 0) == (targets > 0.5)).all(1)

    def validation_weights(self, targets: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return weights with which the classes count alike, where training treats them so."""
        return recall_weights(targets) if self.balanced else None

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return loss and accuracy; of the validation images the macro recall, where classes count alike."""
        score = "macro_recall" if self.balanced and split == "val" else self.score
        return {f"{split}_loss": loss, f"{split}_{score}": correct}


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoresEvaluation(Evaluation):
    """Scores of classes measured against labels.

    Attributes:
        metrics: the numbers.
        probabilities: scores `(n, classes)`, calibrated.
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`.
        tta: text that names the views of an image over which scores are averaged; "" for the image alone.
    """

    metrics: Metrics | MultiLabelMetrics
    probabilities: NDArray[np.float64]
    targets: NDArray[Any]
    tta: str = ""

    @property
    def per_class(self) -> tuple[ClassMetrics, ...]:
        """The metrics of each class."""
        return self.metrics.per_class

    def remarks(self, split: str) -> list[str]:
        """Return a remark on classes with few images."""
        return few_images(self.metrics.per_class, split)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return self.metrics.to_json() | ({"tta": self.tta} if self.tta else {})

    def footnote(self) -> str:
        """Return the definitions of the numbers."""
        return f"{PER_CLASS_FOOTNOTE} {INTERVAL_FOOTNOTE}"


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassificationEvaluation(ScoresEvaluation):
    """A classifier of one class an image, measured on labelled images.

    Attributes:
        costs: by which the class is chosen, `(classes, classes)`; None where it is the most probable one.
        novelty: of each image, `(n,)`; None of a model without a rule for unknown images, as is the next one.
        novelty_metrics: numbers on the novelty.
        unknown: novelty of images of none of the classes, `(m,)`; None where there are none.
        hierarchy: numbers at each level above the classes; None of a model whose classes have none.
    """

    metrics: Metrics
    costs: NDArray[np.float64] | None = None
    novelty: NDArray[np.float64] | None = None
    novelty_metrics: NoveltyMetrics | None = None
    unknown: NDArray[np.float64] | None = None
    hierarchy: HierarchyMetrics | None = None

    @cached_property
    def cost_metrics(self) -> CostMetrics | None:
        """Costs of the decisions; None for a model without costs."""
        if self.costs is None:
            return None
        return measure_costs(self.probabilities, self.targets, self.costs, self.metrics.classes)

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        return self.metrics.top1

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        found = {"novelty": self.novelty_metrics, "costs": self.cost_metrics, "hierarchy": self.hierarchy}
        return super().to_json() | {name: one.to_json() for name, one in found.items() if one is not None}

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of top-1, top-5 and the macro metrics."""
        return classification_intervals(self.metrics, self.targets, self.predicted)

    def quality(self) -> Quality:
        """Return which images are classified correctly."""
        return Quality(name="accuracy", values=self.predicted == self.targets)

    def headline(self, split: str) -> str:
        """Return the accuracy in one sentence, with the mean recall of the classes where these are unequal."""
        m = self.metrics
        balanced = f", {percent(m.macro_recall)}% of a class in the mean" if self._unequal else ""
        return (
            f"{percent(m.top1)}% of {m.n:,} {split} images are classified correctly "
            f"(95% interval {percent_range(self.intervals['top1'])}){balanced}."
        )

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m, intervals = self.metrics, self.intervals
        top5: list[tuple[str, ...]] = []
        if m.top5 is not None:
            top5 = [("top-5 accuracy", f"{percent(m.top5, 2)}%", percent_range(intervals["top5"]))]
        return [
            (f"top-1 accuracy ({split})", f"{percent(m.top1, 2)}%", percent_range(intervals["top1"])),
            *([] if self.hierarchy is None else hierarchy_rows(self.hierarchy)),
            *self._cost_rows(),
            *top5,
            ("macro precision", f"{m.macro_precision:.4f}", value_range(intervals["macro_precision"])),
            ("macro recall", f"{m.macro_recall:.4f}", value_range(intervals["macro_recall"])),
            (f"macro F1{self._left_out()}", f"{m.macro_f1:.4f}", value_range(intervals["macro_f1"])),
            ("expected calibration error", f"{m.ece:.4f}"),
            ("images", f"{m.n:,}"),
            *((name, value) for name, value, _ in self._novelty_rows()),
        ]

    def _novelty_rows(self) -> list[tuple[str, str, str]]:
        """Return name, value and meaning of the numbers on novelty."""
        found = self.novelty_metrics
        if found is None:
            return []
        rows = [("called unknown", f"{percent(found.rejected, 2)}%", "of the images of the classes; wrongly")]
        if found.found is None or found.auroc is None or found.fpr95 is None:
            return rows
        which = f"of {found.unknown_images:,} unknown images"
        return [
            *rows,
            ("unknown found", f"{percent(found.found, 2)}%", f"{which} are called unknown"),
            (
                "unknown AUROC",
                f"{found.auroc:.4f}",
                "probability that an unknown image is newer than a known one",
            ),
            ("unknown FPR at 95% TPR", f"{percent(found.fpr95, 2)}%", f"{which} pass where 95% of the others do"),
        ]

    def _cost_rows(self) -> list[tuple[str, str]]:
        found = self.cost_metrics
        if found is None:
            return []
        return [
            ("mean cost", f"{found.mean:.4g}"),
            ("mean cost of the most probable class", f"{found.of_most_probable:.4g}"),
            (f"mean cost of always {found.constant}", f"{found.of_constant:.4g}"),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m, intervals = self.metrics, self.intervals
        top5 = []
        if m.top5 is not None:
            top5 = [share_tile("Top-5", m.top5, "true class among the five most probable", intervals["top5"])]
        return [
            share_tile("Top-1", m.top1, "most probable class is the true one", intervals["top1"]),
            *(Tile(name=name.capitalize(), value=value, meaning="per image") for name, value in self._cost_rows()),
            *top5,
            *(
                [share_tile("Macro recall", m.macro_recall, "mean over classes", intervals["macro_recall"])]
                if self._unequal
                else []
            ),
            share_tile("Macro F1", m.macro_f1, f"mean over classes{self._left_out()}", intervals["macro_f1"]),
            Tile(name="Loss", value=f"{m.nll:.3f}", meaning="mean negative log-likelihood, nats"),
            share_tile("Calibration error", m.ece, "mean gap between confidence and accuracy"),
            *(Tile(name=name.capitalize(), value=value, meaning=text) for name, value, text in self._novelty_rows()),
        ]

    @property
    def _unequal(self) -> bool:
        """Some class has so many more images than another that accuracy says little of the rare ones."""
        return inequality(self.metrics.confusion.sum(1)) >= _UNEQUAL

    def _left_out(self) -> str:
        """Return how many classes macro numbers leave out although they are predicted; "" for none."""
        n = self.metrics.predicted_without_images
        return f", without {n} predicted {'class' if n == 1 else 'classes'} that no image has" if n else ""

    def report_tables(self) -> list[ReportTable]:
        """Return the confused classes, the levels of a hierarchy, and the classes."""
        levels = [] if self.hierarchy is None else [level_table(self.hierarchy.levels)]
        tables = [*levels, per_class_table(self.metrics.per_class)]
        confused = [(true, predicted, f"{n:,}") for true, predicted, n in self.metrics.most_confused()]
        if not confused:
            return tables
        columns = ("Label", "Predicted", "Images")
        table = ReportTable(heading="Most confused", columns=columns, rows=confused, text_columns=2, above_figures=True)
        return [table, *tables]

    def footnote(self) -> str:
        """Return the definitions of the numbers."""
        return (
            f"{super().footnote()} Calibration error: over 15 equal bins of confidence, the mean distance between "
            "confidence and accuracy (Guo et al. 2017)."
        )

    def files(self) -> dict[str, str]:
        """Return the confusion matrix and the classes as CSV."""
        return {"confusion.csv": confusion_csv(self.metrics), "per_class.csv": per_class_csv(self.metrics)}

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The number of the predicted class of each image, `(n,)`."""
        return self.probabilities.argmax(1) if self.costs is None else cheapest(self.probabilities, self.costs)

    def prediction_table(self) -> PredictionTable:
        """Return label, prediction, its score, the rank of the label, and scores of classes."""
        p, classes, predicted = self.probabilities, self.metrics.classes, self.predicted
        return PredictionTable(
            facts={
                "label": [classes[i] for i in self.targets],
                "prediction": [classes[i] for i in predicted],
                "score": rounded(p[np.arange(len(p)), predicted]),
                "rank": ranks(p, self.targets).tolist(),
                **self._novelty_columns(),
                **self._sure_columns(),
            },
            scores=score_columns(p, classes),
        )

    def _novelty_columns(self) -> dict[str, list[Any]]:
        if self.novelty is None or self.novelty_metrics is None:
            return {}
        unknown = self.novelty > self.novelty_metrics.threshold
        return {"novelty": rounded(self.novelty), "unknown": ["true" if one else "false" for one in unknown]}

    def _sure_columns(self) -> dict[str, list[Any]]:
        sure = None if self.hierarchy is None else self.hierarchy.sure
        return {} if sure is None else {"ancestor": list(sure.answers), "ancestor_score": rounded(sure.scores)}

    def mistakes(self) -> list[FileGroup]:
        """Return the wrongly classified images by label and prediction, of each pair the most confident first."""
        classes, predicted = self.metrics.classes, self.predicted
        wrong = np.flatnonzero(predicted != self.targets)
        scores = self.probabilities[wrong, predicted[wrong]]
        wrong = wrong[np.argsort(-scores, kind="stable")]
        return group_mistakes(
            [self.images.path(at) for at in wrong.tolist()],
            [classes[i] for i in self.targets[wrong]],
            [classes[i] for i in predicted[wrong]],
            [f"{percent(self.probabilities[at, predicted[at]])}%" for at in wrong.tolist()],
        )

    def drawings(self) -> list[Drawing]:
        """Return confusions, classes, confidence and the highest losses."""
        m, classes = self.metrics, self.metrics.classes
        losses = sample_losses(self.probabilities, self.targets)
        hardest = np.argsort(-losses, kind="stable")[:_HARDEST]
        predicted = self.predicted[hardest]
        captions = [
            f"{classes[guess]} {self.probabilities[row, guess]:.0%}\nlabel {classes[self.targets[row]]}"
            for row, guess in zip(hardest.tolist(), predicted.tolist(), strict=True)
        ]
        histogram = []
        if self.novelty is not None and self.unknown is not None and self.novelty_metrics is not None:
            histogram.append(
                Drawing(
                    name="novelty",
                    heading="Unknown images",
                    caption="Images right of the threshold are called unknown.",
                    figure=figures.novelty_histogram(self.novelty, self.unknown, self.novelty_metrics.threshold),
                )
            )
        return [
            Drawing(
                name="confusion",
                heading="Confusion matrix",
                caption="Rows: labels. Columns: predictions.",
                figure=figures.confusion_matrix(m.confusion, classes),
            ),
            Drawing(
                name="classes",
                heading="Classes",
                caption="F1 of each class, with precision and recall.",
                figure=figures.class_bars(m),
            ),
            Drawing(
                name="reliability",
                heading="Confidence",
                caption="Accuracy of the predictions of each confidence.",
                figure=figures.reliability(self.probabilities, self.targets),
            ),
            *histogram,
            Drawing(
                name="worst",
                heading="Highest losses",
                caption="The prediction with its confidence, and the label.",
                figure=contact_sheet(list(self.images.pixels(hardest)), captions, "Highest losses"),
            ),
        ]

    def advice(self, training_images: Mapping[str, int]) -> list[str]:
        """Return sentences on the weakest classes and the commonest confusions."""
        return advice(self.metrics, training_images)


def measure_sure(evaluation: Evaluation, card: ModelCard, sure: float) -> Evaluation:
    """Return an evaluation with the answers of which the model is sure; see `Classifier.ancestor`.

    Raises:
        OptionError: `sure` is out of range, or an image has not exactly one of the classes.
    """
    tree = card.class_tree()
    assert isinstance(evaluation, ClassificationEvaluation)
    probabilities, predicted = evaluation.probabilities, evaluation.predicted
    found = measure_hierarchy(tree, evaluation.targets, predicted, probabilities, sure=sure)
    return dataclasses.replace(evaluation, hierarchy=found)


PER_CLASS_FOOTNOTE = (
    "Precision: of the images that are predicted to have a class, the share that have it. Recall: of the images that "
    "have a class, the share that are predicted to have it. F1: the harmonic mean of the two. Macro numbers are means "
    "over the classes that have images; a class that is predicted but has none counts in none of them."
)


INTERVAL_FOOTNOTE = (
    "95% interval: of the intervals of many sets of such images, 95 in 100 contain the number that endless images "
    "would give (shares: Wilson 1927; other numbers: bootstrap)."
)


def per_class_table(per_class: Sequence[ClassMetrics]) -> ReportTable:
    """Return the table of the classes for the report, with a bar for F1; classes without images are greyed out."""
    shares = ["precision", "recall", *(["average_precision"] if isinstance(per_class[0], LabelMetrics) else []), "f1"]
    names = {"f1": "F1 %"}
    rows = [
        (
            one.name,
            f"{one.support:,}",
            *(percent(getattr(one, share)) if one.support else "\N{EN DASH}" for share in shares),
            percent_range(Interval(one.recall_low, one.recall_high)) if one.support else "\N{EN DASH}",
        )
        for one in per_class
    ]
    columns = [names.get(share, f"{share.replace('_', ' ').capitalize()} %") for share in shares]
    return ReportTable(
        heading="Each class",
        columns=("Class", "Images", *columns, "95% interval of recall"),
        rows=rows,
        bars=[one.f1 if one.support else None for one in per_class],
    )


def share_tile(name: str, share: float, meaning: str, interval: Interval | None = None) -> Tile:
    """Return a headline number that is a share from 0 to 1."""
    text = "" if interval is None else percent_range(interval)
    return Tile(name=name, value=f"{percent(share)}%", meaning=meaning, interval=text)


def predict_scores(model: Classifier, images: Images) -> NDArray[np.float64]:
    """Return scores `(n, classes)` of images, each decoded once."""
    return predict_rows(model, images)[:, : len(model.classes)]


def predict_rows(model: Classifier, images: Images) -> NDArray[np.float64]:
    """Return the rows of images, see `Classifier.rows`; each image is decoded once."""
    compute, lanes = model.for_many(len(images))
    batches = images.in_sequence(batch_size(images.preprocess))
    with ThreadPoolExecutor(lanes) as pool:
        return np.concatenate(list(in_order(pool, lambda batch: compute(batch.pixels), batches, ahead=lanes + 1)))


class Classification(Task):
    """One class an image: softmax and cross-entropy, top-1 accuracy."""

    name: ClassVar[str] = "classify"
    summary: ClassVar[str] = "predict one class for each image"
    pipeline_tag: ClassVar[str] = "image-classification"
    exclusive: ClassVar[bool] = True
    knows_novelty: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "bce", "mse")
    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": Metric("top1"),
        "macro_f1": Metric("macro_f1"),
        "macro_recall": Metric("macro_recall"),
        "loss": Metric("nll", lower=True),
    }

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> ClassificationObjective:
        """Return loss and accuracy."""
        return ClassificationObjective.of(settings, targets, device, len(card.classes))

    def fit_head(
        self,
        features: NDArray[np.float32],
        targets: NDArray[Any],
        card: ModelCard,
        loss: LossSettings,
        seed: int,
        strength: float | None = None,
    ) -> FittedHead:
        """Fit a logistic regression; its strength is chosen by cross-validation."""
        import torch

        from hubel.features.probe import fit_probe  # what only evaluates exported files does without
        from hubel.tasks.losses import class_weights, sample_weights

        classes, weights, offsets = len(card.classes), None, None
        if loss.balance == "logit_adjustment":
            offsets = log_shares(class_counts(targets, classes))
        elif loss.balance != "none":
            # To draw the classes equally often is to weigh them so, but for chance, which a convex fit needs not.
            method = "inverse" if loss.balance == "sampling" else loss.balance
            weights = sample_weights(torch.from_numpy(targets), class_weights(targets, classes, method)).numpy()
        probe = fit_probe(
            features, targets, classes, seed=seed, sample_weight=weights, log_prior=offsets, strength=strength
        )
        return FittedHead(
            weight=probe.weight,
            bias=probe.bias,
            score=probe.accuracy,
            left_out=probe.left_out,
            strength=probe.strength,
        )

    def neighbours_score(self, features: NDArray[np.float32], targets: NDArray[Any], card: ModelCard) -> float:
        """Return the leave-one-out accuracy of 5 nearest neighbours."""
        from hubel.features.probe import neighbours_accuracy  # what only evaluates exported files does without

        return neighbours_accuracy(features, targets, len(card.classes))

    def calibrates(self, card: ModelCard) -> bool:
        """Return whether the scores are those of softmax."""
        return card.scores == "softmax"

    def calibrate(self, logits: NDArray[np.float32], targets: NDArray[Any], card: ModelCard) -> ModelCard:
        """Return the card with the temperature that suits validation images.

        Where the scores assume other shares of the classes than those of the images, the temperature is that with which
        the scores are right once they are brought to these shares.
        """
        shift = prior_shift(card.provenance)
        return dataclasses.replace(card, temperature=round(fit_temperature(logits, targets, log_shift=shift), 6))

    def calibrate_sets(self, held_out: LabelledOutputs, card: ModelCard) -> ModelCard:
        """Return the card with thresholds of prediction sets."""
        return dataclasses.replace(card, coverage=coverage_table(scores(held_out.outputs, card), held_out.targets))

    def model(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> Model:
        """Return a predictor."""
        from hubel.inference.predictor import Predictor  # what only evaluates exported files does without

        return Predictor(network, card, tta=tta)

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> Evaluation:
        """Measure a classifier, exported or not."""
        assert isinstance(model, Classifier)
        tta = VIEWS[images.preprocess.channels] if model.tta or model.card.tta else ""
        return self._evaluate_rows(predict_rows(model, images), model.card, images, targets, tta)

    def evaluate_outputs(
        self, outputs: NDArray[np.float32], card: ModelCard, images: Images, targets: NDArray[Any]
    ) -> Evaluation:
        """Measure logits `(n, classes)`; with the novelty behind them where the model has a rule for that."""
        return self._evaluate_rows(rows(outputs, card), card, images, targets)

    def _evaluate_rows(
        self, found: NDArray[np.float64], card: ModelCard, images: Images, targets: NDArray[Any], tta: str = ""
    ) -> Evaluation:
        classes = len(card.classes)
        evaluation = self.evaluate_scores(found[:, :classes], card, images, targets, tta)
        if card.novelty is None or found.shape[1] == classes or not isinstance(evaluation, ClassificationEvaluation):
            return evaluation
        novelty = found[:, classes]
        measured = measure_novelty(novelty, card.novelty.threshold)
        return dataclasses.replace(evaluation, novelty=novelty, novelty_metrics=measured)

    def with_unknown(self, evaluation: Evaluation, model: Model, images: Images) -> Evaluation:
        """Add how well images of none of the classes are told from the others."""
        rule = model.card.novelty
        assert isinstance(model, Classifier)
        assert isinstance(evaluation, ClassificationEvaluation)
        assert rule is not None
        assert evaluation.novelty is not None
        novelty = predict_rows(model, images)[:, -1]
        measured = measure_novelty(evaluation.novelty, rule.threshold, novelty)
        return dataclasses.replace(evaluation, novelty_metrics=measured, unknown=novelty)

    def evaluate_scores(
        self, found: NDArray[np.float64], card: ModelCard, images: Images, targets: NDArray[Any], tta: str = ""
    ) -> Evaluation:
        """Measure scores `(n, classes)`, averaged over the views that `tta` names."""
        # Scores of independent outputs do not sum to 1; among exclusive classes their shares are compared.
        if card.scores == "sigmoid":
            found = found / found.sum(1, keepdims=True)
        predicted = None if card.costs is None else cheapest(found, card.costs)
        chosen = found.argmax(1) if predicted is None else predicted
        return ClassificationEvaluation(
            metrics=measure_classification(found, targets, card.classes, predicted=predicted),
            probabilities=found,
            targets=targets,
            images=images,
            tta=tta,
            costs=None if card.costs is None else np.array(card.costs, np.float64),
            hierarchy=measure_hierarchy(card.class_tree(), targets, chosen, found) if card.parents else None,
        )
