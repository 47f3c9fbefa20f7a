"""What training starts from: fresh weights, or those that somebody has trained on millions of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubel.core.errors import OptionError
from hubel.models.catalogue import options_of
from hubel.models.variant import Variant
from hubel.training.recipe import Recipe
from hubel.weights.create import is_file_name
from hubel.weights.pretrained import Pretrained, find_weights, list_weights

__all__ = ["Start", "find_start"]


@dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        weights: a tag of pretrained weights, or a file; None from scratch.
        row: how the weights want to see an image; None from scratch.
        options: that the network needs for them.
        notes: what a person should know.
        provenance: for the model's card.
    """

    weights: str | Path | None = None
    row: Pretrained | None = None
    options: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


def find_start(recipe: Recipe, name: str, variant: Variant) -> Start:
    """What a recipe says; "auto" takes weights that need no download.

    Args:
        recipe: its `weights` and `freeze` count.
        name: the exact name of the network.
        variant: what is known of it.

    Raises:
        UnknownNameError: there are no such weights.
        OptionError: a network without pretrained weights cannot be frozen, or makes images.
    """
    rows = list_weights(name)
    wanted: str | Path = recipe.weights
    if wanted == "auto":
        at_hand = [row for row in rows[:1] if row.origin == "package"]
        wanted = at_hand[0].tag if at_hand and variant.task == "classify" else "none"
    if wanted == "none":
        if recipe.freeze not in ("auto", "none"):
            hint = "add --weights default" if rows else "it has none"
            raise OptionError(f"{name} starts from scratch, so nothing of it can be frozen without weights; {hint}")
        notes = (
            [f"{name} starts from scratch; --weights default starts from pretrained ones (a download)"] if rows else []
        )
        return Start(notes=tuple(notes) if recipe.weights == "auto" else ())
    if variant.task != "classify":
        raise OptionError(f"{name} makes images; it has no pretrained weights to start from")
    # Auxiliary classifiers help a fresh network to learn; a pretrained one has no use for them.
    options = {"auxiliary": False} if "auxiliary" in options_of(name) else {}
    if is_file_name(wanted):
        path = Path(wanted)
        if not path.is_file():
            raise OptionError(f"--weights {path}: no such file")
        row = rows[0] if rows else None
        return Start(path, row, options, provenance={"weights": path.name})
    row = find_weights(name, str(wanted))
    return Start(row.tag, row, {**row.options, **options}, provenance={"weights": f"{name}.{row.tag}"})
