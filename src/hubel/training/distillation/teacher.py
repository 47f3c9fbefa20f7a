"""Teachers: trained models whose scores, or maps, a student learns from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import HubelError, ModelFileError, OptionError
from hubel.core.random import permutation
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import network_input
from hubel.data.taught import Taught
from hubel.inference.classifier import Classifier
from hubel.inference.device import device_of
from hubel.inference.engines.engine import ModuleRunner, Precision
from hubel.inference.engines.frozen import open_frozen
from hubel.inference.engines.registry import EngineChoice
from hubel.inference.exported import Exported
from hubel.inference.load import load_classifier
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores, shares
from hubel.nn.evaluating import evaluating
from hubel.training.distillation.hints import hint_maps
from hubel.weights.card import ModelCard

__all__ = ["EXPORTED", "OpenedTeacher", "Teacher", "find_teachers", "mean_answers", "teacher_names"]

#: Precision of the answers of exported files, which decide it themselves.
EXPORTED = "exported"
_EXACT = str(Precision.FLOAT32)
_LEAST = 1e-12  # probability; what is less teaches nothing, and its logarithm has no end
_SAMPLES = 32  # images that an engine is timed with
_BATCH = 32  # images that are computed at once
_SHOWN = 5  # classes in a message

Answers = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class OpenedTeacher:
    """A teacher on the engine that runs it.

    Attributes:
        answer: returns what it answers for images uint8 `(n, h, w, c)` of its input's size, float32 `(n, k)`.
        lanes: threads that may call it at once.
        precision: in which it computes: "float32", "bfloat16", or `EXPORTED`.
        note: the engine, and why it was taken.
    """

    answer: Callable[[NDArray[np.uint8]], Answers]
    lanes: int
    precision: str
    note: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Teacher:
    """A trained model that teaches.

    Its answers are the logarithms of its calibrated scores of the student's classes, brought to a sum of 1; so a model
    file and what was exported from it teach alike, whatever an engine rounds.

    Attributes:
        name: as the user gave it.
        digest: of weights and card, or of the exported file, in hexadecimal.
        model: the loaded model.
        columns: of the student's classes among its own, `(c,)`.
        hint: it answers with its middle map rather than scores: that of the student has this size; None for scores.
    """

    name: str
    digest: str
    model: Classifier
    columns: NDArray[np.int64]
    hint: tuple[int, int] | None = None

    @property
    def card(self) -> ModelCard:
        """The teacher's card."""
        return self.model.card

    @property
    def exported(self) -> bool:
        """It is an exported file, which has engines of its own."""
        return not isinstance(self.model, Predictor)

    @property
    def taught(self) -> Taught:
        """The images that have taught it, as far as its card tells."""
        return Taught.read(self.card.provenance)

    def record(self) -> dict[str, str]:
        """Return who teaches, as plain JSON values; of a path no more than its last part."""
        return {"name": Path(self.name).name, "network": self.card.model, "digest": self.digest}

    def preprocess(self, student: Preprocess) -> Preprocess:
        """Return how images come to its input: as the student sees them, at the teacher's own size.

        The augmentation of an image is drawn in shares of its sides, so the same draws give the same view at any size:
        the same crop, turned and recoloured alike, with as many pixels as the teacher was trained on.

        Args:
            student: preprocessing of the student.
        """
        own = self.card.preprocess
        return replace(own, resize=student.resize, crop=student.crop, interpolation=student.interpolation)

    def check(self, images: Images) -> None:
        """Ask for an answer, so that a teacher that has none is refused before a run begins.

        Args:
            images: of any size.

        Raises:
            ModelFileError: it is not finite.
        """
        seen = images.at(self.preprocess(images.preprocess)).pixels(np.arange(1))
        try:
            self.model.scores(seen)
        except ModelFileError as error:
            raise ModelFileError(f"--teacher {self.name}: {error}") from None

    def open(
        self, images: Images, number: int, *, threads: int, device: torch.device, engine: EngineChoice | None
    ) -> OpenedTeacher:
        """Return the teacher on the engine that is the first to have run so many images.

        Args:
            images: at its own size; some of them time the engines.
            number: of images that it is to answer for.
            threads: of the computation.
            device: of the student; a model file runs on it.
            engine: the one to take; None for the fastest. An exported file has its own.
        """
        if not isinstance(self.model, Predictor):
            compute, lanes = self.model.for_many(number)
            return OpenedTeacher(
                answer=lambda pixels: self._answers(compute(pixels)),
                lanes=lanes,
                precision=EXPORTED,
                note="its exported file",
            )
        if self.hint is not None:
            self.model.network.to(device)
            return OpenedTeacher(answer=self._hints, lanes=1, precision=_EXACT, note="torch, its middle map")
        if device.type != "cpu":
            run = partial(_on_device, self.model.network.to(device))
            return OpenedTeacher(
                answer=partial(self._by_network, run), lanes=1, precision=_EXACT, note=f"torch on {device}"
            )
        some = images.pixels(np.sort(permutation(len(images), 0)[:_SAMPLES]))
        opened = open_frozen(
            self.model.network,
            network_input(some, self.card.preprocess).numpy(),
            images=number,
            threads=threads,
            choice=engine,
            int8=engine is not None,
        )
        return OpenedTeacher(
            answer=partial(self._by_network, opened.run),
            lanes=1,
            precision=str(opened.choice.precision),
            note=f"{opened.choice}: {opened.note}",
        )

    def _by_network(self, run: ModuleRunner, pixels: NDArray[np.uint8]) -> Answers:
        starts = range(0, len(pixels), _BATCH)
        x = (network_input(pixels[start : start + _BATCH], self.card.preprocess).numpy() for start in starts)
        logits = np.concatenate([run(part) for part in x])
        self._check_finite(logits)
        return self._answers(scores(logits[:, : len(self.card.classes)], self.card))

    def _hints(self, pixels: NDArray[np.uint8]) -> Answers:
        assert self.hint is not None, "whoever calls has looked"
        assert isinstance(self.model, Predictor), "find_teachers refuses exported files"
        network = self.model.network
        x = network_input(pixels, self.card.preprocess, device_of(network))
        with evaluating(network):
            maps = hint_maps(network, x, self.hint)
        found: Answers = maps.flatten(1).float().cpu().numpy()
        self._check_finite(found)
        return found

    def _answers(self, rows: NDArray[np.float64]) -> Answers:
        """Return log-probabilities of the student's classes, given rows of scores that may have more behind them."""
        self._check_finite(rows)
        own = shares(rows[:, : len(self.card.classes)])
        answers: Answers = np.log(np.maximum(shares(own[:, self.columns]), _LEAST)).astype(np.float32)
        return answers

    def _check_finite(self, values: NDArray[np.floating]) -> None:
        if not np.isfinite(values).all():
            raise ModelFileError(f"the teacher {self.name} answers NaN or infinite numbers: it can teach nothing")


def _on_device(network: nn.Module, x: NDArray[np.float32]) -> NDArray[np.float32]:
    device = device_of(network)
    with evaluating(network):
        out: NDArray[np.float32] = network(torch.from_numpy(x).to(device)).float().cpu().numpy()
    return out


def mean_answers(answers: Sequence[Answers]) -> Answers:
    """Return the logarithm of the mean probability of several teachers, each `(n, c)`; one alone as it is."""
    if len(answers) == 1:
        return answers[0]
    mean: Answers = np.log(np.mean(np.exp(np.stack(answers).astype(np.float64)), 0)).astype(np.float32)
    return mean


def teacher_names(text: str) -> list[str]:
    """Return the teachers that a text names: a path, or names and paths with commas between them.

    >>> teacher_names("resnet50,runs/a")
    ['resnet50', 'runs/a']
    """
    return [text] if Path(text).exists() else [name.strip() for name in text.split(",") if name.strip()]


def find_teachers(text: str, classes: tuple[str, ...], *, maps: bool = False) -> tuple[Teacher, ...]:
    """Load teachers and match their classes with the student's by name.

    Args:
        text: their names; see `teacher_names`.
        classes: of the student.
        maps: they teach by a map; then classes do not count.

    Raises:
        ModelFileError: a file is missing, damaged, or was not written by hubel.
        UnknownNameError: there is no such network or weights.
        OptionError: a teacher lacks one of the classes, or predicts no classes.
    """
    names = teacher_names(text)
    if not names:
        raise OptionError("--teacher names no model")
    if maps and len(names) > 1:
        raise OptionError("hints are the map of one teacher; several teach by their scores")
    return tuple(_find(name, classes, maps=maps) for name in names)


def _find(name: str, classes: tuple[str, ...], *, maps: bool) -> Teacher:
    try:
        model = load_classifier(name)
    except HubelError as error:
        error.args = (f"--teacher {name}: {str(error).removeprefix(f'{name}: ')}",)
        raise
    if maps and not isinstance(model, Predictor):
        raise OptionError(f"--teacher {name}: an exported file hands out no maps, which hints are; give its model file")
    if model.card.scores == "identity":
        raise OptionError(f"--teacher {name}: it predicts numbers (its task is {model.card.task}), no classes")
    columns = np.zeros(0, np.int64) if maps else _columns(name, model.classes, classes)
    digest = model.file.digest if isinstance(model, Exported) else _digest(model)
    return Teacher(name=name, digest=digest[:32], model=model, columns=columns)


def _columns(name: str, known: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the positions of wanted classes among the known ones; their letters' case and underscores do not count."""
    place = {_plain(text): at for at, text in reversed(list(enumerate(known)))} | {t: at for at, t in enumerate(known)}
    found = [place.get(text, place.get(_plain(text), -1)) for text in wanted]
    if missing := [text for text, at in zip(wanted, found, strict=True) if at < 0]:
        shown, of_all = _some(missing), f"{len(missing)} of the {len(wanted)} classes"
        raise OptionError(
            f"--teacher {name} does not know {of_all} ({shown}; it knows {_some(known)}): "
            "--distill-loss hint teaches by its features instead"
        )
    return np.array(found, np.int64)


def _plain(text: str) -> str:
    return text.casefold().replace("_", " ")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _digest(model: Classifier) -> str:
    """Return a digest of all that the answers depend on: the weights, and what the card says of scores and input."""
    assert isinstance(model, Predictor), "exported files have a digest of their own"
    card = model.card
    described = [card.model, dict(card.options), card.classes, card.scores, card.temperature, card.preprocess.to_json()]
    digest = hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=16)
    for name, tensor in model.network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
