"""Classification: one class an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hubel.core.window import in_order
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.inference.classifier import Classifier
from hubel.inference.costs import cheapest
from hubel.inference.scores import rows, scores
from hubel.inference.stream import batch_size
from hubel.inference.tta import VIEWS
from hubel.metrics.calibration import fit_temperature
from hubel.metrics.classification import measure_classification
from hubel.metrics.hierarchy import measure_hierarchy
from hubel.metrics.imbalance import class_counts, log_shares, prior_shift, recall_weights
from hubel.metrics.novelty import measure_novelty
from hubel.metrics.prediction_sets import coverage_table
from hubel.tasks.classify_evaluation import ClassificationEvaluation
from hubel.tasks.task import Evaluation, FittedHead, LabelledOutputs, Metric, Model, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.tasks.losses import Loss, LossSettings

__all__ = ["Classification", "ClassificationObjective", "predict_rows", "predict_scores"]


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

    sampled: ClassVar[bool] = False
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
    balance: ClassVar[str] = "logit_adjustment"
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
