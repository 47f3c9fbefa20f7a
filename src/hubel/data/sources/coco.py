"""COCO's JSON: boxes, regions and key points of images, as many tools for labelling export them.

The file lies beside or inside the folder of images, in a folder `annotations`, or in the folder of each split. Where a
folder `masks` beside the images has a mask for each, it gives the classes of pixels.

Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from hubel.core.errors import DataError
from hubel.data.reading import one_line
from hubel.data.sources.annotated import AnnotatedFiles, data_root, kinds_of, one_name
from hubel.data.sources.class_folders import holds_photos
from hubel.data.sources.kind import SourceKind, SourceRequest
from hubel.data.sources.listing import SPLITS, ListingBuilder, natural_key, split_code
from hubel.data.sources.mask_files import MaskCoding, MaskFiles
from hubel.data.sources.mask_folder import pair_key
from hubel.data.sources.objects import Flaws, MarkedImage, MarkedObject, mirrored_points
from hubel.data.sources.walk import is_folder, visible_entries

__all__ = ["KIND", "CocoSource", "coco_files", "split_in"]

_KEYS = (b'"images"', b'"annotations"', b'"file_name"')
_MARKS = (b'"bbox"', b'"segmentation"', b'"keypoints"')
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
_MOST_FILES = 64  # of JSON that are looked into
_TRIED = 50  # names of images, before a folder is taken for one of COCO
_FOLDERS = ("annotations", "annotation", "labels", "images")
_LARGEST = 1e9  # position in pixels
_MOST_CLASSES = 254  # of regions: a mask has one byte for each pixel


def split_in(name: str) -> int:
    """Return the code of the split that a word of a file's name tells; 0 without one.

    >>> split_in("instances_train2017.json"), split_in("annotations.json")
    (1, 0)
    """
    codes = {code for word in re.split(r"[^a-z]+", name.lower()) if word and (code := split_code(word))}
    return codes.pop() if len(codes) == 1 else 0


def _is_coco(path: Path) -> bool:
    """Return whether a file is JSON with the keys of COCO; reads no more of it than finding these takes."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
            return (
                head.startswith(b"{")
                and all(data.find(key) >= 0 for key in _KEYS)
                and any(data.find(mark) >= 0 for mark in _MARKS)
            )
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def coco_files(root: Path) -> list[Path]:
    """Return the files of COCO's form in a folder, in those of its splits, and in their folders of annotations."""
    places = [root]
    for place in (root, *(root / entry.name for entry in _folders(root) if split_code(entry.name))):
        places += [place] if place != root else []
        places += [place / entry.name for entry in _folders(place) if entry.name.lower() in _FOLDERS]
    found = [
        place / entry.name
        for place in places
        for entry in visible_entries(place)
        if entry.name.lower().endswith(".json") and not is_folder(entry)
    ]
    paths = sorted(found[:_MOST_FILES], key=lambda path: natural_key(str(path)))
    return [path for path in paths if _is_coco(path)]


def _folders(place: Path) -> Iterator[Any]:
    return (entry for entry in visible_entries(place) if is_folder(entry))


def _recognises(request: SourceRequest) -> bool:
    path = request.path
    if path.suffix.lower() == ".json":
        return path.is_file() and _is_coco(path)
    if not path.is_dir():
        return False
    root = data_root(path)
    files = coco_files(root)
    return any(_names_images(file, root) for file in files) or (bool(files) and not holds_photos(path))


def _names_images(file: Path, root: Path) -> bool:
    """Return whether one of the first images that a file names lies where COCO's users put them."""
    with file.open("rb") as stream:
        names = [json.loads(text) for text in _FILE_NAME.findall(stream.read(2**20))[:_TRIED]]
    near = (file.parent, file.parent / "images", root, root / "images", *(root / e.name for e in _folders(root)))
    with contextlib.suppress(OSError, ValueError):
        return any((place / name.replace("\\", "/")).is_file() for name in names for place in near)
    return False


@dataclass(frozen=True, kw_only=True)
class _File:
    """The content of one file of COCO's form.

    Attributes:
        path: of the file.
        split: code of its split.
        images: its images, by their ids.
        categories: names and the rest of its categories, by their ids.
        annotations: what is marked.
    """

    path: Path
    split: int
    images: dict[Any, dict[str, Any]]
    categories: dict[Any, dict[str, Any]]
    annotations: list[dict[str, Any]]


class CocoSource(AnnotatedFiles):
    """Images with COCO's annotations.

    Args:
        path: a folder, or the JSON file.
        root: the folder that file names start at; found beside the JSON file if None.
        within: the folder that links must not leave; None for a user's own data.
    """

    def __init__(self, path: Path, *, root: Path | None = None, within: Path | None = None) -> None:
        self._file = None if path.is_dir() else path
        if root is None:
            root = data_root(path) if self._file is None else _folder_of_images(path)
        name = path.resolve().name if self._file is None else path.stem
        if self._file is not None and name.lower() in ("annotations", "_annotations.coco", "result", "coco"):
            name = path.resolve().parent.name
        super().__init__(root, location=path, name=name, within=within)

    def _gather(self, rows: ListingBuilder, flaws: Flaws) -> list[MarkedImage]:
        paths = coco_files(self.root) if self._file is None else [self._file]
        files = _without_doubles([_read(path, self.root) for path in paths], rows.notes)
        number = self._name_classes(files)
        has = _Kinds()
        images: list[MarkedImage] = []
        locate = _Locator(self.root, dict(self._walk(rows, ".json")))
        for file in files:
            by_id = {}
            for key, entry in file.images.items():
                path, stamp = locate(str(entry.get("file_name", "")), file)
                image = MarkedImage(path=path, split=file.split, stamp=stamp, stated=_size(entry))
                image.reason = "" if stamp else "there is no such file"
                images.append(image)
                by_id[key] = image
            for at, one in enumerate(file.annotations):
                place = f"{file.path.name}, annotation {one_line(one.get('id', at))}"
                found = by_id.get(_key(one, "image_id"))
                category = file.categories.get(_key(one, "category_id"))
                if found is None:
                    flaws("annotations of an image that the file does not list, which are left out", place)
                elif category is None:
                    flaws("annotations of an unknown class, which are left out", place)
                else:
                    marked = _object(one, number[category["name"]], place, flaws)
                    has.see(marked)
                    found.objects.append(marked)
        unused = locate.unused()
        if unused:
            rows.skip("images that no annotation file names", unused[0], len(unused))
        self._set_kinds(images, has, locate, rows.notes)
        return images

    def _name_classes(self, files: list[_File]) -> dict[str, int]:
        """Set the names of classes and key points, and return the number of each class."""
        used = {file.categories[key]["name"] for file in files for one in file.annotations
                if (key := _key(one, "category_id")) in file.categories}  # fmt: skip
        above = {str(one.get("supercategory")) for file in files for one in file.categories.values()}
        ordered = dict.fromkeys(
            one["name"]
            for file in files
            for _, one in sorted(file.categories.items(), key=lambda i: natural_key(str(i[0])))
        )
        # Roboflow writes the name of the project as a category of its own, above the others.
        self.names = tuple(name for name in ordered if name in used or name not in above)
        if not self.names:
            raise DataError(f"{self.location}: the annotations name no category")
        skeletons = [one for file in files for one in file.categories.values() if one.get("keypoints")]
        if skeletons:
            most = max(skeletons, key=lambda one: len(one["keypoints"]))
            self.point_names = tuple(one_name(name) for name in most["keypoints"])
            self.point_mirror = mirrored_points(self.point_names)
            n = len(self.point_names)
            skeleton = most["skeleton"] if isinstance(most.get("skeleton"), list) else []
            pairs = [pair for pair in skeleton if isinstance(pair, list) and len(pair) == 2]
            self.limbs = tuple(
                (a - 1, b - 1)
                for a, b in pairs
                if isinstance(a, int) and isinstance(b, int) and 1 <= a <= n and 1 <= b <= n
            )
        return {name: i for i, name in enumerate(self.names)}

    def _set_kinds(self, images: list[MarkedImage], has: _Kinds, locate: _Locator, notes: list[str]) -> None:
        """Set the kinds of annotations; masks come from regions, or from a folder of masks beside the images."""
        beside = locate.masks(images)
        masks = has.regions or bool(beside)
        if masks and len(self.names) > _MOST_CLASSES:
            notes.append(f"{len(self.names):,} classes are more than a mask has room for; there are no masks")
            masks = False
        if masks and not has.regions and len(self.names) > 1:
            notes.append("the folder of masks is not used: only with one class their numbers can count its objects")
            masks = False
        if masks:
            self.mask_names = ("background", *self.names)
        self.annotated = kinds_of(
            boxes=has.boxes or not masks, masks=masks, points=bool(self.point_names) and has.points
        )
        if not has.points:
            self.point_names, self.point_mirror, self.limbs = (), (), ()
        if masks and not has.regions:
            for image in images:
                image.mask = beside.get(image.path, ("", 0))[0]
            self._masks = MaskFiles(
                self.root,
                [image.mask for image in images],
                [beside.get(image.path, ("", 0))[1] for image in images],
                location=self.location,
                within=self._within,
                needed=False,
            )
            self._masks.scan()
            # Each object has a number of its own: all of them are of the one class.
            self._masks.coding = MaskCoding(names=self.mask_names, classes={0: 0}, others=1)


@dataclass
class _Kinds:
    """The kinds of annotations that have been met."""

    boxes: bool = False
    regions: bool = False
    points: bool = False

    def see(self, one: MarkedObject) -> None:
        self.boxes |= one.box is not None
        self.regions |= bool(one.region)
        self.points |= one.points is not None and any(one.points[2::3])


class _Locator:
    """The image files below a folder, found by the names that annotations give them."""

    def __init__(self, root: Path, stamps: dict[str, int]) -> None:
        self._root, self._stamps = root, stamps
        self._by_name: dict[str, list[str]] = {}
        for path in stamps:
            self._by_name.setdefault(path.rpartition("/")[2], []).append(path)
        self._used: set[str] = set()

    def __call__(self, name: str, file: _File) -> tuple[str, int]:
        """Return the path of an image and its stamp; its name and 0 where there is none."""
        plain = name.replace("\\", "/").removeprefix("./")
        found = [path for path in self._by_name.get(plain.rpartition("/")[2], ()) if not pair_key(path)[1]]
        if not found:
            return plain or "(no name)", 0
        base = file.path.parent.resolve()
        near = base.relative_to(self._root.resolve()).as_posix() if base.is_relative_to(self._root.resolve()) else "."
        near = "" if near == "." else f"{near}/"
        wanted = [f"{near}{plain}", f"{near}images/{plain}", plain, f"images/{plain}"]

        def rank(path: str) -> tuple[object, ...]:
            folders = path.split("/")[:-1]
            same = any(split_in(folder) == file.split for folder in folders) if file.split else True
            exact = wanted.index(path) if path in wanted else len(wanted)
            return exact, not path.endswith(f"/{plain}"), not same, len(folders), path

        path = min(found, key=rank)
        self._used.add(path)
        return path, self._stamps[path]

    def unused(self) -> list[str]:
        """Return the images that nobody has asked for; masks are none."""
        return [path for path in self._stamps if path not in self._used and not pair_key(path)[1]]

    def masks(self, images: list[MarkedImage]) -> dict[str, tuple[str, int]]:
        """Return the mask of each image with its stamp, from a folder beside it, if all of them have one."""
        by_key = {key: path for path in self._stamps for key, is_mask in (pair_key(path),) if is_mask}
        here = [image for image in images if image.stamp]
        found = {image.path: by_key.get(pair_key(image.path)[0], "") for image in here}
        if not here or not all(found.values()):
            return {}
        return {path: (mask, self._stamps[mask]) for path, mask in found.items()}


def _folder_of_images(path: Path) -> Path:
    """Return the folder that the images of a JSON file lie in or below: its own, or that above its folder of JSON."""
    own = path.absolute().parent
    return own.parent if own.name.lower() in ("annotations", "annotation", "labels") else own


def _read(path: Path, root: Path) -> _File:
    """Read a file of COCO's form.

    Raises:
        DataError: it is no such file.
    """
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no readable JSON: {one_line(error)}") from None
    lists = [
        content.get(name) if isinstance(content, dict) else None for name in ("images", "annotations", "categories")
    ]
    for name, value in zip(("images", "annotations"), lists, strict=False):
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise DataError(f"{path}: {name} is no list of objects; expected COCO's form")
    categories: dict[Any, dict[str, Any]] = {}
    for one in lists[2] if isinstance(lists[2], list) else ():
        if isinstance(one, dict) and _key(one, "id") is not None:
            points = one.get("keypoints")
            categories[one["id"]] = {
                **one,
                "name": one_name(one.get("name", one["id"])),
                "keypoints": points if isinstance(points, list) else [],
            }
    folder = path.parent.name if path.parent != root else ""
    split = split_in(path.name) or split_in(folder)
    if not split and folder.lower() in _FOLDERS and path.parent.parent != root:
        split = split_in(path.parent.parent.name)
    images = {one["id"]: one for one in lists[0] or () if _key(one, "id") is not None}
    return _File(path=path, split=split, images=images, categories=categories, annotations=lists[1] or [])


def _without_doubles(files: list[_File], notes: list[str]) -> list[_File]:
    """Leave out files that annotate the images of another one, such as key points beside instances.

    Raises:
        DataError: several files annotate the same images, and none is the usual one.
    """
    files = [file for file in files if file.images]
    kept: list[_File] = []
    for file in sorted(files, key=lambda file: not file.path.name.startswith("instances")):
        names = {str(image.get("file_name")) for image in file.images.values()}
        other = next(
            (
                one
                for one in kept
                if one.split == file.split
                and (one.path.parent == file.path.parent)
                and any(str(image.get("file_name")) in names for image in one.images.values())
            ),
            None,
        )
        if other is None:
            kept.append(file)
        elif other.path.name.startswith("instances"):
            notes.append(f"{file.path.name} annotates the images of {other.path.name}, too, and is not used")
        else:
            raise DataError(f"{other.path} and {file.path.name} annotate the same images; give the path of one")
    return sorted(kept, key=lambda file: (SPLITS[file.split] == "", file.split, natural_key(str(file.path))))


def _key(one: dict[str, Any], name: str) -> int | str | None:
    """Return an id, which is a number or a text."""
    value = one.get(name)
    return value if isinstance(value, int | str) else None


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    size = [entry.get("width"), entry.get("height")]
    if _are_numbers(size) and all(side >= 1 for side in size):
        return int(size[0]), int(size[1])
    return None


def _object(one: dict[str, Any], number: int, place: str, flaws: Flaws) -> MarkedObject:
    """Return an annotation as an object; COCO's boxes are left, top, width and height."""
    given, points, region = one.get("bbox"), one.get("keypoints"), one.get("segmentation")
    box = None
    if _are_numbers(given) and len(given) == 4:
        left, top, width, height = given
        box = [left, top, left + width, top + height]
    elif given:
        flaws("boxes that are not four numbers", place)
    if isinstance(region, list):
        parts = region if region and isinstance(region[0], list) else [region]
        region = [part for part in parts if part] if all(_are_numbers(part) for part in parts) else None
    elif not isinstance(region, dict):
        region = None
    return MarkedObject(
        number=number,
        box=box,
        place=place,
        crowd=bool(one.get("iscrowd")),
        points=points if _are_numbers(points) and points else None,
        region=region or None,
    )


def _are_numbers(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and not abs(one) > _LARGEST for one in value
    )


KIND = SourceKind(
    name="annotations in COCO's JSON beside their images",
    recognises=_recognises,
    open=lambda request: CocoSource(request.path, root=request.root, within=request.within),
    multi_label=True,
    rooted=True,
)
