"""Check a data set for label errors, duplicates, leaks between splits and outliers.

The findings are written as an HTML page, a CSV table of all images and a JSON file. The data is not changed.
"""

from __future__ import annotations

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
from hubel.core.csv_text import csv_text
from hubel.core.files import write_atomic
from hubel.core.notes import Caution
from hubel.core.outputs import make_folder, output_folder
from hubel.core.progress import counted
from hubel.data.dataset import open_dataset
from hubel.data.loading import Images
from hubel.data.sources.kind import Rooted
from hubel.data.sources.listing import SPLITS, Source
from hubel.features.logits import last_layer_features
from hubel.inference.predictor import Predictor

__all__ = ["DatasetCheck", "Suspect", "check_dataset"]

_HEADER = "image_path,split,label,guess,p_label,p_guess,suspect,group,leak,deviations,far"  # of the table
_BATCH = 64  # images
_SIDE = 160  # longer side of an image on the page, in pixels
_QUALITY = 80  # JPEG quality of the images on the page
# Most entries on the page, which so stays below 3 MB; the table has all.
_SUSPECTS, _GROUPS, _IN_GROUP, _OUTLIERS = 60, 40, 6, 30


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """An image whose label is probably wrong.

    Attributes:
        row: row among the checked images.
        path: path of the image.
        split: split of the image; "" without splits.
        label: given class.
        guess: most probable other class.
        label_probability: out-of-fold probability of the given class.
        guess_probability: out-of-fold probability of the other class.
    """

    row: int
    path: str
    split: str
    label: str
    guess: str
    label_probability: float
    guess_probability: float


@dataclass(frozen=True, eq=False, kw_only=True)
class DatasetCheck:
    """Findings of a data set check, and the files they were written to.

    Attributes:
        name: name of the data set.
        model: network that computed the features.
        images: checked images; rows below refer to these.
        classes: class names.
        labels: class indices `(n,)`.
        probabilities: out-of-fold class probabilities `(n, classes)`.
        ranking: labels by how likely they are wrong.
        duplicates: groups of duplicate images.
        outliers: images far from all others.
        notes: remarks for the user.
        page: path of the HTML page.
        table: path of the CSV table, a row per image, the most suspicious label first.
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
        """Split of each image `(n,)`, an index into `SPLITS`."""
        return self.images.splits

    def suspects(self) -> list[Suspect]:
        """Return the labels that are probably wrong, the most suspicious first."""
        return [self._suspect(row) for row in self.ranking.order.tolist() if self.ranking.suspect[row]]

    def leaks(self) -> list[int]:
        """Return the indices of the groups of duplicates with images in more than one split."""
        splits, groups = self.splits, self.duplicates.groups
        return [group for group in self.duplicates.across(splits) if len(set(splits[groups[group]].tolist()) - {0}) > 1]

    def label_conflicts(self) -> list[int]:
        """Return the indices of the groups of duplicates whose images have different labels."""
        return self.duplicates.across(self.labels)

    def farthest(self) -> list[tuple[str, float]]:
        """Return path and distance of each outlier, in robust standard deviations, the farthest first."""
        return [(self.images.path(row), float(self.outliers.deviations[row])) for row in self.outliers.rows.tolist()]

    def summary(self) -> list[tuple[str, str]]:
        """Return name and count of each kind of finding; a dash for leaks where there are no splits."""
        return [
            ("labels that may be wrong", f"{self.ranking.suspect.sum():,}"),
            ("groups of duplicate images", f"{len(self.duplicates.groups):,}"),
            ("of these in more than one split", f"{len(self.leaks()):,}" if self.splits.any() else "-"),
            ("of these with different labels", f"{len(self.label_conflicts()):,}"),
            ("outliers", f"{len(self.outliers.rows):,}"),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the findings as JSON values."""
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
            "outliers": [{"path": path, "deviations": deviations} for path, deviations in self.farthest()],
            "notes": list(self.notes),
        }

    def to_csv(self) -> str:
        """Return a CSV table with a row per image, the most suspicious label first."""
        rows: list[list[Any]] = [_HEADER.split(",")]
        unusual, leaks = set(self.outliers.rows.tolist()), set(self.leaks())
        group_of = {row: group for group, rows in enumerate(self.duplicates.groups) for row in rows.tolist()}
        for row in self.ranking.order.tolist():
            suspect, group, deviations = self._suspect(row), group_of.get(row), self.outliers.deviations[row]
            cells: list[Any] = [suspect.path, suspect.split, suspect.label, suspect.guess]
            cells += [
                f"{suspect.label_probability:.6f}",
                f"{suspect.guess_probability:.6f}",
                int(self.ranking.suspect[row]),
            ]
            cells += ["" if group is None else group + 1, int(group in leaks), f"{deviations:.3f}", int(row in unusual)]
            rows.append(cells)
        return csv_text(rows)

    def _suspect(self, row: int) -> Suspect:
        label, guess, p = int(self.labels[row]), int(self.ranking.guesses[row]), self.probabilities[row]
        return Suspect(
            row=row,
            path=self.images.path(row),
            split=SPLITS[self.splits[row]],
            label=self.classes[label],
            guess=self.classes[guess],
            label_probability=float(p[label]),
            guess_probability=float(p[guess]),
        )


def check_dataset(data: str | Rooted | Source, predictor: Predictor, out: Path | None = None) -> DatasetCheck:
    """Check all labelled images of a data set, in every split, and write the findings.

    Args:
        data: see `open_dataset`.
        predictor: a network that computes the features; its own classes do not matter.
        out: folder for data-check.html, data-check.csv and data-check.json; a new one below `runs/` if not given.

    Raises:
        DataError: there are no labelled images, or only one class.
    """
    out = output_folder(out, verb="data check", inputs=(data,))
    dataset = open_dataset(data, parents=predictor.card.parents or None)
    classes, card, notes = dataset.classes(), predictor.card, dataset.notes()
    labels = dataset.targets(classes)
    if dataset.is_training_data_of(card.provenance):
        notes.append(
            Caution(f"{card.model} was trained on these images and their wrong labels; a pretrained network finds more")
        )
    # The whole image: a centre crop may hide the labelled object.
    whole = replace(card, preprocess=replace(card.preprocess, resize="squash", crop=1.0))
    images = dataset.images(whole.preprocess)
    vectors = last_layer_features(predictor.network, images, card=whole)
    pictures = (pixels for batch in images.in_sequence(_BATCH) for pixels in batch.pixels)
    duplicates = find_duplicates(thumbnails(pictures, len(images)), images.digests)
    probabilities = out_of_fold(vectors, labels, groups=duplicates.group_of)
    folder = make_folder(out, verb="data check", name=f"check-{dataset.name}")
    checked = DatasetCheck(
        name=dataset.name,
        model=card.model,
        images=images,
        classes=classes,
        labels=labels,
        probabilities=probabilities,
        ranking=label_errors(probabilities, labels),
        duplicates=duplicates,
        outliers=outliers(vectors),
        notes=tuple(notes),
        page=folder / "data-check.html",
        table=folder / "data-check.csv",
    )
    # File names that are not valid UTF-8 hold lone surrogates, which cannot be encoded.
    write_atomic(checked.table, checked.to_csv().encode("utf-8", "backslashreplace"))
    write_atomic(checked.page, _page(checked).encode("utf-8", "backslashreplace"))
    write_atomic(folder / "data-check.json", json.dumps(checked.to_json(), indent=2) + "\n")
    return checked


@dataclass(frozen=True, kw_only=True)
class _Card:
    """An image on the page: a JPEG in base64 and its captions."""

    jpeg: str
    label: str
    path: str
    split: str
    guess: str = ""
    note: str = ""


def _page(checked: DatasetCheck) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("hubel.audit").joinpath("data_check.html.jinja").read_text(encoding="utf-8")
    suspects, unusual, leaks = checked.suspects(), checked.outliers.rows, len(checked.leaks())
    found = [f"{len(suspects):,} of {counted(len(checked), 'label')} may be wrong"]
    if leaks:
        found.append(f"{counted(leaks, 'image')} {'is' if leaks == 1 else 'are'} in more than one split")
    suspicious = [
        _card(checked, s.row, guess=s.guess, note=f"{s.label_probability:.0%} → {s.guess_probability:.0%}")
        for s in suspects[:_SUSPECTS]
    ]
    far = checked.outliers.deviations
    outlying = [_card(checked, row, note=f"{far[row]:.1f} deviations") for row in unusual[:_OUTLIERS].tolist()]
    return environment.from_string(source).render(
        title=f"{checked.name}: data check",
        headline="; ".join(found) + ".",
        tiles=checked.summary(),
        notes=checked.notes,
        suspicious=suspicious,
        groups=_groups(checked),
        outlying=outlying,
        more=(len(suspects) - _SUSPECTS, len(checked.duplicates.groups) - _GROUPS, len(unusual) - _OUTLIERS),
        model=checked.model,
        table=checked.table.name,
    )


def _groups(checked: DatasetCheck) -> list[tuple[list[str], list[_Card]]]:
    """Return badges and images of the groups of duplicates; label conflicts first, then leaks."""
    found, leaks, conflicts = checked.duplicates, set(checked.leaks()), set(checked.label_conflicts())
    order = sorted(range(len(found.groups)), key=lambda number: (number not in conflicts, number not in leaks, number))
    groups = []
    for number in order[:_GROUPS]:
        rows = found.groups[number]
        badges = ["same file" if found.exact[number] else "same image"]
        badges += ["in more than one split"] if number in leaks else []
        badges += ["with different labels"] if number in conflicts else []
        badges += [f"{len(rows)} times"] if len(rows) > _IN_GROUP else []
        # One of each split and label first, so that the page shows the conflict.
        kinds = np.stack([checked.splits[rows], checked.labels[rows]], axis=1)
        first = np.sort(np.unique(kinds, axis=0, return_index=True)[1])
        shown = rows[np.concatenate([first, np.setdiff1d(np.arange(len(rows)), first)])[:_IN_GROUP]]
        groups.append((badges, [_card(checked, row) for row in shown.tolist()]))
    return groups


def _card(checked: DatasetCheck, row: int, *, guess: str = "", note: str = "") -> _Card:
    """Decode an image again, at its own aspect ratio: the network's input is squashed."""
    images, path = checked.images, checked.images.path(row)
    image = Image.fromarray(images.upright(row, (_SIDE, _SIDE)))
    image.thumbnail((_SIDE, _SIDE))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=_QUALITY)
    label, split = checked.classes[checked.labels[row]], SPLITS[checked.splits[row]]
    split = "" if path.startswith(f"{split}/") else split  # it is part of the path
    encoded = b64encode(jpeg.getvalue()).decode()
    return _Card(jpeg=encoded, label=label, path=path, split=split, guess=guess, note=note)
