"""The meaning of the columns of a Hugging Face table: images, labels, and names of classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hubel.core.errors import DataError
from hubel.data.reading import one_line

__all__ = [
    "LABELS",
    "checked_names",
    "features_of",
    "image_column",
    "label_column",
    "label_texts",
    "named_number",
]

_IMAGES = ("image", "img", "picture", "jpg", "png")
LABELS = ("label", "labels", "class", "fine_label", "category", "cls")

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
    import pyarrow as pa

    def holds_images(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else None
        return kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    usable = [name for name in schema.names if holds_images(schema.field(name).type)]
    declared = [name for name in usable if _kind(features, name) == "Image"]
    name = _first(_IMAGES, usable) or next(iter([*declared, *usable]), None)
    if name is None:
        raise DataError(f"{where} has no column of encoded images; it has {', '.join(schema.names)}")
    return name


def label_column(schema: Any, features: FeatureSchema, where: object) -> str:
    """Return the name of the column of labels: one with a usual name, or the only one declared as `ClassLabel`.

    Raises:
        DataError: there is none, or it holds several values a row.
    """
    import pyarrow as pa

    declared = [name for name in schema.names if _kind(features, name) == "ClassLabel"]
    name = _first(LABELS, schema.names) or (declared[0] if len(declared) == 1 else None)
    if name is None:
        raise DataError(f"{where} has no column of labels ({', '.join(LABELS)}); it has {', '.join(schema.names)}")
    if pa.types.is_nested(kind := schema.field(name).type):
        raise DataError(f"{where}: the column {name} holds {one_line(kind)}; expected one class a row")
    return name


def _kind(features: FeatureSchema, name: str) -> Any:
    feature = features.get(name)
    return feature.get("_type") if isinstance(feature, dict) else None


def _first(wanted: tuple[str, ...], present: Sequence[str]) -> str | None:
    return next((name for name in wanted if name in present), None)


def checked_names(names: Any, where: object) -> list[str] | None:
    """Return the names of classes in the order of their numbers, or None where there are none.

    Raises:
        DataError: two classes have the same name, so that they could not be told apart.
    """
    if not isinstance(names, list):
        return None
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        seen: set[str] = set()
        twice = next(text for text in texts if text in seen or seen.add(text))  # type: ignore[func-returns-value]
        raise DataError(f"{where} calls two classes {one_line(twice)!r}; expected a name of its own for each")
    return texts


def named_number(number: int, names: Sequence[str] | None) -> str | None:
    """Return the class of a number, or None for -1, which Hugging Face gives to an image without a label.

    Raises:
        IndexError: no class has this number.
    """
    if number < 0 and names is not None:
        return None
    return str(number) if names is None else names[number]


def label_texts(blocks: Iterable[Any], names: Sequence[str] | None, where: object) -> Iterator[str | None]:
    """Yield the class of each row, or None where a row has none.

    Raises:
        DataError: no class has the number of a row.
    """
    row = 0
    for block in blocks:
        try:
            values = block.to_pylist()
        except UnicodeDecodeError:
            raise DataError(f"{where}: a label from row {row} on is no UTF-8 text") from None
        for value in values:
            try:
                known = value is None or names is None
                yield (None if value is None else str(value)) if known else named_number(value, names)
            except (IndexError, TypeError):
                raise DataError(f"{where}, row {row}: no class has the number {value!r}") from None
            row += 1
