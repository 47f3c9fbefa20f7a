"""Compare new images with those of a model's training: does the camera, the light or the subject differ?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.audit.drifting.appearance import APPEARANCE, Trait
from hubel.audit.drifting.observe import input_photo, observe, observe_reference
from hubel.audit.drifting.reference import FILE_TRAITS, MeasuredImages, Reference, read_reference
from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.core.progress import counted
from hubel.core.ranges import check_range
from hubel.core.shell import shell_command
from hubel.data.dataset import open_dataset
from hubel.data.inputs import Input, as_inputs
from hubel.data.sources.kind import Rooted
from hubel.data.taught import Taught
from hubel.inference.classifier import Classifier
from hubel.inference.load import load_classifier
from hubel.metrics.two_samples import Permutations, anderson_darling, chi_square, cliffs_delta, holm, mmd
from hubel.weights.card import ModelCard

__all__ = ["Drift", "DriftTest", "compare_samples", "drift"]

_LEAST = 10  # images; fewer are no sample
_MOST, _LIMIT = 1000, 4000  # images; memory grows with their square, and smaller differences do not matter
_PERMUTATIONS = 1999
_SAID = 4  # causes in the one sentence of the answer
_CLEAR = 0.1  # |Cliff's delta| below which a trait differs by its spread rather than by its level


@dataclass(frozen=True, kw_only=True)
class DriftTest:
    """One test of a comparison.

    Attributes:
        name: of what is compared: "features", "scores", "predicted classes", "file format", or a trait.
        kind: "network", "classes" or "cause".
        p: p-value of this test alone.
        adjusted: p-value adjusted for all tests of the comparison (Holm).
        effect: size of the difference. Traits: Cliff's delta, -1 to 1, above 0 where new images have higher values;
            classes and formats: total variation distance, 0 to 1; features and scores: MMD.
        reference: mean of the trait over the training's images; None for all else.
        new: likewise over the new images.
        finding: the difference in words, such as "darker (mean brightness 0.31 against 0.52)".
    """

    name: str
    kind: str
    p: float
    adjusted: float
    effect: float
    reference: float | None = None
    new: float | None = None
    finding: str = ""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """New images compared with those of a model's training.

    Attributes:
        tests: all tests, the clearest first.
        images: number of new images.
        reference_images: number of images that their traits are compared with.
        reference_outputs: number of held-out images that the network's answers are compared with.
        alpha: chance of a false "differs", over all tests together.
        unreadable: files that are left out, with their reasons.
        notes: remarks.
    """

    tests: tuple[DriftTest, ...]
    images: int
    reference_images: int
    reference_outputs: int
    alpha: float
    unreadable: tuple[DecodeError, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Return whether any test finds a difference."""
        return bool(self.found)

    @property
    def found(self) -> tuple[DriftTest, ...]:
        """Return the tests that find a difference, the clearest first."""
        return tuple(test for test in self.tests if test.adjusted <= self.alpha)

    def headline(self) -> str:
        """Return the answer in one sentence."""
        against = f"{counted(self.images, 'image')} against {self.reference_images:,} of the training"
        if not self.differs:
            return f"no difference found: {against}, {len(self.tests)} tests"
        causes = sorted((test for test in self.found if test.kind == "cause"), key=lambda test: -abs(test.effect))
        said = [test.finding for test in causes[:_SAID]]
        said += [f"{counted(len(causes) - _SAID, 'more cause')}"] if len(causes) > _SAID else []
        return f"differs: {'; '.join([*said, *(test.finding for test in self.found if test.kind != 'cause')])}"

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each test: name, mean of the training, mean of the new images, effect, p, adjusted p."""

        def mean(value: float | None) -> str:
            return "" if value is None else f"{value:.3g}"

        return [
            (one.name, mean(one.reference), mean(one.new), f"{one.effect:.2f}", f"{one.p:.4f}", f"{one.adjusted:.4f}")
            for one in self.tests
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "differs": self.differs,
            "summary": self.headline(),
            "alpha": self.alpha,
            "images": self.images,
            "reference": {"images": self.reference_images, "held_out": self.reference_outputs},
            "tests": [asdict(test) for test in self.tests],
            "unreadable": [{"name": one.name, "reason": one.reason} for one in self.unreadable],
            "notes": list(self.notes),
        }


def drift(
    model: str | os.PathLike[str],
    images: Any,
    *,
    data: str | Path | Rooted | None = None,
    alpha: float = 0.05,
    most: int = _MOST,
    seed: int = 0,
    device: str = "auto",
    engine: str = "auto",
) -> Drift:
    """Compare images with those that a model was trained on.

    Compared are the network's features (its scores for an exported file), the predicted classes, and simple causes:
    brightness, contrast, sharpness, noise, colour, size, shape, compression and format of the files. Each test is a
    permutation test; together they say "differs" of images like the training's in at most `alpha` of all cases.

    Args:
        model: a model file, run folder or exported file; see `hubel.load`.
        images: the new images; see `hubel.data.inputs.as_inputs`.
        data: the training's images, for models without a reference of their own; see `open_dataset`.
        alpha: chance of a false alarm, 0 to 1.
        most: most images to measure, 10 to 4,000, selected by the seed.
        seed: of this selection and of the permutations.
        device: where to run, for models that are not exported.
        engine: for exported files; see `hubel.load`.

    Raises:
        OptionError: a setting is out of range, or the model has no reference and `data` is not given.
        DataError: there are fewer than 10 readable images, or were in the training.
        HubelError: the model or the images cannot be read.
    """
    check_range("alpha", alpha, 0, 1)
    check_range("most", most, _LEAST, _LIMIT, whole=True)
    opened = load_classifier(model, device=device, engine=engine)
    reference = _reference(model, opened, data)
    inputs = _chosen(list(as_inputs(images)), most, seed)
    preprocess = opened.card.preprocess
    sample, unreadable = observe((input_photo(item, preprocess) for item in inputs), preprocess, opened)
    for measured, whose in ((sample, ""), (reference.sample, " of the training")):
        if (n := len(measured.appearance)) < _LEAST:
            raise DataError(f"{counted(n, 'readable image')}{whose} are too few to compare; {_LEAST} are the least")
    return compare_samples(reference, sample, opened.card, alpha=alpha, seed=seed, unreadable=unreadable)


def compare_samples(
    reference: Reference,
    sample: MeasuredImages,
    card: ModelCard,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    unreadable: Sequence[DecodeError] = (),
) -> Drift:
    """Compare measured images with a reference; see `drift`."""
    known, n = reference.sample, len(sample.appearance)
    traits = Permutations(n, len(known.appearance), _PERMUTATIONS, seed).assigned()
    tests = [
        *_trait_tests(APPEARANCE, sample.appearance, known.appearance, traits),
        *_trait_tests(FILE_TRAITS, sample.files, known.files, traits),
        *_format_tests(sample.formats, known.formats, traits),
    ]
    notes = []
    if (m := len(known.predicted)) < _LEAST:
        notes.append("the training held out too few images to compare what the network makes of them")
    else:
        answers = Permutations(n, m, _PERMUTATIONS, seed).assigned()
        tests += _answer_tests(sample, known, card, answers)
    adjusted = holm([test.p for test in tests])
    final = [DriftTest(**{**asdict(test), "adjusted": p}) for test, p in zip(tests, adjusted, strict=True)]
    return Drift(
        tests=tuple(sorted(final, key=lambda test: (test.adjusted, test.p, -abs(test.effect)))),
        images=n,
        reference_images=len(known.appearance),
        reference_outputs=m,
        alpha=alpha,
        unreadable=tuple(unreadable),
        notes=tuple(notes),
    )


def _reference(model: str | os.PathLike[str], opened: Classifier, data: str | Path | Rooted | None) -> Reference:
    """Return the reference in the card, or that of the images that a user names."""
    card = opened.card
    if data is None:
        if not card.reference:
            command = shell_command("hubel", "drift", str(model), "FOLDER", "--data", "DATA")
            raise OptionError(f"{model} keeps no statistics of its training images; name these: {command}")
        return read_reference(card.reference, len(card.classes))
    dataset = open_dataset(data, labelled=False)
    rows = dataset.rows()
    taught = Taught.read(card.provenance).among(dataset.digests(rows))
    new = rows[~taught]
    known = rows[taught] if taught.any() else rows
    return observe_reference(
        opened,
        card.preprocess,
        shown=dataset.images(card.preprocess, known),
        held_out=dataset.images(card.preprocess, new) if len(new) else None,
        name="labelled",
    )


def _chosen(inputs: list[Input], most: int, seed: int) -> list[Input]:
    from hubel.core.random import permutation

    kept = np.sort(permutation(len(inputs), seed)[:most])
    return [inputs[at] for at in kept.tolist()]


def _trait_tests(
    traits: Sequence[Trait], new: NDArray[np.float16], known: NDArray[np.float16], assigned: NDArray[np.float32]
) -> list[DriftTest]:
    """Test each trait that is known of all images and not the same for all of them."""
    tests = []
    for column, trait in enumerate(traits):
        a, b = new[:, column].astype(np.float64), known[:, column].astype(np.float64)
        if np.isnan(a).any() or np.isnan(b).any() or np.ptp(np.concatenate([a, b])) == 0:
            continue
        _, p = anderson_darling(np.concatenate([a, b]), assigned)
        delta, mean, before = cliffs_delta(a, b), float(a.mean()), float(b.mean())
        spread = f"{'more' if a.std() > b.std() else 'less'} varied"
        word = spread if abs(delta) < _CLEAR else trait.more if delta > 0 else trait.less
        tests.append(
            DriftTest(
                name=trait.name,
                kind="cause",
                p=p,
                adjusted=p,
                effect=delta,
                reference=before,
                new=mean,
                finding=f"{word} (mean {trait.name} {mean:.3g} against {before:.3g})",
            )
        )
    return tests


def _format_tests(new: tuple[str, ...], known: tuple[str, ...], assigned: NDArray[np.float32]) -> list[DriftTest]:
    """Test the formats of the files; none of arrays, which have none."""
    names = sorted({*new, *known})
    if len(names) < 2 or "array" in names:
        return []
    codes = np.array([names.index(name) for name in (*new, *known)])
    return [_category_test("file formats", "cause", codes, len(new), names, assigned)]


def _answer_tests(
    sample: MeasuredImages, known: MeasuredImages, card: ModelCard, assigned: NDArray[np.float32]
) -> list[DriftTest]:
    """Test what the network makes of the images: its features, or else its scores, and the predicted classes."""
    n = len(sample.predicted)
    name = "features" if sample.features.size and sample.features.shape[1] == known.features.shape[1] else "scores"
    pair = [getattr(one, name).astype(np.float64) for one in (sample, known)]
    tests = []
    if pair[0].shape[1] == pair[1].shape[1]:
        squared, p = mmd(np.concatenate(pair), assigned)
        distance = float(np.sqrt(max(0.0, squared)))
        finding = f"the network's {name} (MMD {distance:.2f})"
        tests.append(DriftTest(name=name, kind="network", p=p, adjusted=p, effect=distance, finding=finding))
    if card.scores != "identity":
        codes = np.concatenate([sample.predicted, known.predicted])
        tests.append(_category_test("predicted classes", "classes", codes, n, card.classes, assigned))
    return tests


def _category_test(
    name: str, kind: str, codes: NDArray[Any], n: int, names: Sequence[str], assigned: NDArray[np.float32]
) -> DriftTest:
    _, p = chi_square(codes, assigned)
    new, known = Counter(codes[:n].tolist()), Counter(codes[n:].tolist())
    shares = {code: (new[code] / n, known[code] / (len(codes) - n)) for code in sorted({*new, *known})}
    distance = sum(abs(a - b) for a, b in shares.values()) / 2
    code = max(shares, key=lambda code: abs(shares[code][0] - shares[code][1]))
    a, b = shares[code]
    finding = f"{names[code]} is {a:.0%} of the {name}, against {b:.0%}"
    return DriftTest(name=name, kind=kind, p=p, adjusted=p, effect=distance, finding=finding)
