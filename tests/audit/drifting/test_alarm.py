"""The sequential alarm: its false alarms in simulations, its speed, and independence of how images are batched."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from references import made

from hubel.audit.drifting.alarm import DIRECTIONS, DriftAlarm, Ring
from hubel.audit.drifting.appearance import APPEARANCE
from hubel.audit.drifting.reference import Reference

NAMES = [trait.name for trait in APPEARANCE]


def _reference(n: int, rng: np.random.Generator, held_out: int = 100) -> Reference:
    """Return a reference of correlated, skewed statistics with many ties."""
    sample = made(n, held_out).sample
    traits, confidence = _stream(n, rng)
    return Reference(
        sample=dataclasses.replace(
            sample, appearance=traits.astype(np.float16), confidence=confidence[:held_out].astype(np.float16)
        )
    )


def _stream(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    common = rng.normal(size=(n, 1))
    traits = 0.7 * common + rng.normal(size=(n, len(APPEARANCE)))
    traits[:, 0] = np.exp(traits[:, 0])
    traits[:, -1] = np.maximum(0, traits[:, -1] - 1)  # zero for most
    return traits, common[:, 0] + rng.normal(size=n)


def _rings(alarm: DriftAlarm, traits: np.ndarray, confidence: np.ndarray) -> list[Ring]:
    return [ring for one in zip(traits, confidence.tolist(), strict=True) if (ring := alarm.add(*one))]


@pytest.mark.parametrize("n", [60, 256])
def test_false_alarms_are_rare(n: int) -> None:
    """A new reference for every stream: that it is a sample, and not the truth, is part of the promise."""
    rings = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        alarm = DriftAlarm(_reference(n, rng, held_out=60))
        rings += len(_rings(alarm, *_stream(1500, rng)))
    assert rings == 0  # of 12,000 images


def test_the_evidence_is_a_fair_bet() -> None:
    """Without a tolerance M_t - t is a martingale as long as images come from the reference itself."""
    rng = np.random.default_rng(0)
    reference = _reference(200, rng, held_out=200)
    traits, confidence = reference.sample.appearance.astype(np.float32), reference.sample.confidence.tolist()
    finals = []
    for _ in range(400):
        alarm = DriftAlarm(reference, threshold=1e9, tolerance=0)
        for row in rng.integers(0, 200, 6).tolist():
            assert alarm.add(traits[row], confidence[row]) is None
        finals.append(1e9 * sum(10**value for value in alarm.evidence.values()))
    assert np.mean(finals) == pytest.approx(6, rel=0.15)


@pytest.mark.parametrize("column", [0, 3, len(APPEARANCE)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_it_names_what_has_changed(column: int, sign: int) -> None:
    rng = np.random.default_rng(1)
    alarm = DriftAlarm(_reference(256, rng))
    traits, confidence = _stream(400, rng)
    assert not _rings(alarm, traits[:200], confidence[:200])
    changed = np.column_stack([traits[200:], confidence[200:]])
    changed[:, column] = np.sort(np.abs(changed[:, column]))[-1] * 2 if sign > 0 else changed[:, column].min() - 1
    (first, *_) = _rings(alarm, changed[:, :-1], changed[:, -1])
    assert first.statistic == [*NAMES, "confidence"][column]
    assert first.direction == DIRECTIONS[sign > 0]
    assert first.images <= 200 + 30


def test_it_starts_anew_after_an_alarm() -> None:
    rng = np.random.default_rng(2)
    alarm = DriftAlarm(_reference(100, rng))
    traits, confidence = _stream(200, rng)
    rings = _rings(alarm, traits + 5, confidence)
    assert len(rings) > 3
    assert sum(ring.images for ring in rings) + alarm.images == 200


def test_recent_means_follow() -> None:
    rng = np.random.default_rng(3)
    alarm = DriftAlarm(_reference(100, rng))
    assert alarm.recent == alarm.evidence == {}
    traits, confidence = _stream(50, rng)
    _rings(alarm, traits, confidence)
    assert alarm.recent["contrast"] == pytest.approx(traits[:, 1].mean(), abs=0.01)
    assert alarm.usual["contrast"] == pytest.approx(0, abs=0.4)


def test_what_does_not_vary_is_not_watched() -> None:
    reference = _reference(100, np.random.default_rng(4), held_out=20)
    reference.sample.appearance[:, NAMES.index("warmth")] = 0
    alarm = DriftAlarm(reference)
    assert set(NAMES) - set(alarm.names) == {"warmth"}
    assert "confidence" not in alarm.names  # of 20 images
    assert alarm.add(np.full(len(APPEARANCE), 3.0, np.float32), 0.0) is None


def test_too_small_a_reference_never_rings() -> None:
    alarm = DriftAlarm(made(20, 10))
    assert alarm.names == ()
    assert not _rings(alarm, np.full((500, len(APPEARANCE)), 9.0), np.zeros(500))
