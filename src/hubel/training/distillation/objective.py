"""Loss and score of a student: the labels' loss and the teacher's, weighted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hubel.data.samples import Batch, Labelled, Samples
from hubel.tasks.task import Objective
from hubel.training.distillation.losses import DISTILLATION_LOSSES
from hubel.training.plan import DistillationPlan

__all__ = ["UNLABELLED", "TaughtObjective"]

#: The target of an image without a label.
UNLABELLED = -1


@dataclass(frozen=True, kw_only=True)
class TaughtObjective:
    """The loss `(1 - w) L_label + w L_teacher`, and the score of the labels alone.

    Targets of a batch that has a teacher's answers are `(n, 1 + k)`: the label, `UNLABELLED` without one, and the
    answers. An image without a label has the second part of the loss alone; its class is the teacher's where one is
    needed. Mixed images (mixup, CutMix) have two labels, weighted by their shares, and one answer: what the teacher
    says of the very mixture.

    Attributes:
        objective: of the labels.
        plan: loss, temperature and weight.
        classes: their number; a student's outputs beyond are a map that is to be like the teacher's.
    """

    objective: Objective
    plan: DistillationPlan
    classes: int

    sampled: ClassVar[bool] = False

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the labels of a batch, with the teacher's answers behind them where it has any."""
        if batch.answers is None:
            return self.objective.targets(data, batch)
        labels = self.objective.targets(data, batch).to(torch.float32)
        return torch.cat([labels[:, None], torch.from_numpy(batch.answers)], 1)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the training losses `(n,)`; those of the labels alone where the targets have no answers."""
        if targets.ndim == 1:
            return self.objective.losses(outputs[:, : self.classes], targets)
        labels, answers = self._parts(targets)
        outputs, known = outputs.float(), labels >= 0
        logits = outputs[:, : self.classes]
        loss = DISTILLATION_LOSSES[self.plan.loss]
        compared = outputs[:, self.classes :] if loss.maps else logits
        classes = labels.clamp(min=0) if loss.maps else torch.where(known, labels, answers.argmax(1))
        taught = loss.compute(compared, answers, classes, self.plan.temperature)
        labelled = torch.where(known, self.objective.losses(logits, classes), 0.0)
        return (1 - self.plan.weight) * labelled + self.plan.weight * taught

    def validation_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the losses `(n,)` of the labels alone."""
        return self.objective.validation_losses(outputs, targets)

    def validation_weights(self, targets: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return weights of the validation images as the labels' objective has them."""
        return self.objective.validation_weights(targets)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether each image gets its label; one without a label, the teacher's class."""
        if targets.ndim == 1:
            return self.objective.correct(outputs[:, : self.classes], targets)
        labels, answers = self._parts(targets)
        if not DISTILLATION_LOSSES[self.plan.loss].maps:
            labels = torch.where(labels >= 0, labels, answers.argmax(1))
        return self.objective.correct(outputs[:, : self.classes], labels)

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return columns of `metrics.csv` as the labels' objective has them."""
        return self.objective.row(split, loss, correct)

    def _parts(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        return targets[:, 0].long(), targets[:, 1:]
