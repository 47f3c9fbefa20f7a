"""Training of dense networks above a frozen part of a pretrained backbone; all of it frozen, its maps are stored."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from hubel.core.errors import OptionError
from hubel.core.language import plural, sentence
from hubel.data.augment import Policy
from hubel.data.loading import Images
from hubel.data.samples import Labelled, Samples, blank_input
from hubel.features.extractor import ExtractorSettings, FeatureExtractor
from hubel.inference.engines.registry import AUTO, EngineChoice
from hubel.nn.dense import DenseNetwork
from hubel.nn.freezing import ALL
from hubel.nn.frozen_backbone import TunedDense
from hubel.training.plan import Plan
from hubel.training.transfer import TuningPlan, stored_maps

__all__ = ["FrozenBackbone", "check_frozen_backbone", "freeze_backbone"]


@dataclass(frozen=True, kw_only=True)
class FrozenBackbone:
    """The part of a dense network that trains above a frozen part of its backbone, and its samples.

    Attributes:
        tuned: the part that trains, for the samples below.
        train: training images, or stored maps of them.
        val: validation images, likewise; None where none are held out.
        plan: what is frozen, and of how many views the maps are.
    """

    tuned: nn.Module
    train: Labelled[Samples]
    val: Labelled[Samples] | None
    plan: TuningPlan


def check_frozen_backbone(boundary: str, policy: Policy, images: Images) -> None:
    """Refuse what cannot be stored as maps, before a run is begun.

    Raises:
        OptionError: images change with the epoch in a way that stored maps cannot.
    """
    if boundary == ALL and policy.mosaic:
        raise OptionError("--freeze all computes maps once, and mosaics are made anew in each epoch: leave out one")
    if boundary == ALL and images.objects is not None:
        raise OptionError("--freeze all stores maps of whole images, and these objects are cut out: freeze less")


def freeze_backbone(plan: Plan, network: DenseNetwork) -> FrozenBackbone:
    """Freeze the part of the backbone that the plan names; where it is all, compute or read its maps of each view."""
    backbone = plan.backbone
    assert backbone is not None, "whoever calls has a frozen backbone"
    boundary, policy = backbone.freeze, plan.loop.policy
    tuned = TunedDense(network, boundary, blank_input(plan.preprocess, plan.device))
    train: Labelled[Samples] = plan.train
    val: Labelled[Samples] | None = plan.val
    views = 0
    if boundary == ALL:
        extractor = FeatureExtractor(
            network,
            plan.card,
            ALL,
            settings=ExtractorSettings(
                engine=EngineChoice.parse(plan.pinned.transfer.engine or AUTO),
                threads=plan.threads,
                expected_images=len(plan.train.images) * backbone.views,
                views=policy,
            ),
        )
        train, val, views = stored_maps(plan, extractor, backbone.views)
    stored = plural("freeze.stored", views) if views else ""
    made = TuningPlan(
        boundary=boundary,
        views=views,
        policy=policy,
        hold_norms=False,
        hold_depthwise=False,
        reason=sentence(f"freeze.backbone.{'all' if boundary == ALL else 'part'}", boundary=boundary, stored=stored),
    )
    return FrozenBackbone(tuned=tuned, train=train, val=val, plan=made)
