"""stub."""

from typing import Any


def draw_annotation(image: Any, annotation: Any, names: Any, scores: Any = ()) -> Any:
    """Stub."""
    return image
