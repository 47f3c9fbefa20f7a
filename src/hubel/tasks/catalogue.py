"""The table of tasks. A new task is its file and one line here."""

from __future__ import annotations

from hubel.core.errors import UnknownNameError
from hubel.tasks.classify import Classification
from hubel.tasks.detect import Detection
from hubel.tasks.generate import Generation
from hubel.tasks.key_points import KeyPoints
from hubel.tasks.key_points_in_boxes import KeyPointsInBoxes
from hubel.tasks.localise import Localisation
from hubel.tasks.multi_label import MultiLabel
from hubel.tasks.reconstruct import Reconstruction
from hubel.tasks.regress import Regression
from hubel.tasks.segment import Segmentation
from hubel.tasks.task import Task

__all__ = ["TASKS", "find_task"]

#: The tasks, in the order in which they are offered.
TASKS: tuple[Task, ...] = (
    Classification(),
    MultiLabel(),
    Reconstruction(),
    Generation(),
    Regression(),
    Detection(),
    Localisation(),
    Segmentation(),
    KeyPoints(),
    KeyPointsInBoxes(),
)


def find_task(name: str) -> Task:
    """Return a task by its name.

    Raises:
        UnknownNameError: there is no such task.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise UnknownNameError("task", name, [task.name for task in TASKS])
