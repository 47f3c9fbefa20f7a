"""A fact is worth something only if it fails when the network changes: every table is changed, entry by entry."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import peers
from hubel.analysis.verify import verify
from hubel.core.errors import OptionError
from hubel.models import efficientnet, googlenet, inception_v3, lenet, mobilenet
from hubel.models.catalogue import FAMILIES, build_model, family_of, find, list_models
from hubel.models.variant import Origin, Rounded, computed, library, paper

# Networks whose layouts are the columns of a paper's table.
LAYOUTS = [
    "mlp", "lstm", "lenet5_modern", "convnet", "alexnet", "alexnet_tv", "vgg11", "nin_cifar10", "googlenet",
    "resnet18", "resnet50_v1", "resnet20", "clip_resnet50", "mobilenet_v1_025", "densenet_bc_100", "densenet121",
    "efficientnet_lite0", "convnext_tiny", "airbench94", "autoencoder_28", "unet", "unet_2015", "lraspp", "fcn8s",
    "pose", "fcos", "localiser", "vae", "cvae", "cgan",
]  # fmt: skip
VERIFYING = importlib.import_module("hubel.analysis.verify")  # the face has the function of this name
# Fields that change neither shapes nor costs, or that have no other value by doubling.
UNSEEN = {
    "dropout", "auxiliary_dropout", "drop_path", "norm_eps", "checkpointing", "same_padding", "response_norm",
    "output_stride", "dilate_first", "auxiliary_weight", "scale", "whitening", "identity", "norm_momentum", "views",
}  # fmt: skip
OTHER = {
    "decoder": "transpose",
    "shortcut": "C",
    "stem": "3x3",
    "upsample": "transposed",
}  # values of options that are text
# Tables that stand in the module, and the networks that are built from them.
TABLES: dict[str, tuple[ModuleType, str, tuple[str, ...]]] = {
    "lenet": (lenet, "_CONNECTIONS", ("lenet5",)),
    "googlenet": (googlenet, "_TABLE_1", ("googlenet_bn_tv",)),
    "mobilenet_v1": (mobilenet, "_V1", ("mobilenet_v1",)),
    "mobilenet_v2": (mobilenet, "_V2", ("mobilenet_v2",)),
    "mobilenet_v3": (mobilenet, "_V3", ("mobilenet_v3_large", "mobilenet_v3_small")),
    "efficientnet": (efficientnet, "TABLE_1", ("efficientnet_b0",)),
}


def failing(name: str) -> set[str]:
    """The quantities whose facts fail; "nothing" if the network does not work any more."""
    try:
        return {fact.quantity for fact in verify(name) if not fact.holds}
    except (OptionError, RuntimeError):
        return {"nothing"}


def is_map(name: str, quantity: str) -> bool:
    return quantity in find(name)[1].published.maps


def mutations(table: Any) -> Iterator[tuple[str, Any]]:
    """Each copy of a table in which one number is doubled or one choice turned, and where."""
    if isinstance(table, bool):
        yield "", not table
    elif isinstance(table, int | float):
        yield "", 2 * table
    elif isinstance(table, dict):
        for key, value in table.items():
            yield from ((f"{key}{where}", {**table, key: other}) for where, other in mutations(value))
    elif isinstance(table, tuple):
        for index, value in enumerate(table):
            name = getattr(table, "_fields", range(len(table)))[index]
            for where, other in mutations(value):
                items = (*table[:index], other, *table[index + 1 :])
                yield f".{name}{where}", type(table)(*items) if hasattr(table, "_fields") else items


def rows_cut(table: tuple[tuple[int, ...], ...]) -> Iterator[tuple[str, Any]]:
    """Each copy of a table of connections in which one row lacks its last one."""
    for index, row in enumerate(table):
        yield f".{index}", (*table[:index], row[:-1], *table[index + 1 :])


@pytest.mark.parametrize("all_of_it", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("table", TABLES)
def test_each_entry_of_a_table_has_a_fact(table: str, all_of_it: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module, attribute, names = TABLES[table]
    original, missed, seen = getattr(module, attribute), [], set()
    # It turns strides beyond 32 into dilation, which changes no shape.
    monkeypatch.setattr(module, "keep_stride", lambda *_: None, raising=False)
    changes = list((rows_cut if table == "lenet" else mutations)(original))
    for where, other in changes[:: 1 if all_of_it else len(changes) // 4]:
        monkeypatch.setattr(module, attribute, other)
        failed = {(name, quantity) for name in names for quantity in failing(name)}
        seen |= failed
        if not failed:
            missed.append(where)
    assert not missed
    if table != "lenet":  # its connections change no shape
        assert any(is_map(*one) for one in seen)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_option_of_a_layout_has_a_fact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = find(name)[1].layout
    seen: set[str] = set()
    tried = 0
    for field in dataclasses.fields(layout):
        value = getattr(layout, field.name)
        others = [OTHER[field.name]] if field.name in OTHER else [other for _, other in mutations(value)]
        for other in others:
            if other == value or field.name in UNSEEN:
                continue
            monkeypatch.setattr(VERIFYING, "build_model", partial(build_model, options={field.name: other}))
            failed = failing(name)
            assert failed, (field.name, other)
            seen |= failed
            tried += 1
    assert tried
    if find(name)[1].published.maps and name != "googlenet":  # whose maps are those of its table alone
        assert any(is_map(name, quantity) for quantity in seen)


def test_inception_v3_has_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers stand in its functions."""
    original = inception_v3._conv

    def padded(i: int, o: int, kernel: Any, stride: int = 1, *, valid: bool = False) -> Any:
        return original(i, o, kernel, stride, valid=valid and i != 3)

    monkeypatch.setattr(inception_v3, "_conv", padded)
    assert "stem.block1" in failing("inception_v3")


def test_every_family_is_tried() -> None:
    tried = {
        family_of(name) for name in (*LAYOUTS, "inception_v3", *(n for *_, names in TABLES.values() for n in names))
    }
    assert tried == set(FAMILIES) - {"neighbours", "stack"}, (
        "the neighbours have no table, a stack has that of its user"
    )


@pytest.mark.parametrize("name", [name for name in list_models() if name != "knn"])
def test_sources_and_precision(name: str) -> None:
    facts = find(name)[1].published.facts
    assert facts
    for fact in facts:
        assert fact.source
        assert not fact.digits or fact.kind == Origin.PAPER, "only papers round"
        assert not fact.differs or fact.kind == Origin.PAPER
    exact = [fact.quantity for fact in facts if not fact.digits]
    assert len(exact) == len(set(exact)), "one exact value for each quantity"
    assert {"parameters", "macs"} <= set(exact)


@pytest.mark.peer
@pytest.mark.parametrize("name", list_models("efficientnet*"))
def test_efficientnet_is_the_libraries(name: str) -> None:
    """Shapes, parameters and multiply-adds, read from torchvision's network, for Lite from timm's."""
    published, shape, seen = find(name)[1].published, find(name)[1].shape, []
    with torch.device("meta"):
        if "lite" in name:
            theirs = peers.timm().create_model(name)
            sections = [theirs.bn1, *theirs.blocks]
        else:
            theirs = getattr(peers.torchvision().models, name)(weights=None)
            sections = list(theirs.features)[:8]
        for section in sections:
            section.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[1:])))
        with FlopCounterMode(display=False) as counter:
            theirs.eval().requires_grad_(False)(torch.empty(1, *shape))
    assert seen == list(published.maps.values())
    assert counter.get_total_flops() // 2 == published.macs
    assert sum(p.numel() for p in theirs.parameters()) == published.params


def test_precision() -> None:
    (fact,) = paper("Table 1", params=Rounded(6.9e6, 2)).facts
    assert (fact.precision, fact.printed) == ("2 digits", "6.9 million")
    assert [fact.agrees(n) for n in (6_849_999, 6_850_000, 6_950_000, 6_950_001)] == [False, True, True, False]
    assert not fact.agrees(None)
    exact, shape = (library("torchvision", params=7) + computed("here", maps={"stem": (1, 2, 3)})).facts
    assert (exact.precision, exact.agrees(7), exact.agrees(8)) == ("exact", True, False)
    assert (shape.printed, shape.agrees((1, 2, 3)), shape.agrees((1, 2, 4))) == ("1x2x3", True, False)
    for number, printed in ((Rounded(0.39e9, 2), "390 million"), (Rounded(11.3e9, 3), "11.3 billion")):
        assert paper("Table 1", macs=number).facts[0].printed == printed
    assert paper("Table 6", params=Rounded(0.27e6, 2)).facts[0].printed == "0.27 million"


def test_a_known_difference_must_stay() -> None:
    """A paper's number that differs is no failure; if it came to agree, the note would be wrong."""
    assert not failing("mobilenet_v2_140")
    told = [fact for fact in verify("mobilenet_v2_140") if fact.stated.differs]
    assert [(fact.published, fact.computed) for fact in told] == [(6_900_000, 6_108_776), (585_000_000, 582_195_824)]
    (same,) = [fact for fact in verify("mobilenet_v2") if fact.quantity == "parameters" and fact.stated.differs]
    assert not dataclasses.replace(same, computed=3_400_000).holds
