"""Searching by words: the classes that a sentence asks for, the index, the threshold, and hostile queries and files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import fake_texts
from hubel.core.cache import cache_folder
from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.core.vectors import unit
from hubel.data.preprocess import Preprocess
from hubel.retrieval.concepts import ConceptsEncoder, ConceptSpace
from hubel.retrieval.encoder import Encoder
from hubel.retrieval.encoders import find_encoder
from hubel.retrieval.index import FolderIndex
from hubel.retrieval.search import (
    MOST_LETTERS,
    PhotoSearch,
    chance_threshold,
    in_words,
    index_photos,
    search_photos,
    understood,
)
from hubel.retrieval.zero_shot import NamedClasses
from hubel.weights.card import ModelCard
from hubel.weights.imagenet import imagenet_classes

SHIPPED = ("imagenet_texts", "imagenet_definitions")
COLOURS = {"cat": (200, 40, 40), "dog": (40, 200, 40), "airliner": (40, 40, 200)}


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_texts.use(monkeypatch)


class ColourEncoder(ConceptsEncoder):
    """A classifier that takes red for cats, green for dogs, and blue for airliners."""

    seen = 0

    def __init__(self) -> None:
        self.classes, self.preprocess, self._weights = tuple(COLOURS), Preprocess(8, 8), lambda: "colours"

    def prepare(self, images: int) -> tuple[Callable[[NDArray[np.uint8]], NDArray[np.float32]], int]:
        return self.encode_images, 1

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen += len(pixels)
        means = pixels.reshape(len(pixels), -1, 3).mean(1).astype(np.float64)
        return self.of_scores(means / means.sum(1, keepdims=True))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        for number in range(3):
            Image.fromarray(np.full((9 + number, 9, 3), colour, np.uint8)).save(folder / f"{name}{number}.png")
    return folder


def names(answer: object) -> list[str]:
    return [Path(one.path).name for one in answer.nearest]  # type: ignore[attr-defined]


def test_it_is_an_encoder() -> None:
    encoder = ColourEncoder()
    assert isinstance(encoder, Encoder)
    assert encoder.dimension == 3


@pytest.mark.parametrize("query", ["a cat", "cats", "feline", "domestic cat", "고양이"])
def test_synonyms_hypernyms_and_plurals(photos: Path, query: str) -> None:
    answer, _ = search_photos(photos, query, encoder=ColourEncoder(), top_k=3)
    assert {name[:3] for name in names(answer)} == {"cat"}


def test_a_hypernym_asks_for_all_below_it() -> None:
    space = ConceptSpace(tuple(COLOURS))
    cat, dog, plane = space.named("an animal")[0]
    assert (cat, dog, plane) == (1, 1, 0)
    assert space.named("vehicle")[0].tolist() == [0, 0, 1]
    assert not space.named("sorrow")[0].any()


def test_the_thing_counts_more_than_its_place() -> None:
    cat, dog, plane = ConceptSpace(tuple(COLOURS)).named("a cat in an airliner")[0]
    assert cat == 1
    assert 0 < plane < cat
    assert dog == 0


def test_a_noun_that_is_no_class_asks_for_its_like_and_less() -> None:
    space = ConceptSpace(tuple(COLOURS))
    wolf, exact = space.named("a wolf")
    assert not exact
    assert 0 < wolf[1] < 1
    assert wolf[2] == 0


def test_the_index_knows_new_changed_and_removed_photos(photos: Path) -> None:
    encoder = ColourEncoder()
    assert index_photos(photos, encoder=encoder).index.embedded == 9
    assert index_photos(photos, encoder=encoder).index.embedded == 0
    Image.fromarray(np.full((8, 8, 3), COLOURS["dog"], np.uint8)).save(photos / "cat1.png")
    (photos / "cat2.png").unlink()
    Image.fromarray(np.full((8, 8, 3), COLOURS["cat"], np.uint8)).save(photos / "new.png")
    encoder.seen = 0
    search = index_photos(photos, encoder=encoder)
    assert (search.index.embedded, encoder.seen) == (2, 2)
    assert names(search.ask("a cat", top_k=2)) == ["cat0.png", "new.png"]
    assert "cat1.png" in names(search.ask("a dog", top_k=4))
    assert "cat2.png" not in names(search.ask("a cat", top_k=100))


def index_files() -> Iterator[Path]:
    yield from cache_folder("similar").rglob("*.npy")


@pytest.mark.parametrize("damage", ["cut", "other bytes", "empty", "removed", "another shape"])
def test_a_damaged_index_is_made_anew(photos: Path, damage: str) -> None:
    expected = names(search_photos(photos, "a dog", encoder=ColourEncoder())[0])
    for path in list(index_files()):
        content = path.read_bytes()
        if damage == "removed":
            path.unlink()
        elif damage == "another shape":
            np.save(path, np.zeros(3, np.float16))
        else:
            path.write_bytes({"cut": content[:-5], "other bytes": content[:-4] + b"abcd", "empty": b""}[damage])
    answer, index = search_photos(photos, "a dog", encoder=ColourEncoder())
    assert index.embedded == 9
    assert names(answer) == expected


def test_a_removed_folder_is_said(photos: Path) -> None:
    search_photos(photos, "a dog", encoder=ColourEncoder())
    shutil.rmtree(photos)
    with pytest.raises(DataError, match="no such folder or table"):
        search_photos(photos, "a dog", encoder=ColourEncoder())


@pytest.mark.parametrize("query", ["", "  \n\t", "\0"])
def test_an_empty_query_is_refused_before_anything_is_indexed(query: str, photos: Path) -> None:
    encoder = ColourEncoder()
    with pytest.raises(OptionError, match="the query is empty"):
        search_photos(photos, query, encoder=encoder)
    assert encoder.seen == 0


@pytest.mark.parametrize("query", ["🙂🙂", "قطة على السجادة", "חתול", "猫", "12345", "뷁뷁", "?!"])
def test_a_query_of_unknown_words_finds_nothing(photos: Path, query: str) -> None:
    answer, _ = search_photos(photos, query, encoder=ColourEncoder())
    assert (answer.found, answer.nearest) == ((), ())
    assert in_words(answer) == "Nothing fits: no word of the query is known; English and Korean are."


def test_a_query_of_ten_thousand_letters_is_cut(photos: Path) -> None:
    answer, _ = search_photos(photos, "cat " * 2500, encoder=ColourEncoder(), top_k=3)
    assert {name[:3] for name in names(answer)} == {"cat"}
    assert len(answer.searched) <= MOST_LETTERS
    assert len(understood("z" * 10_000)) == MOST_LETTERS


def test_other_words_around_a_known_one_do_no_harm(photos: Path) -> None:
    answer, _ = search_photos(photos, "🙂 قطة cat", encoder=ColourEncoder(), top_k=1)
    assert answer.searched == "cat"
    assert names(answer)[0].startswith("cat")


@pytest.mark.parametrize("top_k", [0, -1])
def test_top(photos: Path, top_k: int) -> None:
    with pytest.raises(OptionError, match="--top"):
        search_photos(photos, "cat", encoder=ColourEncoder(), top_k=top_k)


def test_threshold_by_its_formula() -> None:
    generator = np.random.default_rng(0)
    vectors = unit(generator.random((50, 6)).astype(np.float32)).astype(np.float16)
    texts = generator.random((20, 6)).astype(np.float32)
    best = (vectors.astype(np.float64) @ texts.T.astype(np.float64)).max(0)
    median = np.median(best)
    expected = median + 2 * 1.4826 * np.median(np.abs(best - median))
    assert chance_threshold(vectors, texts) == pytest.approx(expected, abs=1e-4)


def test_the_threshold_decides() -> None:
    """What is found is what reaches it; what is nearest does not depend on it."""
    encoder = ColourEncoder()
    vectors = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0, 0, 1]], np.float16)
    index = FolderIndex(["a", "b", "c"], vectors, 0, ())
    answers = [PhotoSearch(encoder, index, threshold).ask("cat") for threshold in (0.1, 0.9, 2.0)]
    assert [[one.path for one in answer.found] for answer in answers] == [["a", "b"], ["a"], []]
    assert len({answer.nearest for answer in answers}) == 1
    assert in_words(answers[2]).startswith("Nothing fits in 3 photos")


def test_texts_of_imagenet_that_ship_are_those_of_its_classes() -> None:
    assert ConceptSpace(imagenet_classes()).vectors.shape == (1000, 384)
    np.testing.assert_allclose(np.linalg.norm(ConceptSpace(imagenet_classes()).vectors, axis=1), 1, atol=1e-5)


def test_definitions_of_imagenet_count_as_much_as_names() -> None:
    """By the formula, of a text without a noun: half the softmax of the names and half that of the definitions."""
    space, text = ConceptSpace(imagenet_classes()), "quickly and 7"
    assert not space.named(text)[0].any()
    encoded = fake_texts.FakeTexts().encode([text])[0].astype(np.float64)
    rows = [np.load(str(files("hubel.retrieval") / f"{name}.npy")).astype(np.float64) for name in SHIPPED]
    near = [row @ encoded / np.linalg.norm(row, axis=1) for row in rows]
    expected = np.mean([np.exp((one - one.max()) / 0.03) for one in near], axis=0)
    nearest = max(one.max() for one in near)
    np.testing.assert_allclose(space.weights([text])[0], expected * nearest / expected.max(), rtol=1e-3, atol=1e-6)
    assert {int(one.argmax()) for one in near} <= set(np.flatnonzero(expected > 0.4).tolist())


def test_the_classes_of_another_model_have_names_alone() -> None:
    encoded, space = fake_texts.FakeTexts().encode(["quickly"]), ConceptSpace(tuple(COLOURS))
    near = (encoded @ space.vectors.T)[0]
    spread = np.exp((near - near.max()) / 0.03)
    np.testing.assert_allclose(space.weights(["quickly"])[0], spread * max(0.05, near.max()), rtol=1e-4)
    assert space.weights([]).shape == (0, 3)


def test_vectors_of_classes_are_kept(tmp_path: Path) -> None:
    first = ConceptSpace(("left_shoe", "cat")).vectors
    assert len(list(cache_folder("text").glob("classes-*.npy"))) == 1
    for path in cache_folder("text").glob("*.npy"):
        path.write_bytes(b"damaged")
    np.testing.assert_array_equal(ConceptSpace(("left_shoe", "cat")).vectors, first)


def test_models_without_classes_and_unknown_encoders_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="no encoder is called 'clip2'"):
        find_encoder("clip2")
    card = ModelCard("autoencoder_28", (), Preprocess(28, 28, 1, mean=(0.5,), std=(0.5,)))
    monkeypatch.setattr("hubel.inference.load.read_any_card", lambda _: card)
    with pytest.raises(OptionError, match="predicts no classes"):
        ConceptsEncoder("autoencoder.safetensors")


def test_a_query_imports_no_torch() -> None:
    script = (
        "import sys; from hubel.retrieval.search import index_photos; from hubel.retrieval.concepts import "
        "ConceptsEncoder; ConceptsEncoder().digest; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_classes_by_their_names(photos: Path) -> None:
    model = NamedClasses(ColourEncoder(), ("kitten or cat", "dog", "비행기"))
    predicted = model.predict(str(photos))
    assert predicted.tolist() == ["비행기"] * 3 + ["kitten or cat"] * 3 + ["dog"] * 3
    np.testing.assert_allclose(model.predict_proba(str(photos)).sum(1), 1)


def test_unit_vectors_have_a_softmax_over_prompts() -> None:
    class Plain:
        name, digest, dimension, preprocess = "plain", "0", 384, Preprocess(8, 8)

        def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            return self.encode_texts(["a photo of a cat"] * len(pixels))

        def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return fake_texts.FakeTexts().encode(texts)

    scores = NamedClasses(Plain(), ("cat", "dog")).scores(np.zeros((2, 8, 8, 3), np.uint8))
    assert scores.shape == (2, 2)
    assert (scores[:, 0] > 0.99).all()


@pytest.mark.parametrize("names", [(), ("cat",), ("cat", "cat"), ("cat", "🙂")])
def test_names_that_make_no_classes(names: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match=r"--classes|no word of"):
        NamedClasses(ColourEncoder(), names)
