"""Define tasks: targets, loss, metric, decoding, drawing and export signature, one file a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.tasks.catalogue import TASKS as TASKS
    from hubel.tasks.catalogue import find_task as find_task
    from hubel.tasks.losses import LOSSES as LOSSES
    from hubel.tasks.losses import Loss as Loss
    from hubel.tasks.losses import class_weights as class_weights
    from hubel.tasks.task import Evaluation as Evaluation
    from hubel.tasks.task import Objective as Objective
    from hubel.tasks.task import Task as Task

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.tasks.catalogue": ("TASKS", "find_task"),
        "hubel.tasks.losses": ("LOSSES", "Loss", "class_weights"),
        "hubel.tasks.task": ("Evaluation", "Objective", "Task"),
    },
)
