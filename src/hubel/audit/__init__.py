"""Check data sets and models: label errors, duplicates, outliers; robustness under corruption; drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.audit.data_check import DatasetCheck as DatasetCheck
    from hubel.audit.data_check import Suspect as Suspect
    from hubel.audit.data_check import check_dataset as check_dataset
    from hubel.audit.drifting.compare import Drift as Drift
    from hubel.audit.drifting.compare import DriftTest as DriftTest
    from hubel.audit.drifting.compare import drift as drift
    from hubel.audit.duplicates import Duplicates as Duplicates
    from hubel.audit.duplicates import find_duplicates as find_duplicates
    from hubel.audit.duplicates import thumbnails as thumbnails
    from hubel.audit.label_errors import LabelRanking as LabelRanking
    from hubel.audit.label_errors import label_errors as label_errors
    from hubel.audit.label_errors import out_of_fold as out_of_fold
    from hubel.audit.outliers import Outliers as Outliers
    from hubel.audit.outliers import outliers as outliers
    from hubel.audit.robustness.accuracy import Robustness as Robustness
    from hubel.audit.robustness.accuracy import mce as mce
    from hubel.audit.robustness.accuracy import measure_robustness as measure_robustness
    from hubel.audit.robustness.accuracy import relative_mce as relative_mce
    from hubel.audit.robustness.corruptions import CORRUPTIONS as CORRUPTIONS
    from hubel.audit.robustness.corruptions import corrupt as corrupt
    from hubel.audit.robustness.run import MeasuredRobustness as MeasuredRobustness
    from hubel.audit.robustness.run import robustness_files as robustness_files

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.audit.data_check": ("DatasetCheck", "Suspect", "check_dataset"),
        "hubel.audit.drifting.compare": ("Drift", "DriftTest", "drift"),
        "hubel.audit.duplicates": ("Duplicates", "find_duplicates", "thumbnails"),
        "hubel.audit.label_errors": ("LabelRanking", "label_errors", "out_of_fold"),
        "hubel.audit.outliers": ("Outliers", "outliers"),
        "hubel.audit.robustness.accuracy": ("Robustness", "mce", "measure_robustness", "relative_mce"),
        "hubel.audit.robustness.corruptions": ("CORRUPTIONS", "corrupt"),
        "hubel.audit.robustness.run": ("MeasuredRobustness", "robustness_files"),
    },
)
