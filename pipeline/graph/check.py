"""What is wrong with a graph as a whole: ports, types, inputs that nothing feeds, cycles, endpoints, latency."""

import math
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.parse import ParsedStage, PipelineSettings, Problems
from emopipe.pipeline.graph.spec import OutputRef, unrepeatable
from emopipe.pipeline.message import Payload
from emopipe.pipeline.port import Port
from emopipe.pipeline.stage import Recorder
from emopipe.pipeline.text import instead, key_path, show

MAX_HINTED_PROBLEMS = 100  # nobody reads that far; and to look for the nearest of thousands of names takes its time
MAX_CYCLES = 20
MAX_CYCLE_STAGES = 20

Senders = dict[type[Payload], list[OutputRef]]  # the outputs that carry each type

T = TypeVar("T")


def check(stages: Mapping[str, ParsedStage], pipeline: PipelineSettings, problems: Problems) -> list[str]:
    """Add everything that is wrong to `problems`; the stages in topological order.

    A stage whose class is unknown is left out of what would only repeat that.
    """
    senders = _senders(stages)
    for stage in stages.values():
        _check_inputs(stage, stages, senders, problems)
        _check_own(stage, problems)
    _check_ends(stages, problems)
    _check_restarts(stages, pipeline, problems)
    _check_written(stages, problems)
    _check_monitoring(pipeline, stages, problems)
    order = _sort(stages, problems)
    if order and pipeline.mode == "live" and pipeline.latency_budget is not None:
        _check_latency(order, stages, pipeline.latency_budget, problems)
    return order


def _senders(stages: Mapping[str, ParsedStage]) -> Senders:
    senders: Senders = {}
    for stage in stages.values():
        for output, port in stage.cls.outputs.items() if stage.cls is not None else ():
            senders.setdefault(port.type, []).append(OutputRef(stage.name, output))
    return senders


def _check_inputs(stage: ParsedStage, stages: Mapping[str, ParsedStage], senders: Senders, problems: Problems) -> None:
    where = ("stages", stage.name, "inputs")
    ports = stage.cls.inputs if stage.cls is not None else None
    for port, sources in stage.inputs.items():
        declared = None
        if ports is not None and (declared := ports.get(port)) is None:
            problems.add((*where, port), f"{stage.use} has no input {show(port)}; {instead(port, ports)}")
        for source in sources:
            _check_link(source, declared, (*where, port), stages, senders, problems)
    for port, declared in (ports or {}).items():
        # An input whose sources were wrong is in `inputs` too, and that has been said.
        if port not in stage.inputs and not declared.optional:
            problems.add((*where, port), f"nothing feeds this input{_offers(declared.type, senders, stage.name)}")
    if stage.cls is not None and issubclass(stage.cls, Recorder) and not ports:
        problems.add(where, f'nothing feeds {stage.name}; name what it keeps, as in inputs.speech = "speech.emotions"')
    if ports and not stage.inputs and all(port.optional for port in ports.values()):
        problems.add(where, f"nothing feeds {stage.name}; at least one of its inputs is needed: {', '.join(ports)}")


def _check_link(
    source: OutputRef,
    declared: Port | None,
    where: tuple[str, ...],
    stages: Mapping[str, ParsedStage],
    senders: Senders,
    problems: Problems,
) -> None:
    if source.stage not in stages:
        hint = f"; {instead(source.stage, stages)}" if len(problems) < MAX_HINTED_PROBLEMS else ""
        problems.add(where, f"no stage {show(source.stage)}{hint}")
        return
    sender = stages[source.stage]
    if sender.cls is None:
        return
    output = sender.cls.outputs.get(source.output)
    if output is None:
        names = f"{source.stage} ({sender.use}) has no output {show(source.output)}"
        problems.add(where, f"{names}; {instead(source.output, sender.cls.outputs)}")
    elif declared is not None and output.type is not declared.type is not Payload:
        sent, taken = output.type.__name__, declared.type.__name__
        if sent == taken:
            sent, taken = f"{output.type.__module__}.{sent}", f"{declared.type.__module__}.{taken}"
        problem = f"{source} sends {sent}, but this input takes {taken}"
        problems.add(where, problem + _offers(declared.type, senders, where[1]))


def _offers(payload: type[Payload], senders: Senders, receiver: str) -> str:
    fitting = (f'"{each}"' for each in senders.get(payload, ()) if each.stage != receiver)
    if offers := list(islice(fitting, 3)):
        return f"; {' or '.join(offers)} would fit"
    return f"; it needs a stage that sends {payload.__name__}"


def _check_own(stage: ParsedStage, problems: Problems) -> None:
    """What the stage itself finds wrong with its settings; one on another host does so there, where its files are."""
    if stage.remote:
        return
    found = ask(stage, "check", lambda found: [(str(key), str(text)) for key, text in found], problems)
    for key, text in found or []:
        problems.add(("stages", stage.name), text, key)
    ask(stage, "waits", _seconds, problems)


def _check_ends(stages: Mapping[str, ParsedStage], problems: Problems) -> None:
    known = [stage.cls for stage in stages.values() if stage.cls is not None]
    if not known or len(known) < len(stages):
        return
    if all(cls.inputs for cls in known):
        problems.add(("stages",), "no source: every stage waits for another; add one without inputs")
    if all(cls.outputs for cls in known):
        problems.add(("stages",), "no sink: nothing takes the results; add one without outputs, such as console")


def _check_restarts(stages: Mapping[str, ParsedStage], pipeline: PipelineSettings, problems: Problems) -> None:
    """A graph that says what is to be restarted must be one that can be."""
    known = [(stage.name, stage.cls) for stage in stages.values() if stage.cls is not None]
    if pipeline.mode == "live" or len(known) < len(stages) or not (reason := unrepeatable(known)):
        return
    for stage in stages.values():
        if stage.restart_given:
            where = ("stages", stage.name, "supervision", "restart")
            problems.add(where, f'{reason}; expected "never", or mode = "live"')


def _check_written(stages: Mapping[str, ParsedStage], problems: Problems) -> None:
    owners: dict[str, str] = {}
    stages = {name: stage for name, stage in stages.items() if not stage.remote}  # another host has files of its own
    for stage in stages.values():
        for endpoint in ask(stage, "writes", texts, problems) or []:
            owner = owners.setdefault(_identity(endpoint), stage.name)
            if owner != stage.name:
                problems.add(("stages", stage.name), f"{show(endpoint)} is taken by {{other}} already", other=owner)
    _check_served(stages, owners, problems)
    told: set[str] = set()  # a sink may name what it links or copies from, which a source reads: that is what to say
    for stage in sorted(stages.values(), key=lambda stage: bool(stage.inputs)):
        files = [file for hook in ("reads", "loads") for file in ask(stage, hook, texts, problems) or []]
        for file in files:
            if (writer := owners.get(_identity(file))) is not None and _identity(file) not in told:
                told.add(_identity(file))
                text = f"would overwrite {show(file)}, which {{other}} reads; choose another path"
                problems.add(("stages", writer), text, other=stage.name)


def _check_monitoring(pipeline: PipelineSettings, stages: Mapping[str, ParsedStage], problems: Problems) -> None:
    """The addresses where the run can be watched; no stage may have the same, nor may both."""
    for key, text in pipeline.monitoring.problems():
        problems.add(("pipeline",), text, key)
    owners = {
        endpoint: key_path("stages", stage.name)
        for stage in stages.values()
        for hook in ("writes", "serves")
        for endpoint in ask(stage, hook, texts, problems) or []
    }
    for key, endpoint in pipeline.monitoring.endpoints.items():
        if (owner := owners.setdefault(endpoint, f"pipeline.{key}")) != f"pipeline.{key}":
            problems.add(("pipeline",), f"{show(endpoint)} is taken by {owner} already", key)


def _identity(endpoint: str) -> str:
    """What is the same for all names of a file (hard links, too); of other endpoints their name."""
    try:
        status = Path(endpoint).stat()
    except (OSError, ValueError):
        return endpoint
    return f"{status.st_dev}:{status.st_ino}"


def _check_served(stages: Mapping[str, ParsedStage], owners: Mapping[str, str], problems: Problems) -> None:
    """Those who serve an address together must be in one process, and nobody may have it for itself."""
    first: dict[str, ParsedStage] = {}
    for stage in stages.values():
        for endpoint in ask(stage, "serves", texts, problems) or []:
            other = first.setdefault(endpoint, stage)
            if _identity(endpoint) in owners:
                taken = f"{show(endpoint)} is taken by {{other}} already"
                problems.add(("stages", stage.name), taken, other=owners[_identity(endpoint)])
            elif other.process != stage.process:
                text = f"{show(endpoint)} is served by {{other}} too, which is in another process"
                same = 'give both the same, such as process = "web"'
                problems.add(("stages", stage.name), f"{text}; {same}", other=other.name)


def _sort(stages: Mapping[str, ParsedStage], problems: Problems) -> list[str]:
    """The stages in topological order, or none where there are cycles; each is named."""
    rank = {name: number for number, name in enumerate(stages)}
    before = {name: _feeders(stage, stages) for name, stage in stages.items()}
    for number in range(MAX_CYCLES):
        try:
            order = _in_order(before, rank)
            return [] if number else order
        except CycleError as error:
            cycle: list[str] = error.args[1][:-1]
            first = cycle.index(min(cycle, key=rank.__getitem__))
            way = [*cycle[first:], *cycle[:first], cycle[first]]
            if len(way) > MAX_CYCLE_STAGES:
                way[MAX_CYCLE_STAGES - 1 : -1] = [f"{len(way) - MAX_CYCLE_STAGES} more"]
            problems.add(("stages",), f"cycle: {' → '.join(way)}; a stage cannot wait for its own results")
            for sender, receiver in pairwise([*cycle, cycle[0]]):
                before[receiver] = [each for each in before[receiver] if each != sender]
    return []


def _feeders(stage: ParsedStage, stages: Mapping[str, ParsedStage]) -> list[str]:
    """The stages that feed one, over links whose both ends exist as far as anybody knows."""
    return [
        source.stage
        for port, sources in stage.inputs.items()
        if stage.cls is None or port in stage.cls.inputs
        for source in sources
        if (sender := stages.get(source.stage)) and (sender.cls is None or source.output in sender.cls.outputs)
    ]


def _in_order(before: Mapping[str, list[str]], rank: Mapping[str, int]) -> list[str]:
    """Topological, and in the file's order among the stages that are ready at once."""
    sorter = TopologicalSorter(before)
    sorter.prepare()
    order: list[str] = []
    ready: list[tuple[int, str]] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, (rank[name], name))
        order.append(heappop(ready)[1])
        sorter.done(order[-1])
    return order


def _check_latency(order: list[str], stages: Mapping[str, ParsedStage], budget: float, problems: Problems) -> None:
    """Least latencies add up along a path; the budget must cover the longest (as in GStreamer's latency query)."""
    longest: dict[str, tuple[float, list[str]]] = {}
    for name in order:
        own = ask(stages[name], "latency", _seconds, problems) or 0.0
        fed_by = [longest[feeder] for feeder in _feeders(stages[name], stages)]
        total, way = max(fed_by, key=lambda path: path[0], default=(0.0, []))
        longest[name] = total + own, [*way, f"{name} ({show(round(own, 6))} s)" if own else name]
    total, way = max(longest.values(), key=lambda path: path[0])
    if total > budget:
        needed = f"{show(budget)} s is less than the {show(round(total, 6))} s that the graph takes at the least"
        problems.add(("pipeline", "latency_budget"), f"{needed}: {' → '.join(way)}")


def _seconds(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{seconds} s")
    return float(seconds)


def texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]


def ask(stage: ParsedStage, hook: str, read: Callable[[Any], T], problems: Problems) -> T | None:
    """What a stage's settings say; a hook that fails is a problem like any other, since anybody may have written it."""
    if stage.settings is None:
        return None
    try:
        return read(getattr(stage.settings, hook)())
    except EmopipeError as error:
        problems.add(("stages", stage.name), str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: it is not the stage that decides when we end
        if isinstance(error, OSError) and isinstance(error.filename, str):  # a path that it was given
            problem = f"{error.filename}: {error.strerror}; check the path, and who may enter its folders"
        else:
            problem = f"{hook}() of {stage.use} failed: {type(error).__name__}: {error}"
        problems.add(("stages", stage.name), problem)
    return None
