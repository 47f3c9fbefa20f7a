"""Small folders of marked images: each image is grey, so that nothing but its annotation matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def image(path: Path, width: int = 40, height: int = 30, *, orientation: int = 1) -> Path:
    """Write an image of a shade of its own; width and height are those of the file, not yet turned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = sum(map(ord, path.name)) % 200 + 20
    picture = Image.fromarray(np.full((height, width, 3), shade, np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    picture.save(path, exif=exif)
    return path


def mask(path: Path, values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)
    return path


def coco(path: Path, images: list[dict], annotations: list[dict], categories: list[Any] = ["cat", "dog"]) -> Path:  # noqa: B006
    """Write COCO's JSON: ids of images are their positions, those of named categories start at 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": i, "width": 40, "height": 30, **one} for i, one in enumerate(images)],
        "annotations": [{"id": i, "iscrowd": 0, "category_id": 1, **one} for i, one in enumerate(annotations)],
        "categories": [{"id": i, "name": one} if isinstance(one, str) else one for i, one in enumerate(categories, 1)],
    }
    path.write_text(json.dumps(content))
    return path


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path


def voc(path: Path, *objects: tuple[Any, ...], name: str = "", size: tuple[int, int] = (40, 30)) -> Path:
    """Write Pascal VOC's XML; an object is its name and four corners."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    parts = [
        f"<object><name>{label}</name><bndbox>"
        + "".join(f"<{corner}>{value}</{corner}>" for corner, value in zip(corners, box, strict=True))
        + "</bndbox></object>"
        for label, *box in objects
    ]
    head = f"<filename>{name or path.stem + '.png'}</filename>"
    head += f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return text(path, f"<annotation>{head}{''.join(parts)}</annotation>")
