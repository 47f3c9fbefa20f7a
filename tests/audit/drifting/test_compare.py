"""A whole comparison: false differences are as rare as promised, and small real ones are found."""

from __future__ import annotations

import dataclasses

import numpy as np
import references

from hubel.audit.drifting.compare import Drift, compare_samples
from hubel.audit.drifting.reference import MeasuredImages, Reference
from hubel.data.preprocess import Preprocess
from hubel.weights.card import ModelCard

CARD = ModelCard("resnet20", ("a", "b", "c", "d"), Preprocess(8, 8))


def made(images: int, outputs: int, *, seed: int) -> MeasuredImages:
    return references.made(images, outputs, seed=seed).sample


def _compared(new: MeasuredImages, known: MeasuredImages, seed: int, **changes: float) -> Drift:
    return compare_samples(Reference(sample=known), new, CARD, seed=seed, **changes)


def test_few_of_equal_samples_differ() -> None:
    """Holm's correction over 13 tests keeps the chance of any false difference below alpha."""
    n, alpha = 30, 0.2
    differs = sum(
        _compared(made(20, 20, seed=2 * seed), made(40, 24, seed=2 * seed + 1), seed, alpha=alpha).differs
        for seed in range(n)
    )
    assert differs <= n * alpha + 2.5 * np.sqrt(n * alpha * (1 - alpha))


def test_each_kind_of_change_is_found() -> None:
    known, new = made(120, 60, seed=1), made(60, 60, seed=2)
    darker, features = new.appearance.copy(), new.features + np.float16(0.5)
    darker[:, 0] *= np.float16(0.4)
    found = _compared(
        dataclasses.replace(
            new, appearance=darker, features=features, predicted=np.zeros(60, np.int16), formats=("WEBP",) * 60
        ),
        known,
        0,
    )
    assert {test.name for test in found.found} >= {"brightness", "features", "predicted classes", "file formats"}
    findings = {test.name: test.finding for test in found.tests}
    assert findings["brightness"].startswith("darker (mean brightness 0.")
    assert findings["file formats"] == "WEBP is 100% of the file formats, against 0%"
    assert findings["predicted classes"].startswith("a is 100% of the predicted classes, against ")


def test_a_change_of_spread_alone_is_called_so() -> None:
    known, new = made(200, 60, seed=3), made(100, 100, seed=4)
    usual = np.sort(known.appearance[:, 1])[::2].astype(float)
    wider = new.appearance.copy()
    wider[:, 1] = (np.median(usual) + 3 * (usual - np.median(usual))).astype(np.float16)
    found = _compared(dataclasses.replace(new, appearance=wider), known, 0)
    assert next(test for test in found.found if test.name == "contrast").finding.startswith(
        "more varied (mean contrast"
    )


def test_scores_stand_in_for_features_that_an_exported_file_has_not() -> None:
    known, new = made(60, 60, seed=5), made(60, 60, seed=6)
    found = _compared(dataclasses.replace(new, features=new.features[:, :0]), known, 0)
    names = {test.name for test in found.tests}
    assert "scores" in names
    assert "features" not in names


def test_without_held_out_images_the_causes_are_compared() -> None:
    found = _compared(made(60, 60, seed=7), made(60, 5, seed=8), 0)
    assert {test.kind for test in found.tests} == {"cause"}
    assert "held out too few images" in found.notes[0]
