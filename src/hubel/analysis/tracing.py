"""Trace a network without computing it: the output shape, multiply-adds and receptive field of every layer.

A tensor without values passes through the network and carries its receptive field. For common functions shape and
multiply-adds follow from a formula, many times faster than torch's shape inference, which serves all others and whose
operators are counted one by one. The network is left unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from hubel.analysis import receptive, rules
from hubel.analysis.operators import OperatorCounter
from hubel.analysis.traced import RULES, Call, Traced, shape_of, traced
from hubel.core.errors import OptionError
from hubel.data.reading import one_line
from hubel.nn.evaluating import evaluating
from hubel.nn.layers import SparselyConnected

__all__ = ["Call", "trace"]

RULES.update(rules.OF_TORCH)


def trace(
    network: nn.Module,
    *shapes: Sequence[int],
    run: Callable[..., object] | None = None,
    during: Callable[[list[Call], list[Traced]], AbstractContextManager[object]] | None = None,
) -> list[Call]:
    """Return every call of every module, in the order in which the calls return.

    Args:
        network: any module; its mode, gradients, buffers and hooks are left unchanged.
        shapes: input shapes without the batch, such as `(3, 224, 224)`.
        run: function to call instead of the network, such as one of its methods.
        during: makes a context to run in, from the calls under way, which change, and the inputs.

    Raises:
        OptionError: the network cannot take such images, or its control flow depends on their values.
    """
    running: list[Call] = []
    done: list[Call] = []
    inputs = [traced((1, *shape), receptive.of_image(), running) for shape in shapes]
    names = {id(module): name for name, module in network.named_modules()}
    watched = during(running, inputs) if during else nullcontext()
    with _recording(names, running, done), evaluating(network), OperatorCounter(running), watched:
        try:
            (run or network)(*inputs)
        except OptionError:
            raise
        except Exception as error:  # any error of the user's forward()
            shown = ", ".join("x".join(map(str, shape)) for shape in shapes)
            module = f" in {running[-1].name}" if running and running[-1].name else ""
            reason = one_line(error) or type(error).__name__
            raise OptionError(f"the network cannot be traced for an input of {shown}{module}: {reason}") from error
    return done


@contextmanager
def _recording(names: dict[int, str], running: list[Call], done: list[Call]) -> Iterator[None]:
    """Record the calls of a network's modules through global hooks, removed afterwards."""

    def before(module: nn.Module, inputs: Any) -> None:
        if id(module) in names:
            running.append(Call(names[id(module)], module, parent=running[-1] if running else None))

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        if id(module) in names:
            call = running.pop()
            if isinstance(output, tuple | list) and output:
                output = output[0]  # of attention and recurrent layers: beside it are weights or a state
            if isinstance(output, Tensor):
                batch, *rest = shape_of(output) or (1,)
                call.shape = tuple(rest) if batch == 1 else (batch, *rest)
            if isinstance(output, Traced):
                call.field = output.field
            if isinstance(module, SparselyConnected):
                call.macs = int(call.macs * module.density)
            done.append(call)

    handles = register_module_forward_pre_hook(before), register_module_forward_hook(after)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
