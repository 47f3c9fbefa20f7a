"""Compute metrics, tables and figures from outputs and targets. Nothing here reads images or runs a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.metrics.average_precision import DetectionMetrics as DetectionMetrics
    from hubel.metrics.average_precision import Rules as Rules
    from hubel.metrics.average_precision import average_precision_intervals as average_precision_intervals
    from hubel.metrics.average_precision import class_matches as class_matches
    from hubel.metrics.average_precision import measure_detections as measure_detections
    from hubel.metrics.calibration import ReliabilityBins as ReliabilityBins
    from hubel.metrics.calibration import fit_temperature as fit_temperature
    from hubel.metrics.calibration import reliability_bins as reliability_bins
    from hubel.metrics.classification import ClassMetrics as ClassMetrics
    from hubel.metrics.classification import LabelMetrics as LabelMetrics
    from hubel.metrics.classification import Metrics as Metrics
    from hubel.metrics.classification import MultiLabelMetrics as MultiLabelMetrics
    from hubel.metrics.classification import measure_classification as measure_classification
    from hubel.metrics.classification import measure_multilabel as measure_multilabel
    from hubel.metrics.classification_intervals import classification_intervals as classification_intervals
    from hubel.metrics.classification_intervals import multi_label_intervals as multi_label_intervals
    from hubel.metrics.frechet import frechet_distance as frechet_distance
    from hubel.metrics.generation import JudgedImages as JudgedImages
    from hubel.metrics.generation import SampleMetrics as SampleMetrics
    from hubel.metrics.generation import measure_samples as measure_samples
    from hubel.metrics.hierarchy import HierarchyMetrics as HierarchyMetrics
    from hubel.metrics.hierarchy import LevelMetrics as LevelMetrics
    from hubel.metrics.hierarchy import SureMetrics as SureMetrics
    from hubel.metrics.hierarchy import measure_hierarchy as measure_hierarchy
    from hubel.metrics.intervals import Interval as Interval
    from hubel.metrics.intervals import PairedDifference as PairedDifference
    from hubel.metrics.intervals import bootstrap as bootstrap
    from hubel.metrics.intervals import compare_paired as compare_paired
    from hubel.metrics.intervals import mcnemar as mcnemar
    from hubel.metrics.intervals import percentile_interval as percentile_interval
    from hubel.metrics.intervals import score_interval as score_interval
    from hubel.metrics.intervals import share_intervals as share_intervals
    from hubel.metrics.intervals import wilson as wilson
    from hubel.metrics.keypoints import COCO_SIGMAS as COCO_SIGMAS
    from hubel.metrics.keypoints import correct_points as correct_points
    from hubel.metrics.keypoints import point_rules as point_rules
    from hubel.metrics.keypoints import share_correct as share_correct
    from hubel.metrics.keypoints import torso_diagonals as torso_diagonals
    from hubel.metrics.novelty import NoveltyMetrics as NoveltyMetrics
    from hubel.metrics.novelty import measure_novelty as measure_novelty
    from hubel.metrics.pose import PoseMetrics as PoseMetrics
    from hubel.metrics.pose import measure_pose as measure_pose
    from hubel.metrics.prediction_sets import SetMetrics as SetMetrics
    from hubel.metrics.prediction_sets import aps_scores as aps_scores
    from hubel.metrics.prediction_sets import conformal_quantile as conformal_quantile
    from hubel.metrics.prediction_sets import coverage_table as coverage_table
    from hubel.metrics.prediction_sets import lac_scores as lac_scores
    from hubel.metrics.prediction_sets import measure_sets as measure_sets
    from hubel.metrics.prediction_sets import raps_scores as raps_scores
    from hubel.metrics.reconstruction import ReconstructionMetrics as ReconstructionMetrics
    from hubel.metrics.reconstruction import measure_reconstruction as measure_reconstruction
    from hubel.metrics.segmentation import SegmentationMetrics as SegmentationMetrics
    from hubel.metrics.segmentation import boundary_f1 as boundary_f1
    from hubel.metrics.segmentation import measure_segmentation as measure_segmentation
    from hubel.metrics.segmentation import pixel_confusion as pixel_confusion
    from hubel.metrics.segmentation import segmentation_intervals as segmentation_intervals
    from hubel.metrics.shown_score import choose_shown_score as choose_shown_score
    from hubel.metrics.tables import confusion_csv as confusion_csv
    from hubel.metrics.tables import per_class_csv as per_class_csv

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.metrics.average_precision": (
            "DetectionMetrics",
            "Rules",
            "average_precision_intervals",
            "class_matches",
            "measure_detections",
        ),
        "hubel.metrics.calibration": ("ReliabilityBins", "fit_temperature", "reliability_bins"),
        "hubel.metrics.classification": (
            "ClassMetrics",
            "LabelMetrics",
            "Metrics",
            "MultiLabelMetrics",
            "measure_classification",
            "measure_multilabel",
        ),
        "hubel.metrics.classification_intervals": ("classification_intervals", "multi_label_intervals"),
        "hubel.metrics.frechet": ("frechet_distance",),
        "hubel.metrics.generation": ("JudgedImages", "SampleMetrics", "measure_samples"),
        "hubel.metrics.hierarchy": ("HierarchyMetrics", "LevelMetrics", "SureMetrics", "measure_hierarchy"),
        "hubel.metrics.intervals": (
            "Interval",
            "PairedDifference",
            "bootstrap",
            "compare_paired",
            "mcnemar",
            "percentile_interval",
            "score_interval",
            "share_intervals",
            "wilson",
        ),
        "hubel.metrics.keypoints": ("COCO_SIGMAS", "correct_points", "point_rules", "share_correct", "torso_diagonals"),
        "hubel.metrics.novelty": ("NoveltyMetrics", "measure_novelty"),
        "hubel.metrics.pose": ("PoseMetrics", "measure_pose"),
        "hubel.metrics.prediction_sets": (
            "SetMetrics",
            "aps_scores",
            "conformal_quantile",
            "coverage_table",
            "lac_scores",
            "measure_sets",
            "raps_scores",
        ),
        "hubel.metrics.reconstruction": ("ReconstructionMetrics", "measure_reconstruction"),
        "hubel.metrics.segmentation": (
            "SegmentationMetrics",
            "boundary_f1",
            "measure_segmentation",
            "pixel_confusion",
            "segmentation_intervals",
        ),
        "hubel.metrics.shown_score": ("choose_shown_score",),
        "hubel.metrics.tables": ("confusion_csv", "per_class_csv"),
    },
)
