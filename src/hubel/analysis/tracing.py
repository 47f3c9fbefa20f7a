"""One pass of an image's shape through a network: every layer's output, multiply-adds and receptive field.

A tensor without values carries its receptive field along. For the common functions its shape follows from a formula,
which is many times faster than torch's own inference; for all others torch infers it. Nothing of the network changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from hubel.analysis import receptive, rules
from hubel.analysis.traced import RULES, Call, Traced, shape_of, traced
from hubel.core.errors import OptionError
from hubel.data.reading import one_line
from hubel.nn.evaluating import evaluating

__all__ = ["Call", "trace"]

RULES.update(rules.OF_TORCH)


def trace(network: nn.Module, *shapes: Sequence[int], run: Callable[..., object] | None = None) -> list[Call]:
    """Every use of every module, in the order in which they end.

    Args:
        network: any module; it is left as it was: mode, gradients, buffers, hooks.
        shapes: of what it takes, without the batch, such as `(3, 224, 224)`.
        run: what to call instead of the network, such as one of its methods.

    Raises:
        OptionError: the network cannot take such images, or decides by values, which are not there.
    """
    running: list[Call] = []
    done: list[Call] = []
    inputs = [traced((1, *shape), receptive.of_image(), running) for shape in shapes]
    names = {id(module): name for name, module in network.named_modules()}
    with _recording(names, running, done), evaluating(network):
        try:
            (run or network)(*inputs)
        except OptionError:
            raise
        except Exception as error:  # whatever a stranger's forward runs into
            shown = ", ".join("x".join(map(str, shape)) for shape in shapes)
            where = f" in {running[-1].name}" if running and running[-1].name else ""
            what = one_line(error) or type(error).__name__
            raise OptionError(f"the network cannot be followed for an input of {shown}{where}: {what}") from error
    return done


@contextmanager
def _recording(names: dict[int, str], running: list[Call], done: list[Call]) -> Iterator[None]:
    """Watch the modules of one network, through hooks that no module keeps."""

    def before(module: nn.Module, inputs: Any) -> None:
        if id(module) in names:
            running.append(Call(names[id(module)], module))

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        if id(module) in names:
            call = running.pop()
            if isinstance(output, Traced):
                call.shape, call.field = tuple(shape_of(output)[1:]), output.seen
            done.append(call)

    handles = register_module_forward_pre_hook(before), register_module_forward_hook(after)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
