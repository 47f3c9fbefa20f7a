"""The shape that every network here has: a stem, stages of blocks, a head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

__all__ = ["Network", "Outputs"]


@dataclass(frozen=True)
class Outputs:
    """Everything that a network says of some images while it learns.

    Attributes:
        logits: `(n, classes)`.
        auxiliary: what each auxiliary classifier says, likewise, by the map that it looks at.
    """

    logits: Tensor
    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)


class Network(nn.Module):
    """An image classifier: `head(stages(stem(x)))`.

    Args:
        stem: a sequence of blocks that meets the image first; `nn.Identity()` where there is none.
        stages: each a sequence of blocks; a stage keeps one resolution.
        head: what turns the last map into one number for each class.
        auxiliary: classifiers that help the lower layers to learn, by the map that each one looks at.
        auxiliary_weight: of each auxiliary classifier's loss.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Sequential],
        head: nn.Module,
        auxiliary: Mapping[str, nn.Module] | None = None,
        auxiliary_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        self.head = head
        # Names of modules cannot have dots.
        self.auxiliary = nn.ModuleDict({name.replace(".", "_"): part for name, part in (auxiliary or {}).items()})
        self.auxiliary_weight = auxiliary_weight

    def forward(self, x: Tensor) -> Tensor:
        """Images `(n, c, h, w)`, normalised, to logits `(n, classes)`."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits

    def outputs(self, x: Tensor) -> Outputs:
        """Images `(n, c, h, w)` to logits, with those of the auxiliary classifiers."""
        if not self.auxiliary:
            return Outputs(self(x))
        auxiliary = {}
        for name, x in self.walk(x):  # noqa: B020
            if (key := name.replace(".", "_")) in self.auxiliary:
                auxiliary[name] = self.auxiliary[key](x)
        return Outputs(self.head(x), auxiliary)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Every named map of images `(n, c, h, w)`: "stem.block1", "stem", "stage1.block1", "stage1", ..., "logits"."""
        named = dict(self.walk(x))
        named["logits"] = self.head(list(named.values())[-1])
        return named

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The maps of images `(n, c, h, w)` one after another, each with its name; the head is left out."""
        for name, section in [("stem", self.stem), *((f"stage{s}", m) for s, m in enumerate(self.stages, start=1))]:
            if isinstance(section, nn.Sequential):
                for b, block in enumerate(section, start=1):
                    x = block(x)
                    yield f"{name}.block{b}", x
            yield name, x
