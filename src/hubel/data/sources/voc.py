"""Pascal VOC's XML: one file an image, in `Annotations/` beside `JPEGImages/`, or beside the image.

Where `SegmentationClass/` has masks, they give the classes of pixels; `ImageSets/Main` gives the splits.

Source: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) challenge".
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from hubel.core.errors import DataError, DecodeError
from hubel.data.reading import read_regular
from hubel.data.sources.annotated import AnnotatedFiles, data_root, folder_split, kinds_of, one_name
from hubel.data.sources.class_files import named_classes, named_colours
from hubel.data.sources.kind import SourceKind, SourceRequest
from hubel.data.sources.listing import ListingBuilder, natural_key, split_code
from hubel.data.sources.mask_files import MASK_SUFFIXES, MaskFiles, coding_of, colour_value
from hubel.data.sources.objects import Flaws, MarkedImage, MarkedObject
from hubel.data.sources.walk import is_folder, visible_entries

__all__ = ["KIND", "VOC_CLASSES", "VocSource", "parse_xml"]

#: The classes of Pascal VOC, in the order of the numbers in its masks, which begin with 1.
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_MOST_BYTES = 2**22
_LOOKED_AT = 5
_MASKS = "segmentationclass"
_XML_FOLDERS = ("annotations", "annotation", "xmls", "labels")
_SETS = ("Main", "Segmentation", "Layout", "")


def parse_xml(data: bytes) -> ElementTree.Element:
    """Parse XML that declares no types and no entities of its own, so that nothing in it expands.

    Raises:
        ValueError: it does, or it is no XML.
    """
    if len(data) > _MOST_BYTES:
        raise ValueError("far larger than an annotation")
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise ValueError("declares types or entities, which no annotation needs")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"no readable XML ({error})") from None
    return builder.close()


def _xml_folders(root: Path) -> list[Path]:
    """Return the folders that may hold the XML files of a dataset."""
    tops = _folders(root)
    near = [root, *(root / top for top in tops if split_code(top))]
    inner = [place / name for place in near for name in _folders(place) if name.lower() in _XML_FOLDERS]
    deeper = [place / name for place in inner for name in _folders(place) if split_code(name)]
    images = [root / top for top in tops if top.lower() in ("images", "jpegimages")]
    return [*near, *inner, *deeper, *images]


def _folders(place: Path) -> list[str]:
    return [entry.name for entry in visible_entries(place) if is_folder(entry)]


def _recognises(request: SourceRequest) -> bool:
    if not request.path.is_dir():
        return False
    for folder in _xml_folders(data_root(request.path)):
        names = (entry.name for entry in visible_entries(folder) if entry.name.lower().endswith(".xml"))
        for name in itertools.islice(names, _LOOKED_AT):
            with contextlib.suppress(DecodeError, OSError):
                if b"<annotation" in read_regular(folder / name)[:2000]:
                    return True
    return False


class VocSource(AnnotatedFiles):
    """Images with Pascal VOC's annotations.

    Args:
        path: the folder.
        void: a value of the masks whose pixels belong to no class, beside 255.
        within: the folder that links must not leave; None for a user's own data.
    """

    def __init__(self, path: Path, *, void: int | None = None, within: Path | None = None) -> None:
        super().__init__(data_root(path), location=path, name=path.resolve().name, within=within)
        self._void = void

    def _gather(self, rows: ListingBuilder, flaws: Flaws) -> list[MarkedImage]:
        by_stem: dict[str, list[str]] = {}
        masks: dict[str, tuple[str, int]] = {}
        images: dict[str, MarkedImage] = {}
        sets = self._sets()
        for path, stamp in self._walk(rows, ".xml", ".txt"):
            folders, stem = {part.lower() for part in path.split("/")[:-1]}, Path(path).stem
            if folders & {_MASKS, "segmentationobject"}:
                if _MASKS in folders and Path(path).suffix.lower() in MASK_SUFFIXES:
                    masks[stem] = path, stamp
                continue
            images[path] = MarkedImage(path=path, stamp=stamp, split=sets.get(stem) or folder_split(path))
            by_stem.setdefault(stem, []).append(path)
        unmarked = set(images)
        found: list[tuple[MarkedImage, list[float], str, str]] = []
        for xml in self._xml_files():
            stem, reason, tree = Path(xml).stem, "", None
            try:
                tree = parse_xml(read_regular(self.root / xml, root=self._within))
                stem = stem if stem in by_stem else _stated_stem(tree) or stem
            except (DecodeError, ValueError) as error:
                reason = f"{xml}: {error.reason if isinstance(error, DecodeError) else error}"
            split = folder_split(xml)
            near = by_stem.get(stem, [])
            path = min(near, key=lambda one: (folder_split(one) != split, len(one)), default="")
            if path and path not in unmarked:
                flaws("XML files of an image that another one annotates, which are left out", xml)
                continue
            if not path:
                path, reason = f"{stem}.jpg", reason or f"there is no such image, which {xml} annotates"
                images[path] = MarkedImage(path=path, split=split)
            unmarked.discard(path)
            image = images[path]
            image.reason = reason
            if tree is not None:
                image.stated = _size(tree)
                for at, one in enumerate(tree.iter("object"), start=1):
                    found.append((image, _box(one), one_name(one.findtext("name") or ""), f"{xml}, object {at}"))
        if unmarked:
            first = min(unmarked, key=natural_key)
            rows.notes.append(
                f"images without an XML file, which count as without objects: {len(unmarked):,} ({first})"
            )
        number = self._name_classes({name for _, _, name, _ in found})
        for image, box, name, place in found:
            image.objects.append(MarkedObject(number=number[name], box=box, place=place))
        marked = sorted(images.values(), key=lambda image: natural_key(image.path))
        self._set_masks(marked, masks)
        return marked

    def _xml_files(self) -> Iterator[str]:
        for folder in _xml_folders(self.root):
            names = [entry.name for entry in visible_entries(folder) if entry.name.lower().endswith(".xml")]
            for name in sorted(names, key=natural_key):
                yield (folder / name).relative_to(self.root).as_posix()

    def _sets(self) -> dict[str, int]:
        """Return the split of each stem, from the lists in `ImageSets`."""
        for inner in _SETS:
            folder = self.root / "ImageSets" / inner
            found: dict[str, int] = {}
            for split in ("train", "val", "test"):
                with contextlib.suppress(DecodeError):
                    text = read_regular(folder / f"{split}.txt").decode("utf-8", "replace")
                    found |= {line.split()[0]: split_code(split) or 0 for line in text.splitlines() if line.split()}
            if found:
                return found
        return {}

    def _name_classes(self, used: set[str]) -> dict[str, int]:
        """Set the names of the classes, and return their numbers."""
        several = used <= set(VOC_CLASSES) and len(used) > 1
        self.names = VOC_CLASSES if several else tuple(sorted(used, key=natural_key))
        if not self.names:
            raise DataError(f"{self.location}: the XML files mark no object")
        return {name: i for i, name in enumerate(self.names)}

    def _set_masks(self, images: list[MarkedImage], masks: dict[str, tuple[str, int]]) -> None:
        self.annotated = kinds_of(boxes=True, masks=bool(masks), points=False)
        if not masks:
            return
        of = [masks.get(Path(image.path).stem, ("", 0)) for image in images]
        self._masks = MaskFiles(
            self.root, [path for path, _ in of], [stamp for _, stamp in of], location=self.location, needed=False
        )
        found = self._masks.scan()
        colours = named_colours([self.root]) or None
        if colours is None and self.names == VOC_CLASSES and any(value >= 1 << 24 for value in found):
            colours = voc_colours()
        names = named_classes([self.root]) or ["background", *self.names]
        self._masks.coding = coding_of(found, names=names, colours=colours, void=self._void, where=self.location)
        self.mask_names = self._masks.coding.names


def voc_colours() -> dict[int, str]:
    """Return the colours of Pascal VOC's masks: the bits of a class number, three for each step of brightness."""
    colours = {}
    for number, name in enumerate(("background", *VOC_CLASSES)):
        rgb, left = [0, 0, 0], number
        for bit in range(7, -1, -1):
            for channel in range(3):
                rgb[channel] |= (left >> channel & 1) << bit
            left >>= 3
        colours[colour_value(*rgb)] = name
    return colours | {colour_value(224, 224, 192): "void"}


def _stated_stem(tree: ElementTree.Element) -> str:
    """Return the name of the image that an annotation states, without its ending."""
    return Path((tree.findtext("filename") or "").strip().replace("\\", "/")).stem


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    texts = [tree.findtext(f"size/{side}") or "" for side in ("width", "height")]
    if all(re.fullmatch(r"\s*[1-9][0-9]{0,6}\s*", text) for text in texts):
        return int(texts[0]), int(texts[1])
    return None


def _box(one: ElementTree.Element) -> list[float]:
    """Return the box of an object: VOC's corners are pixels counted from 1, both of which belong to it.

    Tools for labelling count from 0 and write the edges; the difference of a pixel is left as it is.
    """
    box = one.find("bndbox")
    found: list[float] = []
    for name in ("xmin", "ymin", "xmax", "ymax"):
        with contextlib.suppress(ValueError):
            found.append(float((box.findtext(name) if box is not None else "") or ""))
    return found


KIND = SourceKind(
    name="Pascal VOC's XML beside its images",
    recognises=_recognises,
    open=lambda request: VocSource(request.path, void=request.void, within=request.within),
    multi_label=True,
)
