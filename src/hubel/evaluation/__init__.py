"""Evaluation of models on datasets: from paths to a folder with a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.evaluation.evaluate import EvaluationResult as EvaluationResult
    from hubel.evaluation.evaluate import evaluate_file as evaluate_file
    from hubel.evaluation.folds import FoldsEvaluation as FoldsEvaluation
    from hubel.evaluation.folds import FoldsResult as FoldsResult
    from hubel.evaluation.folds import evaluate_folds as evaluate_folds
    from hubel.evaluation.gates import Gates as Gates
    from hubel.evaluation.gates import ModelComparison as ModelComparison
    from hubel.evaluation.report import Report as Report
    from hubel.evaluation.report import write_report as write_report
    from hubel.evaluation.side_by_side import Disagreement as Disagreement
    from hubel.evaluation.side_by_side import ModelRow as ModelRow
    from hubel.evaluation.side_by_side import SideBySide as SideBySide
    from hubel.evaluation.side_by_side import compare_models as compare_models
    from hubel.evaluation.write import write_evaluation as write_evaluation

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.evaluation.evaluate": ("EvaluationResult", "evaluate_file"),
        "hubel.evaluation.folds": ("FoldsEvaluation", "FoldsResult", "evaluate_folds"),
        "hubel.evaluation.gates": ("Gates", "ModelComparison"),
        "hubel.evaluation.report": ("Report", "write_report"),
        "hubel.evaluation.side_by_side": ("Disagreement", "ModelRow", "SideBySide", "compare_models"),
        "hubel.evaluation.write": ("write_evaluation",),
    },
)
