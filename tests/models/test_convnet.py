from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.models.catalogue import build_model


def modules(kind: type[nn.Module], **options: Any) -> list[Any]:
    with torch.device("meta"):
        return [m for m in build_model("convnet", options=options).modules() if isinstance(m, kind)]


def test_each_option_has_its_effect() -> None:
    assert [m.out_channels for m in modules(nn.Conv2d)] == [32, 32, 64, 64, 128, 128]
    assert [m.out_channels for m in modules(nn.Conv2d, filters="4,8", repeat="1,2")] == [4, 8, 8]
    assert {m.kernel_size for m in modules(nn.Conv2d, kernel=5)} == {(5, 5)}
    assert [m.kernel_size[0] for m in modules(nn.Conv2d, kernel="5,3,1", repeat=1)] == [5, 3, 1]
    assert [(m.kernel_size, m.stride) for m in modules(nn.MaxPool2d, pool=3)] == [(3, 2)] * 3
    assert {m.stride for m in modules(nn.MaxPool2d, pool_stride=1)} == {1}
    assert modules(nn.Linear)[0].in_features == 128
    assert modules(nn.Linear, average="no")[0].in_features == 128 * 4 * 4
    assert [m.out_features for m in modules(nn.Linear, dense="100,50")] == [100, 50, 10]
    assert len(modules(nn.GELU, activation="gelu")) == 6
    assert not modules(nn.BatchNorm2d, batch_norm=False)
    assert all(m.bias is not None for m in modules(nn.Conv2d, batch_norm=False))
    assert all(m.bias is None for m in modules(nn.Conv2d))
    assert [m.p for m in modules(nn.Dropout, dropout=0.3, dense=8)] == [0.3, 0.3]


def one_line(error: Exception) -> None:
    assert "\n" not in str(error)


small = st.lists(st.integers(0, 4), max_size=3)


@settings(max_examples=80, deadline=None)
@given(
    filters=st.lists(st.integers(0, 6), max_size=4),
    kernel=st.lists(st.integers(0, 5), max_size=3),
    repeat=small,
    pool=st.integers(0, 4),
    pool_stride=st.integers(0, 4),
    average=st.booleans(),
    dense=small,
    batch_norm=st.booleans(),
    dropout=st.floats(-0.5, 1.5),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    classes=st.integers(1, 5),
)
def test_any_layout_works_or_is_refused(size: tuple[int, int], classes: int, **options: Any) -> None:
    try:
        network = build_model("convnet", num_classes=classes, input_size=size, options=options).eval()
    except OptionError as error:
        one_line(error)
        return
    with torch.no_grad():
        assert network(torch.randn(2, 3, *size)).shape == (2, classes)


def test_messages() -> None:
    with pytest.raises(OptionError, match="leave no pixels of 8x8"):
        build_model("convnet", input_size=(8, 8), options={"filters": "4,4,4,4"})
    with pytest.raises(OptionError, match="kernel sizes are odd"):
        build_model("convnet", options={"kernel": 4})
    with pytest.raises(OptionError, match="kernel has 2 values for 3 stages"):
        build_model("convnet", options={"kernel": "3,5"})
    with pytest.raises(UnknownNameError, match="no activation is called 'rellu'; did you mean relu"):
        build_model("convnet", options={"activation": "rellu"})
    with pytest.raises(OptionError, match=r"filters takes integers, not '3\.5'"):
        build_model("convnet", options={"filters": "3.5"})
    with pytest.raises(OptionError, match="batch_norm takes true or false, not 'perhaps'"):
        build_model("convnet", options={"batch_norm": "perhaps"})
    with pytest.raises(OptionError, match="too deep"):
        build_model("convnet", options={"repeat": 10**9})
    with pytest.raises(OptionError, match="at most 1000 values"):
        build_model("convnet", options={"dense": [1] * 1001})
