"""Explanations of images in files, as files: from paths to a folder with pictures and arrays."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubel.core.errors import DataError, DecodeError
from hubel.core.files import numbered_folder, write_atomic
from hubel.data.index import scan
from hubel.data.inputs import collect
from hubel.data.loading import Images
from hubel.data.sources import open_source
from hubel.explain.drawing import draw_explanation, draw_methods, draw_sheet
from hubel.explain.embedding import draw_embedding, embed
from hubel.explain.explanation import Explanation, Picture, compare, explain, readable
from hubel.explain.filters import draw_filters
from hubel.explain.maps import activation_maps, draw_maps
from hubel.explain.templates import draw_templates
from hubel.explain.units import Unit, draw_unit, exciting_patches, strongest
from hubel.inference.predictor import Predictor
from hubel.plots.files import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Outcome",
    "compare_files",
    "embed_data",
    "explain_files",
    "filters_file",
    "maps_files",
    "templates_file",
    "unit_file",
]

_ON_A_SHEET = 48


@dataclass
class Outcome:
    """What was written, and what to say of it.

    Attributes:
        folder: where it is.
        columns: of a table for the person who asked.
        rows: likewise.
        problems: why some images could not be read.
    """

    folder: Path
    columns: Sequence[str] = ("file", "shows")
    rows: list[tuple[str, ...]] = field(default_factory=list)
    problems: list[DecodeError] = field(default_factory=list)

    def add(self, name: str, figure: Figure, *shows: str) -> None:
        """Write a figure as `name`.png, with a row of the table."""
        save(figure, self.folder / f"{name}.png")
        self.rows.append((f"{name}.png", *shows))

    def add_array(self, name: str, values: Any) -> None:
        """Write an array as `name`.npy."""
        buffer = io.BytesIO()
        np.save(buffer, values)
        write_atomic(self.folder / f"{name}.npy", buffer.getvalue())


def explain_files(
    predictor: Predictor,
    sources: Sequence[str | Path],
    out: Path | None = None,
    *,
    method: str = "gradcam",
    label: str | None = None,
    layer: str | None = None,
) -> Outcome:
    """For each image its overlay as a picture and its map as an array; a sheet if there are several. See `explain`."""
    problems: list[DecodeError] = []
    found = explain(predictor, _images(predictor, sources, problems), method=method, label=label, layer=layer)
    first = _first(found, problems)
    outcome = _outcome(predictor, out, problems, ("image", "class", "score", "file"))
    names, shown = _Names(), list[Explanation]()
    for one in _after(first, found):
        name = f"{names.of(one.picture)}-{method}"
        save(draw_explanation(one), outcome.folder / f"{name}.png")
        outcome.add_array(name, one.map)
        outcome.rows.append((one.picture.name, one.label, f"{one.score:.1%}", f"{name}.png"))
        shown += [one] if len(shown) < _ON_A_SHEET else []
    if len(shown) > 1:
        save(draw_sheet(shown), outcome.folder / "sheet.png")
    return outcome


def compare_files(
    predictor: Predictor,
    sources: Sequence[str | Path],
    out: Path | None = None,
    *,
    label: str | None = None,
    layer: str | None = None,
) -> Outcome:
    """All methods on the same images, with how faithful they are. See `compare`."""
    problems: list[DecodeError] = []
    images = _images(predictor, sources, problems)
    table = compare(predictor, _after(_first(images, problems), images), label=label, layer=layer)
    outcome = _outcome(predictor, out, problems, ("method", "insertion", "deletion", "time of a map"))
    explanations = list(zip(*(row.shown for row in table), strict=True))
    save(draw_methods(explanations, table, f"{predictor.card.model}: methods"), outcome.folder / "methods.png")
    outcome.rows += [(r.method, f"{r.insertion:.3f}", f"{r.deletion:.3f}", f"{r.ms:,.0f} ms") for r in table]
    return outcome


def maps_files(
    predictor: Predictor, sources: Sequence[str | Path], out: Path | None = None, *, layer: str | None = None
) -> Outcome:
    """For each image its maps as a picture, and as one array for each layer. See `activation_maps`."""
    problems: list[DecodeError] = []
    images = _images(predictor, sources, problems)
    first = _first(images, problems)
    found = activation_maps(predictor, first, layer)
    outcome, names = _outcome(predictor, out, problems), _Names()
    for picture in _after(first, images):
        found = activation_maps(predictor, picture, layer)
        name = names.of(picture)
        outcome.add(f"{name}-maps", draw_maps(picture, found), f"{', '.join(found)} of {picture.name}")
        for at, values in found.items():
            outcome.add_array(f"{name}-{at}", values)
    return outcome


def unit_file(
    predictor: Predictor,
    sources: Sequence[str | Path],
    unit: str,
    out: Path | None = None,
    *,
    patches: Path | None = None,
) -> Outcome:
    """What a unit sees of each image, and the patches of a folder that excite it most. See `hubel.explain.units`."""
    chosen, problems = Unit.parse(unit), list[DecodeError]()
    hits = strongest(predictor, list(_images(predictor, sources, problems)), chosen) if sources else []
    best = exciting_patches(predictor, _images(predictor, [patches], problems), chosen) if patches else []
    if not hits and not best:
        raise problems[0] if problems else DataError("name an image, or a folder with --patches")
    outcome = _outcome(predictor, out, problems)
    outcome.add(unit.replace(":", "-"), draw_unit(chosen, hits, best), f"what {unit} sees and likes")
    return outcome


def filters_file(predictor: Predictor, out: Path | None = None, *, layer: str | None = None) -> Outcome:
    """What units look for. See `draw_filters`."""
    figure = draw_filters(predictor, layer)
    outcome = _outcome(predictor, out, [])
    outcome.add("filters", figure, "what units look for")
    return outcome


def templates_file(predictors: Sequence[Predictor], labels: Sequence[str] = (), out: Path | None = None) -> Outcome:
    """What classes look like to one or more models. See `draw_templates`."""
    figure = draw_templates(predictors, labels)
    outcome = _outcome(predictors[0], out, [])
    outcome.add("templates", figure, "what each class looks like")
    return outcome


def embed_data(predictor: Predictor, data: str, out: Path | None = None, *, layer: str | None = None) -> Outcome:
    """All images of a data set as points, drawn and as a table. See `embed`."""
    source = open_source(data, labelled=True)
    index = scan(source)
    found = embed(predictor.network, Images(source, index, index.usable(), predictor.card.preprocess), layer=layer)
    outcome = _outcome(predictor, out, [], verb="embed")
    outcome.add("embedding", draw_embedding(found, f"{predictor.card.model} on {source.name}"), "PCA and t-SNE")
    write_atomic(outcome.folder / "embedding.csv", found.to_csv())
    outcome.rows.append(("embedding.csv", f"{len(found.paths):,} images"))
    return outcome


class _Names:
    """Names for files, made from those of the images, no two alike."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, picture: Picture) -> str:
        stem = name = Path(picture.name).stem
        number = 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return name


def _images(predictor: Predictor, sources: Sequence[str | Path], problems: list[DecodeError]) -> Iterator[Picture]:
    return readable(predictor, collect(sources), problems)


def _first(found: Iterator[Any], problems: list[DecodeError]) -> Any:
    """The first one, so that nothing is written where nothing can be."""
    for one in found:
        return one
    raise problems[0] if problems else DataError("there is no image to explain")


def _after(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _outcome(
    predictor: Predictor,
    out: Path | None,
    problems: list[DecodeError],
    columns: Sequence[str] = ("file", "shows"),
    *,
    verb: str = "explain",
) -> Outcome:
    folder = out or numbered_folder(Path("runs"), f"{verb}-{predictor.card.model}")
    folder.mkdir(parents=True, exist_ok=True)
    return Outcome(folder, columns, problems=problems)
