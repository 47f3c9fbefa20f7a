"""The reference in a card: it comes back as it was, stays small, and nothing strange in it is believed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from references import made

from hubel.audit.drifting.appearance import APPEARANCE
from hubel.audit.drifting.reference import read_reference
from hubel.core.errors import ModelFileError

Json = dict[str, Any]


def test_it_comes_back_as_it_was() -> None:
    before = made()
    after = read_reference(json.loads(json.dumps(before.to_json(), allow_nan=False)), 4)
    assert after.held_out == before.held_out
    assert after.sample.formats == before.sample.formats
    for name in ("appearance", "files", "scores", "confidence", "predicted", "features"):
        ours, theirs = getattr(before.sample, name), getattr(after.sample, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_the_largest_is_small() -> None:
    assert len(json.dumps(made(256, 256, 64).to_json())) < 100_000


def _array(values: Any, kind: str = "<f2") -> Json:
    array = np.asarray(values, kind)
    return {"shape": list(array.shape), "base64": b64encode(array.tobytes()).decode()}


def _set(name: str, value: Any) -> Callable[[Json], None]:
    return lambda fields: fields.__setitem__(name, value)


def _shape(name: str, shape: Any) -> Callable[[Json], None]:
    return lambda fields: fields[name].__setitem__("shape", shape)


HOSTILE: dict[str, Callable[[Json], Any]] = {
    "another version": _set("version", 2),
    "no version": lambda fields: fields.pop("version"),
    "no array": lambda fields: fields.pop("features"),
    "not a mapping": _set("appearance", [1, 2]),
    "infinite": _set("appearance", _array(np.full((60, len(APPEARANCE)), np.inf))),
    "not a number": _set("confidence", _array(np.full(20, np.nan))),
    "another number of columns": _set("appearance", _array(np.zeros((60, 3)))),
    "more columns than any": _set("features", _array(np.zeros((20, 65)))),
    "another number of rows": _set("scores", _array(np.zeros((19, 4)))),
    "too many rows": _set("confidence", _array(np.zeros(257))),
    "bytes too few": _shape("features", [20, 63]),
    "a shape without end": _shape("features", [2**62, 2**62]),
    "a negative shape": _shape("features", [-20, -64]),
    "a shape of booleans": _shape("confidence", [True]),
    "a shape that is a text": _shape("confidence", "20"),
    "no base64": lambda fields: fields["scores"].__setitem__("base64", "~~~~"),
    "a class that is not there": _set("predicted", _array(np.full(20, 4), "<i2")),
    "a negative class": _set("predicted", _array(np.full(20, -1), "<i2")),
    "formats without end": _set("formats", {"JPEG": 10**18}),
    "too few formats": _set("formats", {"JPEG": 3}),
    "a fraction of a format": _set("formats", {"JPEG": 60.5}),
    "a format with a strange name": _set("formats", {"\x1b[31mJPEG": 60}),
    "formats that are a list": _set("formats", ["JPEG"] * 60),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_statistics_are_refused(change: Callable[[Json], Any]) -> None:
    fields = json.loads(json.dumps(made().to_json()))
    change(fields)
    with pytest.raises(ModelFileError, match="training statistics cannot be read") as refused:
        read_reference(fields, 4)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 300
