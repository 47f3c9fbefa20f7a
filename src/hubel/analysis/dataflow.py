"""Trace which function of a network takes the output of which: its data flow, without computing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from hubel.analysis.traced import Call, Traced, like, shape_of
from hubel.analysis.tracing import trace
from hubel.nn.dense import DenseNetwork
from hubel.nn.layers import SparselyConnected
from hubel.nn.network import Network

__all__ = ["DataFlow", "Flow", "Step", "follow"]


class Flow(NamedTuple):
    """A tensor between two steps.

    Attributes:
        source: number of the step that made it; below 0 for the inputs: -1 is the first.
        shape: its shape for one input, without the batch.
    """

    source: int
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One call of a function of torch.

    Attributes:
        number: its place among the steps.
        function: name of the function, such as "conv2d", "add" or "cat".
        settings: arguments that are no tensors, by name where the function is known, and the shape of its "weight".
        inputs: the tensors that it takes, without weights and constants.
        shape: shape of its output for one input, without the batch.
        call: call of the innermost module around it; None where there is none.
        macs: multiply-adds of convolutions and matrix products.
    """

    number: int
    function: str
    settings: Mapping[str, Any]
    inputs: tuple[Flow, ...]
    shape: tuple[int, ...]
    call: Call | None
    macs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class DataFlow:
    """The steps of a network, in the order of their calls.

    Attributes:
        network: the network.
        inputs: shapes of the inputs, without the batch.
        steps: the steps that an output depends on; `Step.number` is the place in this tuple.
        outputs: the tensors that the network returns.
        constant: whether an output depends on no input.
    """

    network: nn.Module
    inputs: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    outputs: tuple[Flow, ...]
    constant: bool

    def count(self, function: str) -> int:
        """Return how many steps call a function that takes at least two tensors, such as "add" or "cat"."""
        return sum(step.function == function and len(step.inputs) > 1 for step in self.steps)


def follow(network: nn.Module, *shapes: Sequence[int]) -> DataFlow:
    """Trace the data flow of a network, with its auxiliary classifiers; the network is left unchanged.

    Args:
        network: any module.
        shapes: input shapes without the batch, such as `(3, 224, 224)`.

    Raises:
        OptionError: the network cannot take such images, or its control flow depends on their values.

    >>> from hubel import create_model
    >>> follow(create_model("resnet18"), (3, 224, 224)).count("add")
    8
    """
    steps: list[Step] = []
    outputs: list[Flow] = []
    constants: list[Tensor] = []
    has_auxiliary = isinstance(network, Network | DenseNetwork) and len(network.auxiliary) > 0
    run: Callable[..., object] = network.outputs if has_auxiliary else network  # type: ignore[assignment]

    def recorded(*inputs: Traced) -> None:
        for tensor in _tensors(run(*inputs)):
            source = _made_by(tensor)
            if source is None:
                constants.append(tensor)
            elif (flow := Flow(source, _shape(tensor))) not in outputs:
                outputs.append(flow)

    def during(running: list[Call], inputs: list[Traced]) -> AbstractContextManager[object]:
        for number, tensor in enumerate(inputs):
            tensor.made_by = -1 - number  # type: ignore[attr-defined]
        return _Follower(running, steps)

    trace(network, *shapes, run=recorded, during=during)
    kept, outputs = _needed(steps, outputs)
    return DataFlow(
        network=network,
        inputs=tuple(tuple(shape) for shape in shapes),
        steps=tuple(kept),
        outputs=tuple(outputs),
        constant=bool(constants) or not outputs,
    )


class _Follower(TorchFunctionMode):
    """Record the functions that take tensors of a traced forward pass, each tensor marked with its step."""

    def __init__(self, running: list[Call], steps: list[Step]) -> None:
        super().__init__()
        self.running, self.steps = running, steps

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = _name(func)
        before = self.running[-1].macs if self.running else 0
        # What they were made by, before the function changes one in place.
        taken = tree_leaves((args[:1] if name in _FIRST_ONLY else tuple(args), dict(kwargs)))
        inputs = tuple(Flow(source, _shape(x)) for x in taken if (source := _made_by(x)) is not None)
        result = func(*args, **kwargs)
        if not inputs or name in _CONSTANTS or not isinstance(result, Tensor | list | tuple):
            return result
        settings = _settings(name, args, kwargs)
        made = [x for x in tree_leaves(result) if isinstance(x, Traced)]
        if not made:
            return result
        macs = self.running[-1].macs - before if self.running else 0
        call = self.running[-1] if self.running else None
        if call is not None and isinstance(call.module, SparselyConnected):
            macs = int(macs * call.module.density)
        number = len(self.steps)
        self.steps.append(
            Step(
                number=number,
                function=name,
                settings=settings,
                inputs=tuple(dict.fromkeys(inputs)) if name not in _PAIRS else inputs,
                shape=_shape(made[0]),
                call=call,
                macs=macs,
            )
        )
        in_place = settings.get("inplace") is True or _is_in_place(func)
        if isinstance(result, Traced) and not in_place and any(result is x for x in taken):
            result = like(result, shape_of(result), result.field)  # another tensor, which is marked on its own
            made = [result]
        for x in made:
            x.made_by = number  # type: ignore[attr-defined]
        return result


_FIRST_ONLY = {"to", "type_as", "view_as", "expand_as", "reshape_as"}  # of the other tensor, only the form counts
_CONSTANTS = {
    "new_tensor", "new_full", "new_zeros", "new_ones", "new_empty",
    "full_like", "zeros_like", "ones_like", "empty_like", "rand_like", "randn_like",
}  # fmt: skip
_PAIRS = {"add", "sub", "mul", "cat"}  # may take the same tensor twice
_SAME_NAME = {
    "radd": "add", "iadd": "add", "rsub": "sub", "isub": "sub", "rmul": "mul", "imul": "mul", "multiply": "mul",
    "concat": "cat", "concatenate": "cat", "truediv": "div", "rtruediv": "div", "idiv": "div", "subtract": "sub",
    "fn": "function", "matmul": "matmul", "rpow": "pow",
}  # fmt: skip
_WINDOW = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_PARAMETERS = {
    "conv1d": _WINDOW,
    "conv2d": _WINDOW,
    "conv3d": _WINDOW,
    "conv_transpose2d": ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    "linear": ("input", "weight", "bias"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "adaptive_avg_pool2d": ("input", "output_size"),
    "adaptive_max_pool2d": ("input", "output_size"),
    "interpolate": ("input", "size", "scale_factor", "mode"),
    "dropout": ("input", "p", "training", "inplace"),
    "dropout2d": ("input", "p", "training", "inplace"),
    "relu": ("input", "inplace"),
    "mean": ("input", "dim", "keepdim"),
    "group_norm": ("input", "num_groups"),
    "cat": ("tensors", "dim"),
}


def _settings(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    named = dict(zip(_PARAMETERS.get(name, ()), args, strict=False)) | dict(kwargs)
    weight = named.get("weight")
    settings = {
        key: value for key, value in named.items() if not any(isinstance(x, Tensor) for x in tree_leaves(value))
    }
    if isinstance(weight, Tensor):
        settings["weight"] = _size(weight)
    return settings


def _name(func: Any) -> str:
    """Return the plain name of a function, a method or a property: "add" of `Tensor.__iadd__`, "T" of `Tensor.T`."""
    name = getattr(func, "__name__", type(func).__name__)
    if name == "__get__":
        name = func.__self__.__name__
    name = name.strip("_")
    return _SAME_NAME.get(name, name)


def _is_in_place(func: Any) -> bool:
    name = getattr(func, "__name__", "")
    return (name.endswith("_") and not name.endswith("__")) or (name.startswith("__i") and name != "__invert__")


def _made_by(value: Any) -> int | None:
    return getattr(value, "made_by", None) if isinstance(value, Traced) else None


def _size(x: Tensor) -> tuple[int, ...]:
    return tuple(shape_of(x))


def _shape(x: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor without its batch, where that is the first axis."""
    size = _size(x)
    return size[1:] if size[:1] == (1,) else size


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of what a network returns."""
    if is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _needed(steps: Sequence[Step], outputs: list[Flow]) -> tuple[list[Step], list[Flow]]:
    """Return the steps that an output depends on, numbered anew; all of them if none is known."""
    needed = {flow.source for flow in outputs}
    for step in reversed(steps):
        if step.number in needed or not outputs:
            needed.add(step.number)
            needed.update(flow.source for flow in step.inputs)
    places: dict[int, int] = {}
    kept = [step for step in steps if step.number in needed]
    for place, step in enumerate(kept):
        places[step.number] = place

    def moved(flows: Sequence[Flow]) -> tuple[Flow, ...]:
        return tuple(flow._replace(source=places.get(flow.source, flow.source)) for flow in flows)

    fresh = [
        Step(
            number=places[step.number],
            function=step.function,
            settings=step.settings,
            inputs=moved(step.inputs),
            shape=step.shape,
            call=step.call,
            macs=step.macs,
        )
        for step in kept
    ]
    return fresh, list(moved(outputs))
