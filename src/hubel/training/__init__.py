"""Train: recipe, plan, trainer, loop, transfer learning, the folder of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.training.bottleneck import LoadingSpeed as LoadingSpeed
    from hubel.training.bottleneck import measure_loading as measure_loading
    from hubel.training.lr_find import RangeTest as RangeTest
    from hubel.training.lr_find import RangeTestResult as RangeTestResult
    from hubel.training.lr_find import find_lr as find_lr
    from hubel.training.named_recipes import Claim as Claim
    from hubel.training.named_recipes import NamedRecipe as NamedRecipe
    from hubel.training.named_recipes import find_recipe as find_recipe
    from hubel.training.named_recipes import list_recipes as list_recipes
    from hubel.training.pairs import PairSettings as PairSettings
    from hubel.training.pairs import PairsResult as PairsResult
    from hubel.training.pairs import train_pairs as train_pairs
    from hubel.training.plan import Plan as Plan
    from hubel.training.plan import TransferPlan as TransferPlan
    from hubel.training.recipe import DataSettings as DataSettings
    from hubel.training.recipe import DistillationSettings as DistillationSettings
    from hubel.training.recipe import MachineSettings as MachineSettings
    from hubel.training.recipe import NetworkSettings as NetworkSettings
    from hubel.training.recipe import OptimizationSettings as OptimizationSettings
    from hubel.training.recipe import TransferSettings as TransferSettings
    from hubel.training.resolve import plan_training as plan_training
    from hubel.training.run_folder import RunFolder as RunFolder
    from hubel.training.run_folder import RunSummary as RunSummary
    from hubel.training.run_folder import summarise_runs as summarise_runs
    from hubel.training.search.compare import Confirmation as Confirmation
    from hubel.training.search.study import TrialRow as TrialRow
    from hubel.training.search.tune import TuneResult as TuneResult
    from hubel.training.search.tune import resume_tuning as resume_tuning
    from hubel.training.soup import Ingredient as Ingredient
    from hubel.training.soup import Soup as Soup
    from hubel.training.soup import soup as soup
    from hubel.training.train import RunResult as RunResult

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.training.bottleneck": ("LoadingSpeed", "measure_loading"),
        "hubel.training.lr_find": ("RangeTest", "RangeTestResult", "find_lr"),
        "hubel.training.named_recipes": ("Claim", "NamedRecipe", "find_recipe", "list_recipes"),
        "hubel.training.pairs": ("PairSettings", "PairsResult", "train_pairs"),
        "hubel.training.plan": ("Plan", "TransferPlan"),
        "hubel.training.recipe": (
            "DataSettings",
            "DistillationSettings",
            "MachineSettings",
            "NetworkSettings",
            "OptimizationSettings",
            "TransferSettings",
        ),
        "hubel.training.resolve": ("plan_training",),
        "hubel.training.run_folder": ("RunFolder", "RunSummary", "summarise_runs"),
        "hubel.training.search.compare": ("Confirmation",),
        "hubel.training.search.study": ("TrialRow",),
        "hubel.training.search.tune": ("TuneResult", "resume_tuning"),
        "hubel.training.soup": ("Ingredient", "Soup", "soup"),
        "hubel.training.train": ("RunResult",),
    },
)
