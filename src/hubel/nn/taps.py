"""Taps: the maps of a backbone that a dense head reads, such as the last one of each stride."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.nn.features import STRIDES, FeatureMap, every_map
from hubel.nn.network import Network

__all__ = ["HEAD", "cut_after", "find_maps", "find_taps", "map_channels", "tapped_maps"]

#: The tap behind the layers that a backbone kept of its head.
HEAD = "head"
_SIDE = 256  # pixels of the image whose maps tell the strides


def find_maps(network: Network) -> dict[str, FeatureMap]:
    """Find the maps of a backbone by name, in order; nothing is allocated, and next to nothing computed.

    Raises:
        OptionError: the backbone has no maps that shrink from stage to stage.
    """
    channels = next((p.shape[1] for p in network.parameters() if p.ndim == 4), 0)
    found = every_map(network, (channels, _SIDE, _SIDE)) if channels else []
    if not any(entry.stride > 1 for entry in found):
        raise OptionError("this backbone has no maps that shrink from stage to stage")
    return {entry.map: entry for entry in found}


def find_taps(network: Network, strides: Sequence[int] | None = None, *, first: bool = False) -> list[FeatureMap]:
    """Find the last map of each stride of a backbone; nothing is allocated, and next to nothing computed.

    Args:
        network: the backbone.
        strides: strides in pixels, ascending; all from 2 to 32 that there are, if not given.
        first: find the first map of each stride instead.

    Raises:
        OptionError: the backbone has no map of a stride.
    """
    maps = list(find_maps(network).values())
    found = {entry.stride: entry for entry in (reversed(maps) if first else maps)}
    known = [stride for stride in STRIDES if stride in found]
    if missing := [stride for stride in strides or () if stride not in known]:
        shown = ", ".join(map(str, known))
        raise OptionError(f"this backbone has no map of stride {missing[0]}; it has maps of stride {shown}")
    return [found[stride] for stride in strides or known]


def map_channels(network: Network, strides: Sequence[int]) -> list[int]:
    """Return the channels of the last map of each stride of a backbone; nothing is allocated.

    Raises:
        OptionError: the backbone has no map of a stride.
    """
    return [tap.channels for tap in find_taps(network, strides)]


def tapped_maps(network: Network, x: Tensor, taps: Sequence[str]) -> list[Tensor]:
    """Return the maps `(n, c, h, w)` of some names, of images `(n, c, h, w)`.

    Each block runs once, and none after the last tap.

    Args:
        network: the backbone.
        x: images, normalised.
        taps: names as `Network.walk` has them, in its order; `HEAD`, the last, is what the head makes of the last map.
    """
    found: dict[str, Tensor] = {}
    missing = set(taps)
    for name, section in network.sections():
        inside = [tap for tap in taps if tap.startswith(f"{name}.")]
        if inside:
            assert isinstance(section, nn.Sequential)
            for number, block in enumerate(section, start=1):
                found[f"{name}.block{number}"] = x = block(x)
                if not missing.difference(found):
                    break
        else:  # called as a whole, which hooks of explanations and of summaries see
            x = section(x)
        found[name] = x
        if not missing.difference(found):
            break
    if HEAD in taps:
        found[HEAD] = network.head(x)
    return [found[name] for name in taps]


def cut_after(network: Network, taps: Sequence[str]) -> None:
    """Remove what no tap needs: the blocks after the last one, the head unless it is tapped, auxiliary classifiers.

    The names of all other weights stay those of the whole network.
    """
    network.auxiliary = nn.ModuleDict()
    if HEAD in taps:
        return
    network.head = nn.Identity()
    section, _, block = taps[-1].partition(".")
    number = 0 if section == "stem" else int(section.removeprefix("stage"))
    network.stages = nn.Sequential(*list(network.stages)[:number])
    if block:
        last: nn.Module = network.stages[-1] if number else network.stem
        assert isinstance(last, nn.Sequential)
        del last[int(block.removeprefix("block")) :]
