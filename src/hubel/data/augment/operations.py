"""The table of all operations, and what follows from it: the ranges of a policy's settings, and what each concerns."""

from __future__ import annotations

from typing import Any

from hubel.data.augment.automatic import AUTOMATIC
from hubel.data.augment.colour import COLOUR_MATRICES
from hubel.data.augment.effects import EFFECTS
from hubel.data.augment.erase import ERASE
from hubel.data.augment.geometry import CROP, TRANSFORMS, WARP
from hubel.data.augment.mixing import MIXING
from hubel.data.augment.mosaic_operation import MOSAIC
from hubel.data.augment.operation import ColourMatrix, Operation, PixelEffect, Stage

__all__ = ["COLOUR", "OPERATIONS", "settings_of"]

# In the order in which they happen.
COLOUR: tuple[ColourMatrix | PixelEffect, ...] = (*COLOUR_MATRICES, *EFFECTS)
OPERATIONS: tuple[Operation[Any], ...] = (CROP, *TRANSFORMS, WARP, *COLOUR, ERASE, AUTOMATIC, MOSAIC, *MIXING)


def settings_of(*stages: Stage) -> tuple[str, ...]:
    """Return the fields of a policy that switch on operations of these stages."""
    return tuple(name for operation in OPERATIONS if operation.stage in stages for name in operation.switches)
