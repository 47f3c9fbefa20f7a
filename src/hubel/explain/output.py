"""Write explanations to a folder: figures as PNG, SVG or PDF, maps as arrays, embeddings as CSV."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hubel.core.errors import DataError, DecodeError, UnknownNameError
from hubel.core.files import short_name, write_atomic
from hubel.core.outputs import make_folder, output_folder
from hubel.core.progress import counted, say_notes
from hubel.data.dataset import open_dataset
from hubel.data.inputs import collect
from hubel.data.sources.kind import Rooted
from hubel.data.sources.listing import PassedOver, passed_over
from hubel.explain.comparison import compare_methods
from hubel.explain.embedding import draw_embedding, embed
from hubel.explain.explanation import Explanation, explain
from hubel.explain.feature_maps import activation_maps, draw_activation_maps
from hubel.explain.figures import draw_explanation, draw_methods, draw_sheet
from hubel.explain.filters import draw_filters
from hubel.explain.images import PreparedImage, prepare_readable_images
from hubel.explain.templates import draw_templates
from hubel.explain.units import Unit, draw_unit, peak_activations, top_patches
from hubel.explain.wording import drawn_language, words
from hubel.inference.predictor import Predictor
from hubel.plots.figure_files import FIGURE_FORMATS, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FigureStyle",
    "OutputFolder",
    "write_activation_maps",
    "write_comparison",
    "write_embedding",
    "write_explanations",
    "write_filters",
    "write_templates",
    "write_unit",
]

_ON_A_SHEET = 48
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class FigureStyle:
    """Form and language of figures.

    Attributes:
        form: png, svg or pdf.
        language: of captions and legends, en or ko; English where no font has the letters.

    Raises:
        UnknownNameError: there is no such form or language.
    """

    form: str = "png"
    language: str = "en"

    def __post_init__(self) -> None:
        if self.form not in FIGURE_FORMATS:
            raise UnknownNameError("figure format", self.form, FIGURE_FORMATS)
        object.__setattr__(self, "language", drawn_language(self.language))


_PNG = FigureStyle()


@dataclass(kw_only=True)
class OutputFolder:
    """A folder of results, with a table of its files for the user.

    Attributes:
        folder: the folder's path.
        form: of the figures, see `FigureStyle`.
        columns: headings of the table.
        rows: rows of the table.
        problems: errors of the images that could not be read.
    """

    folder: Path
    form: str = "png"
    columns: Sequence[str] = ("file", "shows")
    rows: list[tuple[str, ...]] = field(default_factory=list)
    problems: list[DecodeError] = field(default_factory=list)

    def add(self, name: str, figure: Figure, *shows: str) -> None:
        """Write a figure, and add a row to the table."""
        self.rows.append((self.draw(name, figure), *shows))

    def draw(self, name: str, figure: Figure) -> str:
        """Write a figure; return the name of its file."""
        file = f"{name}.{self.form}"
        save_figure(figure, self.folder / file)
        return file

    def add_array(self, name: str, values: ArrayLike) -> None:
        """Write an array as `name`.npy."""
        buffer = io.BytesIO()
        np.save(buffer, values)
        write_atomic(self.folder / f"{name}.npy", buffer.getvalue())


def write_explanations(
    predictor: Predictor,
    sources: Sequence[str | Path | Rooted],
    out: Path | None = None,
    *,
    method: str = "gradcam",
    label: str | None = None,
    layer: str | None = None,
    style: FigureStyle = _PNG,
) -> OutputFolder:
    """Write each image's overlay and map (.npy), and a contact sheet of several images. See `explain`."""
    out = output_folder(out, verb="explain", inputs=sources)
    problems: list[DecodeError] = []
    images = _readable_images(predictor, sources, problems)
    explanations = _require_first(explain(predictor, images, method=method, label=label, layer=layer), problems)
    output = _output_folder(predictor, out, problems, style, ("image", "class", "score", "file"))
    names, shown = _FileNames(), list[Explanation]()
    for explanation in explanations:
        name = f"{names.of(explanation.image)}-{method}"
        file = output.draw(name, draw_explanation(explanation, language=style.language))
        output.add_array(name, explanation.map)
        output.rows.append((explanation.image.name, explanation.label, f"{explanation.score:.1%}", file))
        shown += [explanation] if len(shown) < _ON_A_SHEET else []
    if len(shown) > 1:
        output.draw("sheet", draw_sheet(shown, language=style.language))
    return output


def write_comparison(
    predictor: Predictor,
    sources: Sequence[str | Path | Rooted],
    out: Path | None = None,
    *,
    label: str | None = None,
    layer: str | None = None,
    style: FigureStyle = _PNG,
) -> OutputFolder:
    """Write a figure of all methods on the same images, with their faithfulness. See `compare_methods`."""
    out = output_folder(out, verb="explain", inputs=sources)
    problems: list[DecodeError] = []
    images = _require_first(_readable_images(predictor, sources, problems), problems)
    methods = compare_methods(predictor, images, label=label, layer=layer)
    output = _output_folder(predictor, out, problems, style, ("method", "insertion", "deletion", "time per map"))
    explanations = list(zip(*(row.shown for row in methods), strict=True))
    title = words("methods.title", style.language, model=predictor.card.model)
    output.draw("methods", draw_methods(explanations, methods, title, language=style.language))
    output.rows += [(r.method, f"{r.insertion:.3f}", f"{r.deletion:.3f}", f"{r.ms:,.0f} ms") for r in methods]
    return output


def write_activation_maps(
    predictor: Predictor,
    sources: Sequence[str | Path | Rooted],
    out: Path | None = None,
    *,
    layer: str | None = None,
    style: FigureStyle = _PNG,
) -> OutputFolder:
    """Write each image's activation maps as a figure, and as one array per layer. See `activation_maps`."""
    out = output_folder(out, verb="explain", inputs=sources)
    problems: list[DecodeError] = []
    images = _readable_images(predictor, sources, problems)
    maps_of_images = _require_first(((image, activation_maps(predictor, image, layer)) for image in images), problems)
    output, names = _output_folder(predictor, out, problems, style), _FileNames()
    for image, maps in maps_of_images:
        name = names.of(image)
        figure = draw_activation_maps(image, maps, language=style.language)
        output.add(f"{name}-maps", figure, f"{', '.join(maps)} of {image.name}")
        for layer_name, values in maps.items():
            output.add_array(f"{name}-{layer_name}", values)
    return output


def write_unit(
    predictor: Predictor,
    sources: Sequence[str | Path | Rooted],
    unit: str,
    out: Path | None = None,
    *,
    patches: str | Path | Rooted | None = None,
    style: FigureStyle = _PNG,
) -> OutputFolder:
    """Draw a unit's receptive field on each image, and the patches of a folder or table that activate it most.

    See `hubel.explain.units`.
    """
    out = output_folder(out, verb="explain", inputs=(*sources, patches))
    parsed, problems = Unit.parse(unit), list[DecodeError]()
    images = list(_readable_images(predictor, sources, problems)) if sources else []
    peaks = peak_activations(predictor, images, parsed) if images else []
    best = top_patches(predictor, _readable_images(predictor, [patches], problems), parsed) if patches else []
    if not peaks and not best:
        raise problems[0] if problems else DataError("name an image, or a folder with --patches")
    output = _output_folder(predictor, out, problems, style)
    figure = draw_unit(parsed, peaks, best, language=style.language)
    output.add(unit.replace(":", "-"), figure, f"receptive field and top patches of {unit}")
    return output


def write_filters(
    predictor: Predictor, out: Path | None = None, *, layer: str | None = None, style: FigureStyle = _PNG
) -> OutputFolder:
    """Draw filters, and images that maximise units. See `draw_filters`."""
    out = output_folder(out, verb="explain")
    figure = draw_filters(predictor, layer, language=style.language)
    output = _output_folder(predictor, out, [], style)
    output.add("filters", figure, "filters, and images that maximise units")
    return output


def write_templates(
    predictors: Sequence[Predictor],
    labels: Sequence[str] = (),
    out: Path | None = None,
    *,
    style: FigureStyle = _PNG,
) -> OutputFolder:
    """Draw the class templates of one or more models. See `draw_templates`."""
    out = output_folder(out, verb="explain")
    figure = draw_templates(predictors, labels, language=style.language)
    output = _output_folder(predictors[0], out, [], style)
    output.add("templates", figure, "class templates")
    return output


def write_embedding(
    predictor: Predictor, data: str | Rooted, out: Path | None = None, *, layer: str | None = None
) -> OutputFolder:
    """Embed all images of a dataset in two dimensions, as a figure and a table. See `embed`."""
    out = output_folder(out, verb="embed", inputs=(data,))
    dataset = open_dataset(data, parents=predictor.card.parents or None)
    embedding = embed(predictor.network, dataset.images(predictor.card.preprocess), layer=layer)
    output = _output_folder(predictor, out, [], _PNG, verb="embed")
    output.add("embedding", draw_embedding(embedding, f"{predictor.card.model} on {dataset.name}"), "PCA and t-SNE")
    write_atomic(output.folder / "embedding.csv", embedding.to_csv())
    output.rows.append(("embedding.csv", counted(len(embedding.paths), "image")))
    return output


class _FileNames:
    """Unique file names, made from the names of images."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, image: PreparedImage) -> str:
        stem = name = short_name(Path(image.name).stem)
        number = 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return name


def _readable_images(
    predictor: Predictor, sources: Sequence[str | Path | Rooted], problems: list[DecodeError]
) -> Iterator[PreparedImage]:
    """Yield the images that can be read; report the files of folders that are passed over when all have been listed."""
    skip = PassedOver()
    yield from prepare_readable_images(predictor, collect(sources, skip=skip), problems)
    say_notes(passed_over(skip.counts()))


def _require_first(items: Iterator[Item], problems: list[DecodeError]) -> Iterator[Item]:
    """Return `items`, the first of them already computed, so that a failure leaves no empty folder behind."""
    for first in items:
        return itertools.chain([first], items)
    raise problems[0] if problems else DataError("there is no image to explain")


def _output_folder(
    predictor: Predictor,
    out: Path | None,
    problems: list[DecodeError],
    style: FigureStyle,
    columns: Sequence[str] = ("file", "shows"),
    *,
    verb: str = "explain",
) -> OutputFolder:
    folder = make_folder(out, verb=verb, name=f"{verb}-{predictor.card.model}")
    return OutputFolder(folder=folder, form=style.form, columns=columns, problems=problems)
