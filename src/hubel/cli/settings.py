"""Settings of a recipe as flags: one flag per setting, one heading of the help per table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Group, Parameter

from hubel.training.recipe import (
    DataSettings,
    DistillationSettings,
    MachineSettings,
    NetworkSettings,
    OptimizationSettings,
    Recipe,
    TransferSettings,
)

__all__ = ["RecipeFlags"]


def _flags(title: str, place: int) -> Parameter:
    return Parameter(name="*", group=Group(title, sort_key=place))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RecipeFlags:
    """Settings of a recipe; those that are not given are decided from the data.

    Attributes:
        task: classify, multi_label (labels of a table name several classes, separated by "|"), reconstruct,
            generate or another one that hubel info lists. Default: the network's own task.
        seed: seed of the initial weights, the order of the images, the augmentation and the split.
    """

    task: str | None = None
    seed: int = 0
    data_settings: Annotated[DataSettings, _flags("Data", 1)] = field(default_factory=DataSettings)
    network: Annotated[NetworkSettings, _flags("Network", 2)] = field(default_factory=NetworkSettings)
    transfer: Annotated[TransferSettings, _flags("Transfer learning", 3)] = field(default_factory=TransferSettings)
    distillation: Annotated[DistillationSettings, _flags("Distillation", 4)] = field(
        default_factory=DistillationSettings
    )
    optimization: Annotated[OptimizationSettings, _flags("Optimization", 5)] = field(
        default_factory=OptimizationSettings
    )
    machine: Annotated[MachineSettings, _flags("Machine", 6)] = field(default_factory=MachineSettings)

    def recipe(self, *, origin: str | None = None) -> Recipe:
        """Return the recipe.

        Args:
            origin: name of the recipe that the values come from which no flag gave.
        """
        return Recipe(
            task=self.task,
            seed=self.seed,
            origin=origin,
            data=self.data_settings,
            network=self.network,
            transfer=self.transfer,
            distillation=self.distillation,
            optimization=self.optimization,
            machine=self.machine,
        )
