"""The tree of errors, and what they say."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from hubel.core import errors
from hubel.core.errors import DecodeError, HubelError, MismatchError, UnknownNameError

CLASSES = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}


def test_all_is_complete() -> None:
    assert sorted(CLASSES) == sorted(errors.__all__)


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn = re.findall(r"^([│ ]*)[├└]── (\w+)(?:\((\w+)\))?", errors.__doc__ or "", re.M)
    stated: dict[str, set[str]] = {}
    above = ""
    for indent, name, base in drawn:
        stated[name] = {above if indent else "HubelError", base} - {""}
        above = above if indent else name
    assert stated == {
        name: {base.__name__ for base in kind.__bases__} for name, kind in CLASSES.items() if kind is not HubelError
    }
    assert (errors.__doc__ or "").split("```\n")[1].startswith("HubelError\n")
    assert all(kind.__doc__ for kind in CLASSES.values())


def test_a_decode_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DecodeError("a/b.jpg", "the file is empty")))
    assert (type(error), error.name, error.reason) == (DecodeError, "a/b.jpg", "the file is empty")
    assert str(error) == "a/b.jpg: the file is empty"


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"UnknownNameError", "DecodeError", "MismatchError"}))
def test_the_others_travel_too(name: str) -> None:
    error = pickle.loads(pickle.dumps(CLASSES[name]("why")))
    assert (type(error), str(error)) == (CLASSES[name], "why")


def test_a_mismatch_names_twenty_at_most() -> None:
    error = MismatchError(7, [f"missing: layer{i:02}" for i in range(30)])
    assert error.summary == "7 weights fit the network, 30 do not"
    assert len(error.lines) == 20
    assert error.lines[0] == "missing: layer00"
    assert error.lines[-1] == "... and 11 more"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.lines) == (MismatchError, str(error), error.lines)


def test_an_unknown_name() -> None:
    known = ["lenet5", "resnet20", "resnet32"]
    assert str(UnknownNameError("model", "resnet21", known)).endswith("did you mean resnet32 or resnet20?")
    text = str(UnknownNameError("model", "zzz", iter(known)))
    assert text == "no model is called 'zzz'; the known ones are: lenet5, resnet20, resnet32"
    many = str(UnknownNameError("model", "nowhere", [f"net{number}" for number in range(30)]))
    assert many == "no model is called 'nowhere'; none of the 30 known ones is like it; hubel models lists them"
    others = str(UnknownNameError("class", "nowhere", map(str, range(30))))
    assert others == "no class is called 'nowhere'; none of the 30 known ones is like it"
    assert str(UnknownNameError("model", "zzz", known, ["photos"])) == text
    assert str(UnknownNameError("model", "phtos", known, ["photos"])).endswith("; did you mean photos?")
    error = pickle.loads(pickle.dumps(UnknownNameError("model", "zzz", known, ["photos"])))
    assert (type(error), str(error)) == (UnknownNameError, text)
