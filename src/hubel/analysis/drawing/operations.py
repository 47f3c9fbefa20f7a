"""Turn the steps of a data flow into the operations that a drawing shows, and find the modules around each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, TypedDict

from torch import nn

from hubel.analysis.dataflow import DataFlow, Step
from hubel.analysis.drawing.words import HEAVY, Label, class_words, label_of
from hubel.analysis.traced import Call
from hubel.nn.dense import DenseNetwork
from hubel.nn.network import Network

__all__ = ["DrawnOperation", "EnclosingModule", "operations_of"]


class EnclosingModule(NamedTuple):
    """A module around operations.

    Attributes:
        key: what makes it another one: its name, and the call that it belongs to.
        name: name of the module in the network.
        title: its title in a drawing; empty if the module has none of its own.
    """

    key: str
    name: str
    title: str


@dataclass(eq=False, kw_only=True)
class DrawnOperation:
    """One function, one module without parts, or the same of each call of a shared module.

    Attributes:
        label: kind and words.
        shapes: shapes of the output, one for each call.
        inputs: the operations that it takes, by number, and the shapes that come from them; below 0 are inputs.
        path: the modules around it, the outermost first.
        params: parameters.
        macs: multiply-adds.
        steps: numbers of its steps.
        times: calls of the shared module around it; 1 if it is not shared.
    """

    label: Label
    shapes: list[tuple[int, ...]]
    inputs: dict[int, list[tuple[int, ...]]]
    path: tuple[EnclosingModule, ...]
    params: int
    macs: int
    steps: list[int]
    times: int


def operations_of(flow: DataFlow) -> list[DrawnOperation]:
    """Return the operations, each after those that it takes."""
    # Parallel calls of two modules may depend on one another in both orders; then none is drawn once for all.
    return _in_order(_operations(flow, shared=True)) or _in_order(_operations(flow, shared=False)) or []


def _operations(flow: DataFlow, *, shared: bool) -> list[DrawnOperation]:
    modules = _whole_modules(flow.steps)
    params = _parameters(flow)
    classes = _classes(flow, modules, _shared(flow) if shared else set())
    paths = _Paths(flow.network)
    numbers = {known: number for number, known in enumerate(dict.fromkeys(classes.values()))}
    members: list[list[Step]] = [[] for _ in numbers]
    for step in flow.steps:
        members[numbers[classes[step.number]]].append(step)
    operations: list[DrawnOperation] = []
    for number, steps in enumerate(members):
        inputs: dict[int, list[tuple[int, ...]]] = {}
        for step in steps:
            for source, shape in step.inputs:
                before = source if source < 0 else numbers[classes[source]]
                if before != number:
                    inputs.setdefault(before, []).append(shape)
        operations.append(
            DrawnOperation(
                **_described(steps, modules),
                inputs=inputs,
                path=paths.of(steps[0].call),
                params=sum(params.get(step.number, 0) for step in steps),
                macs=sum(step.macs for step in steps),
                steps=[step.number for step in steps],
            )
        )
    return operations


def _in_order(operations: list[DrawnOperation]) -> list[DrawnOperation] | None:
    """Return the operations, renumbered such that each follows what it takes; None if there is no such order."""
    before = [{source for source in operation.inputs if source >= 0} for operation in operations]
    try:
        order = tuple(TopologicalSorter(dict(enumerate(before))).static_order())
    except CycleError:
        return None
    if all(source < number for number, sources in enumerate(before) for source in sources):
        return operations
    place = {number: at for at, number in enumerate(order)}
    for operation in operations:
        operation.inputs = {place.get(source, source): shapes for source, shapes in operation.inputs.items()}
    return [operations[number] for number in order]


class _Described(TypedDict):
    label: Label
    shapes: list[tuple[int, ...]]
    times: int


def _described(steps: Sequence[Step], modules: Mapping[int, Call]) -> _Described:
    """Return label, shapes and number of calls of an operation."""
    calls: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        calls[id(modules[step.number]) if step.number in modules else -step.number].append(step)
    first = next(iter(calls.values()))
    labels = [label_of(step) for step in first]
    heavy = [label for label in labels if label.kind in HEAVY]
    if len(first) == 1:
        label = labels[0]
    elif len(heavy) == 1:
        label = heavy[0]
    else:
        module = modules[first[0].number].module
        has_weights = next(module.parameters(), None) is not None
        label = Label("other" if has_weights else "light", class_words(type(module).__name__))
    return {"label": label, "shapes": [call[-1].shape for call in calls.values()], "times": len(calls)}


def _whole_modules(steps: Sequence[Step]) -> dict[int, Call]:
    """Return the calls of modules without parts that are drawn as one, by step: with at most one heavy function."""
    heavy: dict[int, int] = defaultdict(int)
    for step in steps:
        heavy[id(step.call)] += label_of(step).kind in HEAVY
    return {
        step.number: step.call
        for step in steps
        if step.call is not None
        and step.call.name
        and next(step.call.module.children(), None) is None
        and heavy[id(step.call)] <= 1
    }


def _parameters(flow: DataFlow) -> dict[int, int]:
    """Return the parameters of each module by the number of the first step in it; shared ones count once."""
    parents = {id(step.call.parent) for step in flow.steps if step.call is not None}
    counted: set[int] = set()
    found: dict[int, int] = defaultdict(int)
    for step in flow.steps:
        call = step.call
        while call is not None:
            leaf = call is step.call and id(call) not in parents
            own = [p for p in call.module.parameters(recurse=leaf) if id(p) not in counted]
            counted.update(map(id, own))
            found[step.number] += sum(p.numel() for p in own)
            call = call.parent
    return found


def _chain(call: Call | None) -> list[Call]:
    chain: list[Call] = []
    while call is not None:
        chain.append(call)
        call = call.parent
    return chain[::-1]


def _classes(flow: DataFlow, modules: Mapping[int, Call], shared: set[int]) -> dict[int, int]:
    """Return a number for each step; steps of one operation have the same.

    Those are the steps of a module without parts, and those of parallel calls of one module with weights, as of the
    heads that all levels of a pyramid share, with what follows them alike.
    """
    classes: dict[int, int] = {}
    known: dict[object, int] = {}
    alike: set[int] = set()  # numbers of steps of shared modules, and of what follows them
    ordinals: dict[int, int] = defaultdict(int)  # steps so far in a call of a shared module
    seen: dict[int, int] = {}  # the number of a module without parts
    for step in flow.steps:
        module = modules.get(step.number)
        if module is not None and id(module) in seen:
            classes[step.number] = seen[id(module)]
            continue
        key: object = step.number
        outer = next((call for call in _chain(step.call) if id(call) in shared), None)
        if outer is not None:
            key = (outer.name, step.function, ordinals[id(outer)])
            ordinals[id(outer)] += 1
        else:
            before = tuple(classes[source] if source >= 0 else source for source, _ in step.inputs)
            if not alike.isdisjoint(before):
                key = (id(step.call), step.function, before)
        number = known.setdefault(key, len(known))
        if not isinstance(key, int):
            alike.add(number)
        classes[step.number] = number
        if module is not None:
            seen[id(module)] = number
    return classes


def _shared(flow: DataFlow) -> set[int]:
    """Return the calls of modules with weights that are called several times, none depending on another."""
    before: list[int] = []  # for each step, the steps that it depends on, as bits
    steps_of: dict[int, int] = defaultdict(int)
    calls: dict[str, dict[int, Call]] = defaultdict(dict)
    for step in flow.steps:
        bits = 1 << step.number
        for source, _ in step.inputs:
            bits |= before[source] if source >= 0 else 0
        before.append(bits)
        for call in _chain(step.call):
            steps_of[id(call)] |= 1 << step.number
            calls[call.name][id(call)] = call
    found: set[int] = set()
    for name, several in calls.items():
        one = next(iter(several.values()))
        if len(several) < 2 or not name or next(one.module.parameters(), None) is None:
            continue
        reach = dict.fromkeys(several, 0)
        for key in several:
            bits, number = steps_of[key], 0
            while bits:
                number = bits.bit_length() - 1
                reach[key] |= before[number]
                bits ^= 1 << number
        if all(not (reach[a] & steps_of[b]) for a in several for b in several if a != b):
            found.update(several)
    return found


class _Paths:
    """The modules around each call, without those that only hold others.

    Args:
        network: whose stages are told from other modules.
    """

    def __init__(self, network: nn.Module) -> None:
        self.modules = dict(network.named_modules())
        self.held = {"backbone", "stages", "backbone.stages", "auxiliary"}
        self.known = isinstance(network, Network | DenseNetwork)
        if isinstance(network, DenseNetwork):
            self.held.add("head")

    def of(self, call: Call | None) -> tuple[EnclosingModule, ...]:
        """Return the modules around a call, and its own unless that has no parts; the network itself is left out."""
        found: list[EnclosingModule] = []
        before = ""
        chain = [one for one in _chain(call) if one.name]
        for one in chain:
            start = len(before) + 1 if before and one.name.startswith(f"{before}.") else 0
            inner = one.name[start:].split(".")
            for depth in range(len(inner)):
                name = one.name[:start] + ".".join(inner[: depth + 1])
                last = depth == len(inner) - 1
                module = self.modules.get(name)
                if not last and name in {container.name for container in found}:
                    continue
                if (
                    module is None
                    or type(module) in (nn.ModuleList, nn.ModuleDict)
                    or (self.known and name in self.held)
                ):
                    continue
                if next(module.children(), None) is None and not (last and one is not chain[-1]):
                    continue
                number = f"#{id(one)}" if last else ""
                found.append(EnclosingModule(f"{name}{number}", name, self._title(name, module, first=not found)))
            before = one.name
        return tuple(found)

    def _title(self, name: str, module: nn.Module, *, first: bool) -> str:
        parent, _, last = name.rpartition(".")
        if self.known and parent in ("stages", "backbone.stages"):
            return f"stage {int(last) + 1}"
        if self.known and parent == "auxiliary":
            return "auxiliary classifier"
        if first and not last.isdigit():
            return last.replace("_", " ")
        words = class_words(type(module).__name__)
        return words or (f"{parent.rpartition('.')[2]}.{last}".strip(".") if first else "")
