"""Networks of dense tasks: a backbone that keeps its maps, and a head that makes an output for every place of them."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from hubel.nn.network import Network, Outputs
from hubel.nn.taps import HEAD, cut_after, tapped_maps

__all__ = ["DenseHead", "DenseNetwork", "Size", "enlarged", "initialise_scores"]

Size = tuple[int, int]  # height and width in pixels


def enlarged(x: Tensor, size: Size, mode: str = "bilinear") -> Tensor:
    """Return maps `(n, c, h, w)` interpolated to `(n, c, *size)`; as they are, if they have this size.

    Args:
        x: the maps.
        size: height and width.
        mode: "nearest" or "bilinear", whose corners are those of pixels, not their centres.
    """
    if (int(x.shape[2]), int(x.shape[3])) == size:
        return x
    return F.interpolate(x, size, mode=mode, align_corners=None if mode == "nearest" else False)


def initialise_scores(classifier: nn.Conv2d) -> None:
    """Draw the weights of scores uniformly up to 1 / sqrt(fan in), so that all classes start about equally probable.

    With far smaller ones (deviation 0.01), the first steps of Adam move all maps below alike: in a decoder of 16 maps
    they closed every ReLU for the rarer classes.
    """
    if classifier.weight.is_meta:
        return
    classifier.reset_parameters()
    if classifier.bias is not None:
        nn.init.zeros_(classifier.bias)


class DenseHead(nn.Module, abc.ABC):
    """The part of a dense network behind its backbone."""

    @abc.abstractmethod
    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        """Yield name and value of each map; the last value is the output.

        Args:
            maps: maps of the backbone `(n, c, h / stride, w / stride)`, the finest first.
            size: height and width of the images, in pixels.
        """

    def forward(self, maps: Sequence[Tensor], size: Size) -> Tensor:
        """Return the output for the maps of a backbone; see `walk`."""
        output = maps[-1]
        for _, output in self.walk(maps, size):  # noqa: B007
            pass
        return output


class DenseNetwork(nn.Module):
    """A backbone and a dense head: `head(maps of the backbone, size of the image)`.

    Args:
        backbone: a classifier; what the head does not read is removed from it, and the names of its other weights stay.
        taps: names of the maps that the head reads, in order; see `hubel.nn.taps`.
        head: the head.
        auxiliary: heads for training on one map each, by its name, which is a tap or comes before one.
        auxiliary_weight: weight of the loss of each auxiliary head.
    """

    def __init__(
        self,
        backbone: Network,
        taps: Sequence[str],
        head: DenseHead,
        auxiliary: Mapping[str, DenseHead] | None = None,
        auxiliary_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        cut_after(backbone, self.taps)
        self.backbone = backbone
        self.head = head
        # Module names cannot contain dots.
        self.auxiliary = nn.ModuleDict({name.replace(".", "_"): part for name, part in (auxiliary or {}).items()})
        self.auxiliary_weight = auxiliary_weight

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of normalised images `(n, c, h, w)`."""
        output: Tensor = self.head(tapped_maps(self.backbone, x, self.taps), _size(x))
        return output

    def outputs(self, x: Tensor) -> Outputs:
        """Return the output for images `(n, c, h, w)`, and those of the auxiliary heads."""
        size = _size(x)
        named = self._backbone_maps(x)
        auxiliary = {
            name: self.auxiliary[key]([value], size)
            for name, value in named.items()
            if (key := name.replace(".", "_")) in self.auxiliary
        }
        return Outputs(logits=self.head([named[name] for name in self.taps], size), auxiliary=auxiliary)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Return all maps of images `(n, c, h, w)` by name: "stem.block1", ..., "stage5", "head.up8", ..., "logits"."""
        return dict(self.walk(x))

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield name and value of each map of images `(n, c, h, w)`; the last is "logits", the output.

        The maps of the backbone are named as `Network.maps` names them; "head" is what it kept of its own head.
        """
        named = self._backbone_maps(x)
        yield from named.items()
        before = ""
        value = x
        for name, after in self.head.walk([named[name] for name in self.taps], _size(x)):
            if before:
                yield f"head.{before}", value
            before, value = name, after
        yield "logits", value

    def levels(self) -> list[list[nn.Parameter]]:
        """Return the parameters by depth: of the heads first, then of each stage of the backbone, of its stem last."""
        backbone = [self.backbone.head, *reversed(list(self.backbone.stages)), self.backbone.stem]
        parts = [nn.ModuleList([self.head, self.auxiliary]), *backbone]
        return [level for part in parts if (level := list(part.parameters()))]

    def load_backbone(self, classifier: Network) -> None:
        """Copy the weights that the backbone has in common with a classifier of the same layout."""
        theirs = classifier.state_dict()
        self.backbone.load_state_dict({name: theirs[name] for name in self.backbone.state_dict()})

    def _backbone_maps(self, x: Tensor) -> dict[str, Tensor]:
        named = {}
        for name, x in self.backbone.walk(x):  # noqa: B020
            named[name] = x
        if HEAD in self.taps:
            named[HEAD] = self.backbone.head(x)
        return named


def _size(x: Tensor) -> Size:
    """Return height and width as plain numbers, so that a trace has them as constants."""
    return int(x.shape[2]), int(x.shape[3])
