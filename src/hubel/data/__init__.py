"""Images: where they come from, how one becomes a tensor, which split it is in, how it reaches the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.data.annotation import AnnotatedSource as AnnotatedSource
    from hubel.data.annotation import Annotation as Annotation
    from hubel.data.annotation_counts import AnnotationCounts as AnnotationCounts
    from hubel.data.annotation_counts import count_annotations as count_annotations
    from hubel.data.augment.apply import transform_annotation as transform_annotation
    from hubel.data.augment.apply import transform_boxes as transform_boxes
    from hubel.data.augment.apply import transform_image as transform_image
    from hubel.data.augment.apply import transform_mask as transform_mask
    from hubel.data.augment.apply import transform_points as transform_points
    from hubel.data.augment.draws import Augmentation as Augmentation
    from hubel.data.augment.draws import draw_augmentations as draw_augmentations
    from hubel.data.augment.named import POLICIES as POLICIES
    from hubel.data.augment.named import find_policy as find_policy
    from hubel.data.augment.policy import Policy as Policy
    from hubel.data.augment.preview import Preview as Preview
    from hubel.data.augment.preview import preview_policy as preview_policy
    from hubel.data.dataset import ClassCounts as ClassCounts
    from hubel.data.dataset import Dataset as Dataset
    from hubel.data.dataset import open_dataset as open_dataset
    from hubel.data.decode import Decoded as Decoded
    from hubel.data.decode import decode as decode
    from hubel.data.index import Index as Index
    from hubel.data.index import scan as scan
    from hubel.data.inputs import Input as Input
    from hubel.data.inputs import collect as collect
    from hubel.data.loading import Images as Images
    from hubel.data.preprocess import Preprocess as Preprocess
    from hubel.data.reading import Limits as Limits
    from hubel.data.samples import Batch as Batch
    from hubel.data.samples import Labelled as Labelled
    from hubel.data.shards import Streamed as Streamed
    from hubel.data.shards import stream_shards as stream_shards
    from hubel.data.sources import open_source as open_source
    from hubel.data.sources.arrays import ArraySource as ArraySource
    from hubel.data.sources.kind import Rooted as Rooted
    from hubel.data.sources.listing import Listing as Listing
    from hubel.data.sources.listing import Source as Source
    from hubel.data.splits import Splits as Splits
    from hubel.data.splits import split as split

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.data.annotation": ("AnnotatedSource", "Annotation"),
        "hubel.data.annotation_counts": ("AnnotationCounts", "count_annotations"),
        "hubel.data.augment.apply": (
            "transform_annotation",
            "transform_boxes",
            "transform_image",
            "transform_mask",
            "transform_points",
        ),
        "hubel.data.augment.draws": ("Augmentation", "draw_augmentations"),
        "hubel.data.augment.named": ("POLICIES", "find_policy"),
        "hubel.data.augment.policy": ("Policy",),
        "hubel.data.augment.preview": ("Preview", "preview_policy"),
        "hubel.data.dataset": ("ClassCounts", "Dataset", "open_dataset"),
        "hubel.data.decode": ("Decoded", "decode"),
        "hubel.data.index": ("Index", "scan"),
        "hubel.data.inputs": ("Input", "collect"),
        "hubel.data.loading": ("Images",),
        "hubel.data.samples": ("Batch", "Labelled"),
        "hubel.data.preprocess": ("Preprocess",),
        "hubel.data.reading": ("Limits",),
        "hubel.data.shards": ("Streamed", "stream_shards"),
        "hubel.data.sources": ("open_source",),
        "hubel.data.sources.arrays": ("ArraySource",),
        "hubel.data.sources.kind": ("Rooted",),
        "hubel.data.sources.listing": ("Listing", "Source"),
        "hubel.data.splits": ("Splits", "split"),
    },
)
