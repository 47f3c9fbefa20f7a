"""The lesson `history`: costs are those of the networks, errors have a source, intervals are those of Wilson."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hubel.models.catalogue import build_model, find
from hubel.nn.network import Network
from hubel.teach.course.lesson import lesson_data, lesson_facts, lesson_strings
from hubel.teach.course.lessons.history.lesson import LESSON, NETWORKS, count
from hubel.teach.course.lessons.history.people import people

FACTS = lesson_facts("history")


def test_costs_are_those_of_the_networks() -> None:
    rows = {row["name"]: row for row in lesson_data(LESSON)["networks"]}
    assert tuple(rows) == NETWORKS
    for name in ("lenet5", "alexnet", "googlenet", "resnet50_v1"):
        with torch.device("meta"):
            network = build_model(name)
        assert isinstance(network, Network)
        auxiliary = {id(p) for p in network.auxiliary.parameters()}
        assert rows[name]["parameters"] == sum(p.numel() for p in network.parameters() if id(p) not in auxiliary)
        assert rows[name]["macs"] == find(name)[1].published.macs
    assert {name for name, row in rows.items() if row["parameters"] is None} == {"zfnet", "senet"}


def test_counting_again_gives_the_same() -> None:
    rows = {row["name"]: row for row in lesson_data(LESSON)["networks"]}
    events = count({})
    for _ in range(3):
        event = next(events)
        assert event == {key: rows[event["name"]][key] for key in event}
    events.close()


def test_published_errors_have_their_year_and_their_source() -> None:
    for name in NETWORKS:
        assert 1998 <= FACTS[f"{name}.year"]["value"] <= 2019
    years = [FACTS[f"{name}.year"]["value"] for name in NETWORKS]
    assert years == sorted(years)
    for name, fact in FACTS.items():
        assert any(
            year in fact["source"] for year in ("1998", "2012", "2013", "2014", "2015", "2016", "2017", "2018", "2019")
        )
        if name.split(".")[-1] in ("top1", "top5", "ensemble"):
            assert 0 < fact["value"] < 50
        if name.endswith(".ensemble") and f"{name[:-9]}.top5" in FACTS:
            assert fact["value"] < FACTS[f"{name[:-9]}.top5"]["value"], "an ensemble errs less than one network"


def test_people_are_counted_with_their_intervals() -> None:
    for who, error, n in (("a1", 5.1, 1500), ("a2", 12.0, 258)):
        counts = np.array([FACTS[f"human.{who}.{cell}"]["value"] for cell in ("both", "person", "network", "neither")])
        found = people()[who]
        assert found["n"] == counts.sum() == n
        share = counts[2:].sum() / n
        assert round(100 * share, 1) == error
        z = 1.959964
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        assert found["person"]["low"] == pytest.approx(middle - half, abs=1e-6)
        assert found["person"]["high"] == pytest.approx(middle + half, abs=1e-6)
    assert people()["a1"]["person"]["low"] < FACTS["prelu.ensemble"]["value"] / 100 < people()["a1"]["person"]["high"]


def test_every_network_has_its_name_and_its_idea() -> None:
    for strings in lesson_strings("history").values():
        assert {f"{kind}.{name}" for kind in ("name", "idea") for name in NETWORKS} <= strings.keys()
