"""Checking a data set: labels that are probably wrong, pictures that are there twice, pictures that do not belong.

From paths to a folder with a page, a table of all images and the findings as JSON. The data is not changed.
"""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.audit.duplicates import Duplicates, find_duplicates, thumbnails
from hubel.audit.label_errors import LabelRanking, label_errors, out_of_fold
from hubel.audit.outliers import Outliers, outliers
from hubel.core.files import numbered_folder, write_atomic
from hubel.core.progress import counted
from hubel.data.index import decode_row, scan
from hubel.data.loading import Images
from hubel.data.sources import open_source
from hubel.data.sources.listing import SPLITS, Source
from hubel.features.logits import last_layer_features
from hubel.inference.predictor import Predictor

__all__ = ["Checked", "Suspect", "check"]

_HEADER = "image_path,split,label,guess,p_label,p_guess,suspect,group,leak,deviations,far\n"  # of the table
_BATCH = 64  # images that become thumbnails at a time
_SIDE = 160  # pixels of the longer side of a picture on the page
_QUALITY = 80  # of its JPEG
# What the page shows; the table has all. With these it stays below 3 MB.
_SUSPECTS, _GROUPS, _IN_GROUP, _OUTLIERS = 60, 40, 6, 30


@dataclass(frozen=True)
class Suspect:
    """An image whose label is probably wrong.

    Attributes:
        row: its place among the images that were checked.
        path: how it is named.
        split: where it is; "" where there are no splits.
        label: its class, as given; and how likely that is to a classifier that has not seen the image.
        guess: the likeliest other class; likewise.
    """

    row: int
    path: str
    split: str
    label: str
    guess: str
    label_probability: float
    guess_probability: float


@dataclass(frozen=True, eq=False)
class Checked:
    """What was found in a data set, and where it was written.

    Attributes:
        name: of the data.
        model: whose features were used.
        images: what was looked at; the numbers of rows below are places among these.
        classes: names.
        labels: class numbers `(n,)`.
        probabilities: of the classes, out of fold, `(n, classes)`.
        ranking: of the labels.
        duplicates: groups of the same picture.
        outliers: unusual pictures.
        notes: what a person should know.
        page: the page.
        table: a CSV with a row for each image, the most doubtful label first.
    """

    name: str
    model: str
    images: Images
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    ranking: LabelRanking
    duplicates: Duplicates
    outliers: Outliers
    notes: tuple[str, ...]
    page: Path
    table: Path

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def splits(self) -> NDArray[np.int8]:
        """The code of each image's split, a place in `SPLITS`."""
        return self.images.index.split[self.images.rows]

    def suspects(self) -> list[Suspect]:
        """The labels that are probably wrong, the most doubtful first."""
        return [self._suspect(row) for row in self.ranking.order.tolist() if self.ranking.suspect[row]]

    def leaks(self) -> list[int]:
        """The groups of duplicates with images in more than one split."""
        splits, groups = self.splits, self.duplicates.groups
        return [place for place in self.duplicates.across(splits) if len(set(splits[groups[place]].tolist()) - {0}) > 1]

    def two_labels(self) -> list[int]:
        """The groups of duplicates whose images have different labels."""
        return self.duplicates.across(self.labels)

    def unlike(self) -> list[tuple[str, float]]:
        """Path of each outlier, and by how many robust standard deviations it is too far away; the farthest first."""
        return [(self.images.path(row), float(self.outliers.deviations[row])) for row in self.outliers.rows.tolist()]

    def summary(self) -> list[tuple[str, str]]:
        """How much was found of what; a dash where there are no splits to leak between."""
        return [
            ("labels that may be wrong", f"{self.ranking.suspect.sum():,}"),
            ("pictures that are there more than once", f"{len(self.duplicates.groups):,}"),
            ("of these in more than one split", f"{len(self.leaks()):,}" if self.splits.any() else "-"),
            ("of these with different labels", f"{len(self.two_labels()):,}"),
            ("images unlike all others", f"{len(self.outliers.rows):,}"),
        ]

    def to_json(self) -> dict[str, Any]:
        """The findings as plain JSON values."""
        groups = [
            {
                "images": [self.images.path(row) for row in rows.tolist()],
                "same_bytes": exact,
                "splits": [SPLITS[code] for code in self.splits[rows]],
                "labels": [self.classes[label] for label in self.labels[rows]],
            }
            for rows, exact in zip(self.duplicates.groups, self.duplicates.exact, strict=True)
        ]
        return {
            "data": self.name,
            "model": self.model,
            "images": len(self),
            "suspects": [{name: value for name, value in asdict(s).items() if name != "row"} for s in self.suspects()],
            "duplicates": groups,
            "leaks": len(self.leaks()),
            "outliers": [{"path": path, "deviations": deviations} for path, deviations in self.unlike()],
            "notes": list(self.notes),
        }

    def to_csv(self) -> str:
        """A row for each image, the most doubtful label first."""
        text = io.StringIO()
        text.write(_HEADER)
        writer = csv.writer(text, lineterminator="\n")
        unusual, leaks = set(self.outliers.rows.tolist()), set(self.leaks())
        group = {row: place for place, rows in enumerate(self.duplicates.groups) for row in rows.tolist()}
        for row in self.ranking.order.tolist():
            one, place, deviations = self._suspect(row), group.get(row), self.outliers.deviations[row]
            cells: list[Any] = [one.path, one.split, one.label, one.guess]
            cells += [f"{one.label_probability:.6f}", f"{one.guess_probability:.6f}", int(self.ranking.suspect[row])]
            cells += ["" if place is None else place + 1, int(place in leaks), f"{deviations:.3f}", int(row in unusual)]
            writer.writerow(cells)
        return text.getvalue()

    def _suspect(self, row: int) -> Suspect:
        label, guess, p = int(self.labels[row]), int(self.ranking.guesses[row]), self.probabilities[row]
        path, split = self.images.path(row), SPLITS[self.splits[row]]
        return Suspect(row, path, split, self.classes[label], self.classes[guess], float(p[label]), float(p[guess]))


def check(data: str | Source, predictor: Predictor, out: Path | None = None) -> Checked:
    """Check all labelled images of a data set, whatever split they are in, and write a page.

    Args:
        data: see `open_source`.
        predictor: a network whose features tell the classes apart; its own classes do not matter.
        out: folder; a new one below `runs/` if not given. Gets data-check.html, data-check.csv and data-check.json.

    Raises:
        DataError: there are no labelled images, or only one class.
    """
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # first: nobody waits for a result that cannot be written
    source = open_source(data)
    index = scan(source)
    rows, classes, card, notes = index.usable(), index.classes(), predictor.card, index.notes()
    labels = index.targets(rows, classes)
    if card.provenance.get("fingerprint") == index.fingerprint():
        notes.append(f"{card.model} was trained on these images, wrong labels included; a pretrained one judges better")
    # The whole picture: what a centre crop hides may be what the label means.
    whole = replace(card, preprocess=replace(card.preprocess, resize="squash", crop=1.0))
    images = Images(source, index, rows, whole.preprocess)
    vectors = last_layer_features(predictor.network, images, card=whole)
    pictures = (pixels for batch in images.in_sequence(_BATCH) for pixels in batch.pixels)
    duplicates = find_duplicates(thumbnails(pictures, len(images)), index.digest[rows])
    probabilities = out_of_fold(vectors, labels, groups=duplicates.group_of)
    folder = out or numbered_folder(Path("runs"), f"check-{source.name}")
    checked = Checked(
        source.name,
        card.model,
        images,
        classes,
        labels,
        probabilities,
        label_errors(probabilities, labels),
        duplicates,
        outliers(vectors),
        tuple(notes),
        folder / "data-check.html",
        folder / "data-check.csv",
    )
    # File names that are no valid UTF-8 hold lone surrogates, which cannot be encoded.
    write_atomic(checked.table, checked.to_csv().encode("utf-8", "backslashreplace"))
    write_atomic(checked.page, _page(checked).encode("utf-8", "backslashreplace"))
    write_atomic(folder / "data-check.json", json.dumps(checked.to_json(), indent=2) + "\n")
    return checked


@dataclass(frozen=True)
class _Card:
    """A picture on the page: a JPEG in base64, what stands under it, and where it comes from."""

    jpeg: str
    label: str
    path: str
    split: str
    guess: str = ""
    says: str = ""


def _page(checked: Checked) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("hubel.audit").joinpath("data_check.html.jinja").read_text(encoding="utf-8")
    suspects, unusual, leaks = checked.suspects(), checked.outliers.rows, len(checked.leaks())
    found = [f"{len(suspects):,} of {counted(len(checked), 'label')} may be wrong"]
    if leaks:
        found.append(f"{counted(leaks, 'picture')} {'is' if leaks == 1 else 'are'} in more than one split")
    doubtful = [
        _card(checked, s.row, s.guess, f"{s.label_probability:.0%} → {s.guess_probability:.0%}")
        for s in suspects[:_SUSPECTS]
    ]
    far = checked.outliers.deviations
    strange = [_card(checked, row, says=f"{far[row]:.1f} deviations") for row in unusual[:_OUTLIERS].tolist()]
    return environment.from_string(source).render(
        title=f"{checked.name}: data check",
        headline="; ".join(found) + ".",
        tiles=checked.summary(),
        notes=checked.notes,
        doubtful=doubtful,
        groups=_groups(checked),
        strange=strange,
        more=(len(suspects) - _SUSPECTS, len(checked.duplicates.groups) - _GROUPS, len(unusual) - _OUTLIERS),
        model=checked.model,
        table=checked.table.name,
    )


def _groups(checked: Checked) -> list[tuple[list[str], list[_Card]]]:
    """What each group is, in words, and its pictures; different labels first, then leaks."""
    found, leaks, two_labels = checked.duplicates, set(checked.leaks()), set(checked.two_labels())
    order = sorted(range(len(found.groups)), key=lambda place: (place not in two_labels, place not in leaks, place))
    rows = []
    for place in order[:_GROUPS]:
        group = found.groups[place]
        words = ["the same file" if found.exact[place] else "the same picture"]
        words += ["in more than one split"] if place in leaks else []
        words += ["with different labels"] if place in two_labels else []
        words += [f"{len(group)} times"] if len(group) > _IN_GROUP else []
        # One of each split and label first, so that the page shows what is wrong.
        kinds = np.stack([checked.splits[group], checked.labels[group]], axis=1)
        first = np.sort(np.unique(kinds, axis=0, return_index=True)[1])
        shown = group[np.concatenate([first, np.setdiff1d(np.arange(len(group)), first)])[:_IN_GROUP]]
        rows.append((words, [_card(checked, row) for row in shown.tolist()]))
    return rows


def _card(checked: Checked, row: int, guess: str = "", says: str = "") -> _Card:
    """One picture in its own shape, read again: what the network sees is squashed."""
    images, place = checked.images, int(checked.images.rows[row])
    path = images.path(row)
    decoded, _ = decode_row(images.source, place, path, (_SIDE, _SIDE))
    image = Image.fromarray(decoded.pixels)
    image.thumbnail((_SIDE, _SIDE))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=_QUALITY)
    label, split = checked.classes[checked.labels[row]], SPLITS[checked.splits[row]]
    split = "" if path.startswith(f"{split}/") else split  # the path says it already
    return _Card(b64encode(jpeg.getvalue()).decode(), label, path, split, guess, says)
