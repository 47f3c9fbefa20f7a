"""Common structure of all networks: a stem, stages of blocks, a head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from hubel.nn.novelty import Novelty

__all__ = ["Network", "Outputs"]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Outputs of a network during training.

    Attributes:
        logits: logits `(n, classes)`; of a dense network, maps `(n, classes, h, w)`.
        auxiliary: likewise of each auxiliary classifier, by the name of its input map.
    """

    logits: Tensor
    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)


class Network(nn.Module):
    """An image classifier: `head(stages(stem(x)))`.

    Args:
        stem: first blocks, a sequence; `nn.Identity()` if there are none.
        stages: sequences of blocks; a stage keeps one resolution.
        head: layers from the last map to the logits.
        auxiliary: auxiliary classifiers for training, by the name of their input map.
        auxiliary_weight: weight of the loss of each auxiliary classifier.

    Attributes:
        novelty: computes how new an image is; None for a network without it. See `hubel.nn.freezing.with_novelty`.
    """

    novelty: Novelty | None

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
        # Module names cannot contain dots.
        self.auxiliary = nn.ModuleDict({name.replace(".", "_"): part for name, part in (auxiliary or {}).items()})
        self.auxiliary_weight = auxiliary_weight
        self.novelty = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(n, classes)` of normalised images `(n, c, h, w)`."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits

    def outputs(self, x: Tensor) -> Outputs:
        """Return the logits of images `(n, c, h, w)`, and those of the auxiliary classifiers."""
        if not self.auxiliary:
            return Outputs(logits=self(x))
        auxiliary = {}
        for name, x in self.walk(x):  # noqa: B020
            if (key := name.replace(".", "_")) in self.auxiliary:
                auxiliary[name] = self.auxiliary[key](x)
        return Outputs(logits=self.head(x), auxiliary=auxiliary)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Return all maps of images `(n, c, h, w)` by name: "stem.block1", "stem", "stage1.block1", ..., "logits"."""
        named = dict(self.walk(x))
        named["logits"] = self.head(list(named.values())[-1])
        return named

    def sections(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield name and module of the stem and of each stage."""
        yield "stem", self.stem
        for number, stage in enumerate(self.stages, start=1):
            yield f"stage{number}", stage

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield name and value of each map of images `(n, c, h, w)`, without the head."""
        for name, section in self.sections():
            if isinstance(section, nn.Sequential):
                for b, block in enumerate(section, start=1):
                    x = block(x)
                    yield f"{name}.block{b}", x
            yield name, x
