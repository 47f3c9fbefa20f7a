"""YOLO's text files: one an image, in `labels/` beside `images/` or beside the image, with or without `data.yaml`.

A line is one object: the number of its class, then the centre, width and height of its box; or the corners of its
polygon; or its box and key points, whose number `data.yaml` says. Positions are shares of the sides of the image.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hubel.core.errors import DataError, DecodeError
from hubel.data.containers import EXTENSIONS
from hubel.data.reading import one_line, read_regular
from hubel.data.sources.annotated import AnnotatedFiles, data_root, folder_split, kinds_of, one_name
from hubel.data.sources.class_files import named_classes
from hubel.data.sources.kind import SourceKind, SourceRequest
from hubel.data.sources.listing import ListingBuilder, split_code
from hubel.data.sources.objects import Flaws, MarkedImage, MarkedObject, mirrored_points
from hubel.data.sources.walk import is_folder, suffix_of, visible_entries

__all__ = ["KIND", "YoloSource", "box_line", "parse_line"]

_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_SPLIT_KEYS = ("train", "val", "valid", "validation", "test")
_NOT_LABELS = ("classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt", "notes.txt", "obj.names")
_MOST_LINES = 20
_MOST_CLASSES, _MOST_POINTS = 10_000, 1000
_LOOKED_AT = 30


def parse_line(line: str, joints: int = 0, dims: int = 3) -> tuple[int, list[float], Any, list[float] | None] | None:
    """Return class, box, polygon and key points of a line; None where it is no line of YOLO's.

    Args:
        line: numbers with blanks between them.
        joints: key points of an object; 0 where there are none.
        dims: numbers of a key point: x, y, and with 3 its visibility.

    >>> parse_line("2 0.5 0.5 0.2 0.4")[:2]
    (2, [0.4, 0.3, 0.6, 0.7])
    """
    try:
        number, *values = (float(word) for word in line.split())
    except ValueError:
        return None
    if number % 1 or not 0 <= number < _MOST_CLASSES or len(values) < 4:
        return None
    box = values[:4]
    corners = [box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2]
    if joints and len(values) == 4 + dims * joints:
        points: list[float] = []
        for i in range(4, len(values), dims):
            x, y = values[i : i + 2]
            points += [x, y, values[i + 2] if dims == 3 else 2.0 * (x > 0 or y > 0)]
        return int(number), corners, None, points
    if len(values) in (4, 5):  # a fifth is the confidence of a detector
        return int(number), corners, None, None
    if len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[::2], values[1::2]
        return int(number), [min(xs), min(ys), max(xs), max(ys)], values, None
    return None


def box_line(number: int, box: Sequence[float], width: int, height: int) -> str:
    """Return the line of an object.

    Args:
        number: of its class.
        box: left, top, right, bottom in pixels.
        width: of the image, in pixels.
        height: likewise.

    >>> box_line(2, (40, 30, 60, 70), 100, 100)
    '2 0.5 0.5 0.2 0.4'
    """
    left, top, right, bottom = box
    shares = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)
    return " ".join([str(number), *(f"{share:.8g}" for share in shares)])


def _is_label(path: Path) -> bool:
    """Return whether a file has lines of YOLO's; an empty one may be of an image without objects."""
    try:
        text = read_regular(path)[:10_000].decode("ascii")
    except (DecodeError, UnicodeDecodeError):
        return False
    lines = [line for line in text.splitlines()[:_MOST_LINES] if line.strip()]
    parsed = [parse_line(line) for line in lines[: max(1, len(lines) - 1)]]  # the last one may be cut short
    return bool(lines) and all(one is not None and all(-1 <= value <= 2 for value in one[1]) for one in parsed)


def _yaml_file(root: Path) -> Path | None:
    return next((root / name for name in _YAML if (root / name).is_file()), None)


def _settings(path: Path) -> dict[str, Any]:
    """Return the content of a data.yaml.

    Raises:
        DataError: it cannot be read.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(read_regular(path).decode("utf-8-sig"))
    except (DecodeError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{path} is no readable YAML: {one_line(error)}") from None
    return content if isinstance(content, dict) else {}


def _recognises(request: SourceRequest) -> bool:
    path = request.path
    if path.suffix.lower() in (".yaml", ".yml"):
        return path.is_file() and _describes_images(path)
    if not path.is_dir():
        return False
    root = data_root(path)
    if (described := _yaml_file(root)) and _describes_images(described):
        return True
    tops = [entry.name for entry in visible_entries(root) if is_folder(entry)]
    places = [root, *(root / top for top in tops if split_code(top) or top in ("images", "obj_train_data"))]
    if any(_holds_labels_beside_images(place) for place in places):
        return True
    labels = [place / "labels" for place in places if (place / "labels").is_dir()]
    labels += [folder / entry.name for folder in labels for entry in visible_entries(folder) if is_folder(entry)]
    return any(_first_label(folder) for folder in labels)


def _describes_images(path: Path) -> bool:
    try:
        settings = _settings(path)
    except DataError:
        return False
    return "names" in settings and any(key in settings for key in _SPLIT_KEYS)


def _first_label(folder: Path) -> bool:
    """Return whether one of the first text files of a folder is a label."""
    texts = (entry.name for entry in visible_entries(folder) if entry.name.lower().endswith(".txt"))
    return any(
        _is_label(folder / name)
        for name in itertools.islice((n for n in texts if n.lower() not in _NOT_LABELS), _LOOKED_AT)
    )


def _holds_labels_beside_images(folder: Path) -> bool:
    images: set[str] = set()
    texts: list[str] = []
    for entry in visible_entries(folder):
        stem = Path(entry.name).stem
        if suffix_of(entry) in EXTENSIONS:
            images.add(stem)
        elif suffix_of(entry) == ".txt" and entry.name.lower() not in _NOT_LABELS:
            texts.append(stem)
    beside = [stem for stem in texts if stem in images]
    return any(_is_label(folder / f"{stem}.txt") for stem in beside[:_LOOKED_AT])


class YoloSource(AnnotatedFiles):
    """Images with YOLO's text files.

    Args:
        path: a folder, or the file `data.yaml`.
        within: the folder that links must not leave; None for a user's own data.
    """

    def __init__(self, path: Path, *, within: Path | None = None) -> None:
        if path.is_dir():
            root = data_root(path)
            self._yaml = _yaml_file(root)
        else:
            root, self._yaml = path.absolute().parent, path
        self._settings: dict[str, Any] = {}
        name = path.resolve().name if path.is_dir() else root.resolve().name
        super().__init__(root, location=path, name=name, within=within)

    def _gather(self, rows: ListingBuilder, flaws: Flaws) -> list[MarkedImage]:
        self._settings = _settings(self._yaml) if self._yaml else {}
        base, splits = self._splits(rows)
        self.root = base
        joints, dims = self._set_points()
        listed = list(self._walk(rows, ".txt", ".yaml", ".yml", ".cache", ".names", ".data"))
        stems = {Path(path).with_suffix("").as_posix() for path, _ in listed}
        images: list[MarkedImage] = []
        numbers: set[int] = set()
        lacking, has_polygons, has_points, used = [], False, False, set[str]()
        for path, stamp in listed:
            split = _split_of(path, splits)
            if split is None:
                rows.skip("in no split that data.yaml names", path)
                continue
            image = MarkedImage(path=path, split=split, stamp=stamp, relative=True)
            images.append(image)
            label = next((one for one in _labels_of(path) if (base / one).is_file()), None)
            if label is None:
                lacking.append(path)
                continue
            used.add(label)
            lines = self._lines(image, label)
            for number, box, polygon, points, place in _objects(label, lines, joints, dims, flaws):
                numbers.add(number)
                has_polygons |= polygon is not None
                has_points |= points is not None
                image.objects.append(MarkedObject(number=number, box=box, place=place, points=points, region=polygon))
        if not used and images:
            raise DataError(f"{self.location}: no image has a text file of labels; expected images/a.jpg, labels/a.txt")
        if lacking:
            rows.notes.append(
                f"images without a text file, which count as without objects: {len(lacking):,} ({lacking[0]})"
            )
        self._name_unused(used, stems, flaws)
        self._set_names(numbers, images, flaws)
        self.annotated = kinds_of(boxes=True, masks=has_polygons, points=bool(joints) and has_points)
        if has_polygons:
            self.mask_names = ("background", *self.names)
        return images

    def _splits(self, rows: ListingBuilder) -> tuple[Path, list[tuple[str, int]]]:
        """Return the folder that paths start at, and prefixes or paths of images with the code of their split."""
        base = self.root
        if (stated := self._settings.get("path")) and isinstance(stated, str):
            found = next((one for one in (Path(stated), self.root / stated) if one.is_dir()), None)
            base = found if found is not None and self._has_splits(found) else self.root
        splits: list[tuple[str, int]] = []
        for key in _SPLIT_KEYS:
            value = self._settings.get(key)
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, str) or not item:
                    continue
                place = _placed(item, base)
                code = split_code(key) or 0
                if place is None:
                    rows.notes.append(f"data.yaml names {one_line(item)} for {key}, which is not there")
                elif (base / place).is_file():
                    splits += [(line, code) for line in _listed(base / place, base)]
                else:
                    splits.append((f"{place}/" if place not in ("", ".") else "", code))
        # With one folder for train and val, which hubel would count twice, none is a split.
        prefixes = [prefix for prefix, _ in splits]
        if len(set(prefixes)) < len(prefixes):
            rows.notes.append("data.yaml names the same images for several splits; images are held out by hubel")
            splits = [(prefix, 0) for prefix in dict.fromkeys(prefixes)]
        return base, splits

    def _has_splits(self, base: Path) -> bool:
        items = [self._settings.get(key) for key in _SPLIT_KEYS]
        return any(isinstance(item, str) and _placed(item, base) is not None for item in items)

    def _set_points(self) -> tuple[int, int]:
        """Set what data.yaml says of key points, and return their number and that of their numbers."""
        shape = self._settings.get("kpt_shape")
        if not (isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) for n in shape)):
            return 0, 3
        if not 0 < shape[0] <= _MOST_POINTS:
            raise DataError(f"{self._yaml}: kpt_shape says {shape[0]:,} key points; expected 1 to {_MOST_POINTS:,}")
        joints, dims = shape[0], 3 if shape[1] == 3 else 2
        names: Any = self._settings.get("kpt_names")
        names = next(iter(names.values()), []) if isinstance(names, dict) else names
        usable = isinstance(names, list) and len(names) == joints
        self.point_names = tuple(one_name(name) for name in names) if usable else tuple(map(str, range(joints)))
        flip = self._settings.get("flip_idx")
        if isinstance(flip, list) and sorted(map(str, flip)) == sorted(map(str, range(joints))):
            self.point_mirror = tuple(int(i) for i in flip)
        else:
            self.point_mirror = mirrored_points(self.point_names)
        return joints, dims

    def _lines(self, image: MarkedImage, label: str) -> list[str]:
        """Return the lines of a text file; where it cannot be read, its image cannot be used."""
        try:
            return read_regular(self.root / label, root=self._within).decode("utf-8-sig").splitlines()
        except DecodeError as error:
            image.reason = f"{label}: {error.reason}"
        except UnicodeDecodeError:
            image.reason = f"{label} is no text"
        return []

    def _set_names(self, numbers: set[int], images: list[MarkedImage], flaws: Flaws) -> None:
        """Set the names of the classes; objects of a number without a name are left out where there are names."""
        names: Any = self._settings.get("names")
        if isinstance(names, dict):
            keys = {int(key): name for key, name in names.items() if re.fullmatch(r"[0-9]{1,4}", str(key))}
            names = [keys.get(i, str(i)) for i in range(max(keys, default=-1) + 1)]
        elif not isinstance(names, list):
            names = named_classes([self.root, self.root / "labels", *(self.root / one for one in ("train", "images"))])
        if not names:
            names = [str(i) for i in range(max(numbers, default=0) + 1)]
        self.names = tuple(one_name(name) for name in names)
        for image in images:
            for one in image.objects:
                if one.number >= len(self.names):
                    flaws(f"objects of an unknown class ({one.number}), which are left out", one.place)
            image.objects = [one for one in image.objects if one.number < len(self.names)]

    def _name_unused(self, used: set[str], stems: set[str], flaws: Flaws) -> None:
        """Count the text files of labels for which there is no image."""
        for folder in sorted({label.rpartition("/")[0] for label in used}):
            for entry in visible_entries(self.root / folder):
                label = f"{folder}/{entry.name}" if folder else entry.name
                beside = Path(label).with_suffix("").as_posix() in stems
                if suffix_of(entry) == ".txt" and not (label in used or beside or entry.name.lower() in _NOT_LABELS):
                    flaws("text files of labels without an image", label)


def _objects(label: str, lines: list[str], joints: int, dims: int, flaws: Flaws) -> Iterator[tuple[Any, ...]]:
    """Yield class, box, polygon, key points and place of each object of a text file."""
    for at, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{label}, line {at}"
        parsed = parse_line(line, joints, dims)
        if parsed is None:
            flaws("lines that are no object, which are left out", place)
            continue
        if max(map(abs, parsed[1])) > 10:
            flaws("lines in pixels instead of shares of the image, which are left out", place)
            continue
        yield *parsed, place


def _labels_of(path: str) -> Iterator[str]:
    """Yield the places of an image's text file: beside it, or in `labels` instead of the last `images`."""
    plain = Path(path).with_suffix(".txt").as_posix()
    parts = plain.split("/")
    for i in range(len(parts) - 2, -1, -1):
        if parts[i].lower() in ("images", "imgs", "jpegimages"):
            yield "/".join([*parts[:i], "labels", *parts[i + 1 :]])
    yield plain
    if len(parts) > 1:
        yield "/".join([*parts[:-2], "labels", parts[-1]])
        yield "/".join(["labels", *parts])
    else:
        yield f"labels/{plain}"


def _split_of(path: str, splits: list[tuple[str, int]]) -> int | None:
    """Return the code of an image's split; None where others are named, and it is in none of them."""
    if not splits:
        return folder_split(path)
    inside = (code for place, code in splits if path == place or (place[-1:] in ("", "/") and path.startswith(place)))
    return next(inside, None)


def _placed(item: str, base: Path) -> str | None:
    """Return a path of data.yaml relative to a folder, such as Roboflow's "../train/images"; None where nothing is."""
    plain = item.replace("\\", "/")
    options = [plain, plain.removeprefix("./"), re.sub(r"^(\.\./)+", "", plain)]
    for option in options:
        place = base / option
        if place.exists():
            resolved, root = place.resolve(), base.resolve()
            if resolved.is_relative_to(root):
                return resolved.relative_to(root).as_posix()
    return None


def _listed(path: Path, base: Path) -> list[str]:
    """Return the images that a text file lists, relative to a folder."""
    try:
        lines = read_regular(path).decode("utf-8-sig", "replace").splitlines()
    except DecodeError as error:
        raise DataError(f"{path}: {error.reason}") from None
    found = (_placed(line.strip(), base) for line in lines if line.strip())
    return [place for place in found if place is not None]


KIND = SourceKind(
    name="YOLO's text files of labels beside their images",
    recognises=_recognises,
    open=lambda request: YoloSource(request.path, within=request.within),
    multi_label=True,
)
