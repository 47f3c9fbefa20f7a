"""One fixed binary tree over the shards of a batch, along which everything is summed.

Floating-point addition is not associative, so that a sum has the same bits on any number of processes only if it is
the same tree of additions. The leaves are the shards; a node of level l and index i adds up those from `i * 2**l` on,
as far as they exist. A process adds the whole subtrees that it owns; the rest of the tree everybody adds alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["Node", "subtrees", "sum_of_subtree", "total"]

Node = tuple[int, int]  # level and index
Value = TypeVar("Value")
Add = Callable[[Value, Value], Value]


def subtrees(first: int, stop: int) -> list[Node]:
    """Return the largest whole subtrees that make up the shards from `first` to `stop`, in their order.

    >>> subtrees(0, 8), subtrees(0, 4), subtrees(3, 6)
    ([(3, 0)], [(2, 0)], [(0, 3), (1, 2)])
    """
    found = []
    while first < stop:
        level = 0
        while first % 2 ** (level + 1) == 0 and first + 2 ** (level + 1) <= stop:
            level += 1
        found.append((level, first >> level))
        first += 2**level
    return found


def sum_of_subtree(node: Node, leaf: Callable[[int], Value], add: Add[Value]) -> Value:
    """Return the sum of a whole subtree; each shard's value is asked for once, in order.

    Args:
        node: the root of the subtree.
        leaf: returns the value of a shard.
        add: adds two values; it may write into the first one.
    """
    level, index = node
    if level == 0:
        return leaf(index)
    left = sum_of_subtree((level - 1, 2 * index), leaf, add)
    return add(left, sum_of_subtree((level - 1, 2 * index + 1), leaf, add))


def total(values: Mapping[Node, Value], shards: int, add: Add[Value]) -> Value:
    """Return the sum of all shards from those of subtrees that make up the whole.

    >>> total({(1, 0): "(a+b)", (0, 2): "c"}, 3, lambda a, b: f"({a}+{b})")
    '((a+b)+c)'
    """

    def at(node: Node) -> Value | None:
        if node in values:
            return values[node]
        level, index = node
        if level == 0:
            return None  # beyond the last shard
        left, right = at((level - 1, 2 * index)), at((level - 1, 2 * index + 1))
        return left if right is None else right if left is None else add(left, right)

    found = at(((shards - 1).bit_length(), 0))
    assert found is not None, "there is a shard"
    return found
