"""What is wrong with a graph as a whole: ports, types, inputs that nothing feeds, cycles, endpoints, latency."""

import math
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, TypeVar

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.parse import Draft, PipelineSettings, Problems
from emopipe.pipeline.graph.spec import OutputRef
from emopipe.pipeline.message import Payload
from emopipe.pipeline.port import Port
from emopipe.pipeline.text import instead, show

T = TypeVar("T")


def check(drafts: Mapping[str, Draft], pipeline: PipelineSettings, problems: Problems) -> list[str]:
    """Add everything that is wrong to `problems`; the stages in topological order.

    A stage whose class is unknown is left out of what would only repeat that.
    """
    for draft in drafts.values():
        _check_inputs(draft, drafts, problems)
        _check_own(draft, problems)
    _check_ends(drafts, problems)
    _check_written(drafts, problems)
    order = _sort(drafts, problems)
    if order and pipeline.mode == "live" and pipeline.latency_budget is not None:
        _check_latency(order, drafts, pipeline.latency_budget, problems)
    return order


def _check_inputs(draft: Draft, drafts: Mapping[str, Draft], problems: Problems) -> None:
    where = ("stages", draft.name, "inputs")
    ports = draft.cls.inputs if draft.cls is not None else None
    for port, sources in draft.inputs.items():
        declared = None
        if ports is not None and (declared := ports.get(port)) is None:
            problems.add((*where, port), f"{draft.use} has no input {show(port)}; {instead(port, ports)}")
        for source in sources:
            _check_link(source, declared, (*where, port), drafts, problems)
    for port, declared in (ports or {}).items():
        # An input whose sources were wrong is in `inputs` too, and that has been said.
        if port not in draft.inputs and not declared.optional:
            problems.add((*where, port), f"nothing feeds this input{_offers(declared.type, drafts, draft.name)}")
    if ports and not draft.inputs and all(port.optional for port in ports.values()):
        problems.add(where, f"nothing feeds {draft.name}; at least one of its inputs is needed: {', '.join(ports)}")


def _check_link(
    source: OutputRef, declared: Port | None, where: tuple[str, ...], drafts: Mapping[str, Draft], problems: Problems
) -> None:
    if source.stage not in drafts:
        problems.add(where, f"no stage {show(source.stage)}; {instead(source.stage, drafts)}")
        return
    sender = drafts[source.stage]
    if sender.cls is None:
        return
    output = sender.cls.outputs.get(source.output)
    if output is None:
        names = f"{source.stage} ({sender.use}) has no output {show(source.output)}"
        problems.add(where, f"{names}; {instead(source.output, sender.cls.outputs)}")
    elif declared is not None and output.type is not declared.type:
        sent, taken = output.type.__name__, declared.type.__name__
        if sent == taken:
            sent, taken = f"{output.type.__module__}.{sent}", f"{declared.type.__module__}.{taken}"
        problem = f"{source} sends {sent}, but this input takes {taken}"
        problems.add(where, problem + _offers(declared.type, drafts, where[1]))


def _offers(payload: type[Payload], drafts: Mapping[str, Draft], receiver: str) -> str:
    offers = [
        f'"{draft.name}.{output}"'
        for draft in drafts.values()
        if draft.cls is not None and draft.name != receiver
        for output, port in draft.cls.outputs.items()
        if port.type is payload
    ]
    if offers:
        return f"; {' or '.join(offers[:3])} would fit"
    return f"; it needs a stage that sends {payload.__name__}"


def _check_own(draft: Draft, problems: Problems) -> None:
    """What the stage itself finds wrong with its settings."""
    found = _ask(draft, "check", lambda found: [(str(key), str(text)) for key, text in found], problems)
    for key, text in found or []:
        problems.add(("stages", draft.name), text, key)


def _check_ends(drafts: Mapping[str, Draft], problems: Problems) -> None:
    known = [draft.cls for draft in drafts.values() if draft.cls is not None]
    if not known or len(known) < len(drafts):
        return
    if all(cls.inputs for cls in known):
        problems.add(("stages",), "no source: every stage waits for another; add one without inputs")
    if all(cls.outputs for cls in known):
        problems.add(("stages",), "no sink: nothing takes the results; add one without outputs, such as console")


def _check_written(drafts: Mapping[str, Draft], problems: Problems) -> None:
    owners: dict[str, str] = {}
    for draft in drafts.values():
        for endpoint in _ask(draft, "writes", _texts, problems) or []:
            owner = owners.setdefault(endpoint, draft.name)
            if owner != draft.name:
                problems.add(("stages", draft.name), f"{show(endpoint)} is taken by {{other}} already", other=owner)
    _check_served(drafts, owners, problems)
    for draft in drafts.values():
        for file in _ask(draft, "reads", _texts, problems) or []:
            if file in owners:
                text = f"would overwrite {show(file)}, which {{other}} reads; choose another path"
                problems.add(("stages", owners[file]), text, other=draft.name)


def _check_served(drafts: Mapping[str, Draft], owners: Mapping[str, str], problems: Problems) -> None:
    """Those who serve an address together must be in one process, and nobody may have it for itself."""
    first: dict[str, Draft] = {}
    for draft in drafts.values():
        for endpoint in _ask(draft, "serves", _texts, problems) or []:
            other = first.setdefault(endpoint, draft)
            if endpoint in owners:
                taken = f"{show(endpoint)} is taken by {{other}} already"
                problems.add(("stages", draft.name), taken, other=owners[endpoint])
            elif other.process != draft.process:
                text = f"{show(endpoint)} is served by {{other}} too, which is in another process"
                same = 'give both the same, such as process = "web"'
                problems.add(("stages", draft.name), f"{text}; {same}", other=other.name)


def _sort(drafts: Mapping[str, Draft], problems: Problems) -> list[str]:
    """The stages in topological order, or none where there are cycles; each is named."""
    names = list(drafts)
    before = {name: _feeders(draft, drafts) for name, draft in drafts.items()}
    cyclic = False
    while True:
        try:
            order = _in_order(before, names)
            return [] if cyclic else order
        except CycleError as error:
            cyclic = True
            cycle: list[str] = error.args[1][:-1]
            first = cycle.index(min(cycle, key=names.index))
            way = [*cycle[first:], *cycle[:first], cycle[first]]
            problems.add(("stages",), f"cycle: {' → '.join(way)}; a stage cannot wait for its own results")
            links = set(pairwise([*cycle, cycle[0]]))
            before = {name: [s for s in sources if (s, name) not in links] for name, sources in before.items()}


def _feeders(draft: Draft, drafts: Mapping[str, Draft]) -> list[str]:
    """The stages that feed one, over links whose both ends exist as far as anybody knows."""
    return [
        source.stage
        for port, sources in draft.inputs.items()
        if draft.cls is None or port in draft.cls.inputs
        for source in sources
        if (sender := drafts.get(source.stage)) and (sender.cls is None or source.output in sender.cls.outputs)
    ]


def _in_order(before: Mapping[str, list[str]], names: list[str]) -> list[str]:
    """Topological, and in the file's order among the stages that are ready at once."""
    sorter = TopologicalSorter(before)
    sorter.prepare()
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=names.index)
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return order


def _check_latency(order: list[str], drafts: Mapping[str, Draft], budget: float, problems: Problems) -> None:
    """Least latencies add up along a path; the budget must cover the longest (as in GStreamer's latency query)."""
    longest: dict[str, tuple[float, list[str]]] = {}
    for name in order:
        own = _ask(drafts[name], "latency", _seconds, problems) or 0.0
        fed_by = [longest[feeder] for feeder in _feeders(drafts[name], drafts)]
        total, way = max(fed_by, key=lambda path: path[0], default=(0.0, []))
        longest[name] = total + own, [*way, f"{name} ({show(round(own, 6))} s)" if own else name]
    total, way = max(longest.values(), key=lambda path: path[0])
    if total > budget:
        needed = f"{show(budget)} s is less than the {show(round(total, 6))} s that the graph takes at the least"
        problems.add(("pipeline", "latency_budget"), f"{needed}: {' → '.join(way)}")


def _seconds(latency: float) -> float:
    if not (math.isfinite(latency) and latency >= 0):
        raise ValueError(f"a latency of {latency} s")
    return float(latency)


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]


def _ask(draft: Draft, hook: str, read: Callable[[Any], T], problems: Problems) -> T | None:
    """What a stage's settings say; a hook that fails is a problem like any other, since anybody may have written it."""
    if draft.settings is None:
        return None
    try:
        return read(getattr(draft.settings, hook)())
    except EmopipeError as error:
        problems.add(("stages", draft.name), str(error))
    except Exception as error:
        problems.add(("stages", draft.name), f"{hook}() of {draft.use} failed: {type(error).__name__}: {error}")
    return None
