"""Hierarchies of classes on random trees, against sums written out; what is no hierarchy; what a card keeps of one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.core.errors import OptionError, UnknownNameError
from hubel.weights.card import ModelCard
from hubel.weights.class_tree import ClassTree, parents_of
from small_card import CARD, CLASSES

PARENTS = {"blue": "cold", "green": "cold", "cold": "colour"}


@st.composite
def trees(draw: st.DrawFn) -> ClassTree:
    """Classes below random groups, of which some are below groups that were made before."""
    classes = [f"class {i}" for i in range(draw(st.integers(1, 7)))]
    groups = [f"group {i}" for i in range(draw(st.integers(0, 5)))]
    above = {name: draw(st.sampled_from([None, *groups[:place]])) for place, name in enumerate(groups)}
    above |= {name: draw(st.sampled_from([None, *groups])) for name in classes}
    known = {name: parent for name, parent in above.items() if parent is not None}
    return ClassTree(tuple(classes), parents_of(classes, known))


@st.composite
def predictions(draw: st.DrawFn) -> tuple[ClassTree, list[float]]:
    tree = draw(trees())
    numbers = draw(st.lists(st.integers(0, 20), min_size=len(tree.classes), max_size=len(tree.classes)).filter(any))
    return tree, [number / sum(numbers) for number in numbers]


def ancestors(tree: ClassTree, name: str) -> list[str]:
    """A class and all above it, the class first."""
    found = [name]
    while found[-1] in tree.parents:
        found.append(tree.parents[found[-1]])
    return found


@given(predictions())
def test_the_score_of_a_group_is_the_sum_of_its_classes(case: tuple[ClassTree, list[float]]) -> None:
    tree, scores = case
    found = dict(zip(tree.nodes, tree.node_scores([scores])[0], strict=True))
    assert set(found) == {one for name in tree.classes for one in ancestors(tree, name)}
    for node, score in found.items():
        below = [s for name, s in zip(tree.classes, scores, strict=True) if node in ancestors(tree, name)]
        assert score == pytest.approx(sum(below))
    for name, parent in tree.parents.items():
        assert found[name] <= found[parent] + 1e-12
        assert tree.nodes.index(parent) < tree.nodes.index(name)
    assert sum(found[name] for name in tree.nodes if name not in tree.parents) == pytest.approx(1)


@given(predictions(), st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_answers_are_the_deepest_that_are_sure(case: tuple[ClassTree, list[float]], one: float, other: float) -> None:
    tree, scores = case
    chains = {}
    for sure in sorted((one, other)):
        (place,), (score,) = tree.answers([scores], sure)
        sums = tree.node_scores([scores])[0]
        reached = [node for node, total in zip(tree.nodes, sums, strict=True) if total >= sure]
        depth = {node: len(ancestors(tree, node)) for node in tree.nodes}
        assert (place == -1) == (not reached)
        if place == -1:
            assert score == 1
            chains[sure] = []
        else:
            answer = tree.nodes[place]
            assert answer in reached
            assert depth[answer] == max(depth[node] for node in reached)
            assert score == sums[place] == max(sums[tree.nodes.index(n)] for n in reached if depth[n] == depth[answer])
            assert any(answer in ancestors(tree, name) for name in tree.classes)
            chains[sure] = ancestors(tree, answer)
    lower, higher = chains[min(one, other)], chains[max(one, other)]
    assert not higher or higher[0] in lower, "a higher threshold gives the same answer, or one above it"


@given(trees())
def test_levels(tree: ClassTree) -> None:
    assert tree.levels == max(len(ancestors(tree, name)) for name in tree.classes)
    for level in range(1, tree.levels + 1):
        for name, place in zip(tree.classes, tree.at_level(level), strict=True):
            assert tree.nodes[place] == ancestors(tree, name)[::-1][:level][-1]
    assert [tree.nodes[place] for place in tree.at_level(tree.levels)] == list(tree.classes)
    assert tree.depth.tolist() == [len(ancestors(tree, node)) for node in tree.nodes]


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ({"blue": "cold", "green": "blue"}, "blue is a class and the parent of green; a parent is another name"),
        ({"blue": "a", "a": "b", "b": "a"}, "the parents of blue run in a circle: blue < a < b < a"),
        ({"blue": "blue"}, "blue is a class and the parent of blue"),
        ({"bleu": "cold"}, "no class is called 'bleu'; did you mean blue?"),
        ({"blue": "cold", "warm": "colour"}, "no class is called 'warm'"),
        ({"blue": ""}, "the parent of a class is a name, not ''"),
        ({"blue": 3}, "the parent of a class is a name, not 3"),
        ({"blue": "0", **{f"{i}": f"{i + 1}" for i in range(99)}}, "blue has more than 63 parents"),
    ],
)
def test_what_is_no_hierarchy(parents: dict[str, Any], message: str) -> None:
    with pytest.raises((OptionError, UnknownNameError)) as error:
        dataclasses.replace(CARD, parents=parents)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_hierarchy_in_a_card() -> None:
    card = dataclasses.replace(CARD, parents=PARENTS)
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card
    assert card.class_tree().nodes == ("colour", "cold", "blue", "green", "red")
    assert "parents" not in CARD.to_json(), "files of models without a hierarchy stay as they were"
    assert ModelCard.from_json(json.loads(json.dumps(CARD.to_json()))).class_tree().levels == 1
    assert card.rescored().parents == PARENTS
    with pytest.raises(OptionError, match="a hierarchy needs one class an image; the task multi_label has none"):
        dataclasses.replace(card, task="multi_label", scores="sigmoid")
    with pytest.raises(TypeError, match="parents is no dict"):
        ModelCard.from_json({**json.loads(json.dumps(card.to_json())), "parents": [["blue", "cold"]]})


@pytest.mark.parametrize("sure", [0.49, 1.0, float("nan")])
def test_what_is_not_sure(sure: float) -> None:
    with pytest.raises(OptionError, match="sure"):
        ClassTree(CLASSES, PARENTS).answers(np.full((1, 3), 1 / 3), sure)
