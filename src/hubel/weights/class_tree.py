"""The hierarchy of a model's classes: groups of classes, groups of groups, and what their scores are.

A class is a leaf. The score of a node is the sum of the scores of the classes below it, so one network of leaves
answers at every level. Importing this does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.ranges import check_range

__all__ = ["ClassTree", "parents_of"]

_MOST_LEVELS = 64  # of a file; nobody means more, and a circle has no end


@dataclass(frozen=True)
class ClassTree:
    """The hierarchy of classes.

    Attributes:
        classes: class names, in the order of the scores.
        parents: the parent of a class, or of another parent, by name. What has none stands at the top.

    Raises:
        OptionError: the parents run in a circle, or a class is the parent of another name.
        UnknownNameError: there is a parent of a name that is neither a class nor above one.

    >>> tree = ClassTree(("cat", "dog", "car"), {"cat": "animal", "dog": "animal"})
    >>> tree.nodes, tree.levels
    (('animal', 'cat', 'dog', 'car'), 2)
    """

    classes: tuple[str, ...]
    parents: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, parent in self.parents.items():
            if not isinstance(name, str) or not isinstance(parent, str) or not name or not parent:
                raise OptionError(f"the parent of a class is a name, not {parent!r}")
        leaves = set(self.classes)
        for name, parent in self.parents.items():
            if parent in leaves:
                raise OptionError(
                    f"{parent} is a class and the parent of {name}; a parent is another name than those of the classes"
                )
        for name in self.parents:
            if name not in self._place:
                raise UnknownNameError("class", name, self.classes)

    @cached_property
    def _paths(self) -> tuple[tuple[str, ...], ...]:
        """The nodes from the top to each class."""
        paths = []
        for name in self.classes:
            path = [name]
            while (above := self.parents.get(path[-1])) is not None:
                if above in path:
                    raise OptionError(f"the parents of {name} run in a circle: {' < '.join([*path, above])}")
                path.append(above)
                if len(path) > _MOST_LEVELS:
                    raise OptionError(f"{name} has more than {_MOST_LEVELS - 1} parents, one above the other")
            paths.append(tuple(reversed(path)))
        return tuple(paths)

    @cached_property
    def _place(self) -> dict[str, int]:
        names = dict.fromkeys(node for path in self._paths for node in path)
        return {name: place for place, name in enumerate(names)}

    @property
    def nodes(self) -> tuple[str, ...]:
        """All names, each behind its parent."""
        return tuple(self._place)

    @property
    def groups(self) -> tuple[str, ...]:
        """The names above the classes, each behind its parent."""
        return tuple(name for name in self._place if name not in set(self.classes))

    @cached_property
    def depth(self) -> NDArray[np.int64]:
        """The level of each node, `(nodes,)`; 1 at the top."""
        found = np.zeros(len(self._place), np.int64)
        for path in self._paths:
            for level, node in enumerate(path, start=1):
                found[self._place[node]] = level
        return found

    @property
    def levels(self) -> int:
        """The level of the deepest class."""
        return max(map(len, self._paths))

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """True for each class that is below a node, or is this node, `(nodes, classes)`."""
        found = np.zeros((len(self._place), len(self.classes)), np.bool_)
        for place, path in enumerate(self._paths):
            found[[self._place[node] for node in path], place] = True
        return found

    def at_level(self, level: int) -> NDArray[np.int64]:
        """Return the node above each class at a level, `(classes,)`; a class that stands higher is its own.

        Args:
            level: 1 for the top, to `levels`.
        """
        return np.array([self._place[path[min(level, len(path)) - 1]] for path in self._paths], np.int64)

    def node_scores(self, shares: ArrayLike) -> NDArray[np.float64]:
        """Return the score of each node, the sum of those of its classes, `(n, nodes)`.

        Args:
            shares: of the classes, `(n, classes)`, at least 0, with the sum 1.
        """
        return np.asarray(np.asarray(shares, np.float64) @ self.members.T.astype(np.float64))

    def check(self, sure: float) -> None:
        """Refuse a least score of answers that is not from 0.5 to 0.999.

        Raises:
            OptionError: it is not.
        """
        check_range("sure", sure, 0.5, 0.999)

    def answers(self, shares: ArrayLike, sure: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the deepest node of each image whose score is at least `sure`, and this score.

        From 0.5 on, all nodes that reach it lie above each other, but for two halves, of which the first counts. So a
        higher `sure` gives the same node or one above it.

        Args:
            shares: see `node_scores`.
            sure: see `check`.

        Returns:
            Positions among `nodes` `(n,)`, -1 where not even a node at the top is sure, whose score is then 1: an image
            of one of the classes. And the scores `(n,)`.

        Raises:
            OptionError: `sure` is out of range.
        """
        self.check(sure)
        scores = self.node_scores(shares)
        reached = scores >= sure
        best = np.where(reached, self.depth + scores / 4, 0).argmax(1)  # of one level the most probable
        none = ~reached.any(1)
        return np.where(none, -1, best), np.where(none, 1.0, scores[np.arange(len(scores)), best])


def parents_of(classes: Sequence[str], parents: Mapping[str, str]) -> dict[str, str]:
    """Return the parents that stand above some of the classes, and no others.

    >>> parents_of(["cat"], {"cat": "animal", "dog": "animal", "animal": "thing", "car": "machine"})
    {'cat': 'animal', 'animal': 'thing'}
    """
    found: dict[str, str] = {}
    for name in classes:
        while name in parents and name not in found:
            found[name] = parents[name]
            name = parents[name]
    return found
