"""The meaning of the columns of a Hugging Face table: images, labels, and names of classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hubel.core.errors import DataError
from hubel.data.reading import one_line
from hubel.data.sources.labels import LABEL_COLUMNS, checked_names
from hubel.data.sources.table import column_place

__all__ = [
    "IMAGE_COLUMNS",
    "FeatureSchema",
    "class_names_of",
    "features_of",
    "image_column",
    "label_column",
    "only_column",
]

#: Usual names of a column of encoded images, the first choice first.
IMAGE_COLUMNS = ("image", "img", "picture", "jpg", "png")

FeatureSchema = Mapping[str, Any]


def features_of(schema: Any) -> FeatureSchema:
    """Return the descriptions of columns in a schema's metadata, under the key "huggingface"; empty without any."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def image_column(schema: Any, features: FeatureSchema, where: object) -> str:
    """Return the name of the column that holds encoded images: binary, or `{bytes, path}`.

    Raises:
        DataError: there is none.
    """
    usable = [name for name, kind in zip(schema.names, schema.types, strict=True) if _holds_images(kind)]
    declared = [name for name in usable if _kind(features, name) == "Image"]
    name = _first(IMAGE_COLUMNS, usable) or next(iter([*declared, *usable]), None)
    if name is None:
        raise DataError(f"{where} has no column of encoded images; it has {', '.join(schema.names)}")
    return only_column(name, schema.names, where)


def only_column(name: str, present: Sequence[str], where: object) -> str:
    """Return the name of a column.

    Raises:
        DataError: several columns have it.
    """
    if present.count(name) > 1:
        raise DataError(f"{where} has {present.count(name)} columns called {one_line(name)}; expected one")
    return name


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        data, path = (kind.get_field_index(name) for name in ("bytes", "path"))
        if data < 0:
            return False
        kind = kind.field(data).type
        if path >= 0 and pa.types.is_null(kind):  # no image is embedded
            return True
    elif pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(holds(kind) for holds in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def label_column(schema: Any, features: FeatureSchema, where: object) -> str:
    """Return the name of the column of labels: one with a usual name, or the only one declared as `ClassLabel`.

    Raises:
        DataError: there is none, or it holds tables.
    """
    import pyarrow as pa

    declared = [name for name in schema.names if _kind(features, name) == "ClassLabel"]
    name = _first(LABEL_COLUMNS, schema.names) or (declared[0] if len(declared) == 1 else None)
    if name is None:
        raise DataError(
            f"{where} has no column of labels ({', '.join(LABEL_COLUMNS)}); it has {', '.join(schema.names)}"
        )
    kind = schema.field(only_column(name, schema.names, where)).type
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        raise DataError(f"{where}: the column {name} holds {one_line(kind)}; expected text, numbers, or lists of them")
    return name


def class_names_of(features: FeatureSchema, column: str, where: object) -> list[str] | None:
    """Return the names of the classes whose numbers a column holds, alone or in lists; None without any.

    Raises:
        DataError: two classes have the same name.
    """
    feature = features.get(column)
    if isinstance(feature, dict) and isinstance(feature.get("feature"), dict):  # of a list
        feature = feature["feature"]
    return checked_names(feature.get("names"), where) if isinstance(feature, dict) else None


def _kind(features: FeatureSchema, name: str) -> Any:
    feature = features.get(name)
    return feature.get("_type") if isinstance(feature, dict) else None


def _first(wanted: tuple[str, ...], present: Sequence[str]) -> str | None:
    place = column_place(present, wanted)
    return None if place is None else present[place]
