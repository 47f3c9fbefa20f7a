"""The samples of a student: views of images with the answers of its teacher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hubel.core.random import permutation
from hubel.data.augment import Policy
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch
from hubel.data.shares import Share
from hubel.training.distillation.answers import AnswerSource, ViewSettings

__all__ = ["TaughtImages"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TaughtImages:
    """Images to train on, of which epoch e shows view e mod V, with the answers of a teacher for that very view.

    Student and teacher see the same augmented crop (Beyer et al. 2022, "Knowledge distillation: a good teacher is
    patient and consistent", arXiv:2106.05237).

    Attributes:
        settings: images and views.
        source: of the answers.
    """

    settings: ViewSettings
    source: AnswerSource

    @property
    def images(self) -> Images:
        """The images, without answers."""
        return self.settings.images

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the images for the student."""
        return self.images.preprocess

    def __len__(self) -> int:
        return len(self.images)

    def epoch(
        self,
        seed: int,
        epoch: int,
        batch_size: int,
        policy: Policy,
        *,
        start: int = 0,
        order: NDArray[np.int64] | None = None,
        share: Share | None = None,
    ) -> Iterator[Batch]:
        """Yield the training batches of an epoch from step `start` on; see `Samples.epoch`.

        Policy and batch size are those of the settings: the answers are for these.
        """
        order = permutation(len(self), seed, epoch) if order is None else order
        view = epoch % self.settings.views

        def batches(images: Images) -> Iterator[Batch]:
            return self.settings.epoch(images, view, start=start, order=order, share=share)

        yield from self.source.answered(batches(self.images), batches, view)

    def in_sequence(self, batch_size: int, *, first: int = 0, every: int = 1) -> Iterator[Batch]:
        """Yield all images in order, without augmentation and without answers."""
        return self.images.in_sequence(batch_size, first=first, every=every)

    def network_input(self, pixels: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
        """Return the pixels of a batch as the student's input."""
        return self.images.network_input(pixels, device)
