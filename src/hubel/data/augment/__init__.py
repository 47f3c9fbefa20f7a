"""Changes to training images that keep their class: where each pixel comes from, and what its colours become.

All moves of an image compose into one map, together with the crop and the resize, so that it is interpolated once; all
changes of colour into one matrix. The parameters of a sample are a function of `(seed, epoch, sample)`; see
`hubel.core.random`.
"""

from __future__ import annotations

from hubel.data.augment.apply import change_boxes, change_mask, changed
from hubel.data.augment.changes import Change, draw
from hubel.data.augment.colour import principal_axes
from hubel.data.augment.mixing import mix
from hubel.data.augment.named import POLICIES, VIEWS, find_policy
from hubel.data.augment.policy import Policy
from hubel.data.augment.whole import augment

__all__ = [
    "POLICIES",
    "VIEWS",
    "Change",
    "Policy",
    "augment",
    "change_boxes",
    "change_mask",
    "changed",
    "draw",
    "find_policy",
    "mix",
    "principal_axes",
]
