import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from hubel.core.errors import DataError, OptionError
from hubel.inference.scores import sigmoid, softmax
from hubel.metrics.calibration import fit_temperature
from hubel.metrics.classification import measure_classification


def drawn_from(logits, temperature, rng):
    """Labels that the softmax at this temperature would produce."""
    cumulative = softmax(logits, temperature).cumsum(axis=1)
    return np.minimum((cumulative < rng.random((len(logits), 1))).sum(axis=1), logits.shape[1] - 1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recovers_the_temperature_that_made_the_labels(temperature, dtype):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 5)).astype(dtype)
    labels = drawn_from(logits, temperature, rng)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 3.0, 1e3]))
@settings(max_examples=100, deadline=None)
def test_never_worse_than_no_temperature_and_the_accuracy_stays(n, c, seed, spread):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, spread, (n, c)), rng.integers(0, c, n)
    temperature = fit_temperature(logits, labels)
    assert 0.05 <= temperature <= 20
    before = special.log_softmax(logits, axis=1)[np.arange(n), labels].mean()
    after = special.log_softmax(logits / temperature, axis=1)[np.arange(n), labels].mean()
    assert after >= before - 1e-9 * abs(before)
    assert (softmax(logits, temperature).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_overconfidence_is_corrected():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (5000, 8))
    labels, overconfident, names = drawn_from(logits, 1.0, rng), 4 * logits, "abcdefgh"
    before = measure_classification(softmax(overconfident), labels, names)
    after = measure_classification(softmax(overconfident, fit_temperature(overconfident, labels)), labels, names)
    assert after.ece < before.ece / 5
    assert after.nll < before.nll
    assert after.top1 == before.top1


def test_softmax_and_sigmoid_agree_with_scipy_and_do_not_overflow():
    logits = np.random.default_rng(2).normal(0, 50, (100, 7)).astype(np.float32)
    assert softmax(logits).dtype == np.float64
    np.testing.assert_allclose(softmax(logits, 2.0), special.softmax(logits.astype(float) / 2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(sigmoid(logits), special.expit(logits.astype(float)), rtol=1e-12)
    assert softmax([1e30, -1e30]).tolist() == [1, 0]
    assert sigmoid([1e30, -1e30]).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(OptionError, match="temperature"):
        softmax([1.0, 2.0], temperature)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="logits are NaN or infinite"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))
    with pytest.raises(DataError, match="label 2 is outside"):
        fit_temperature(np.zeros((1, 2)), np.array([2]))
