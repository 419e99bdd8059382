"""Which stages share a process, where a graph leaves that to the machine (`layout = "auto"`).

A picture that leaves its process is copied and read again, so links that carry pictures stay inside one, as long as
the work still spreads over the cores. Both are weighed by what stages and hops take (ms of CPU a picture), measured on
one machine: only their proportions count, and what is chosen changes no result. The same graph on as many cores gets
the same processes.

Begun with a process a stage, the two processes that gain most are joined, again and again (agglomerative clustering),
until that gains nothing any more.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

from emopipe.pipeline.graph.spec import Graph, OutputRef
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.text import count

LARGE_HOP_MS, SMALL_HOP_MS = 1.2, 0.25  # CPU of a message that changes processes: a 720p picture, and any other
PROCESS_CORES = 1.5  # what the threads of one process use at most, since Python's lock is held by one of them
CPU_PRICE = 0.6  # ms a picture that the slowest process may lose, to save a ms of CPU


class Placed(Protocol):
    """A stage as far as its place is concerned: what it takes, what feeds it, and in which process it is."""

    @property
    def name(self) -> str: ...
    @property
    def cls(self) -> type[Stage] | None: ...
    @property
    def inputs(self) -> Mapping[str, Sequence[OutputRef]]: ...
    @property
    def process(self) -> str: ...


@dataclass
class Group:
    """Stages that are in one process, or are to be.

    Attributes:
        work: theirs, in ms of CPU a picture.
        longest: the work of the one that takes most, which no second core makes faster.
        fixed: whether the graph has a say in it, so that nobody joins.
    """

    stages: list[str]
    work: float
    longest: float
    fixed: bool = False
    hops: dict[int, float] = field(default_factory=dict)  # ms of CPU of the hops from and to each other group


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_processes(stages: Mapping[str, Placed], fixed: set[str], cores: int) -> dict[str, list[str]]:
    """The stages of each process, by its name, which is that of the first group of stages in it.

    Args:
        stages: in the graph's order; those that share a process already stay together.
        fixed: the processes that are to stay as they are.
        cores: how many there are for all of them.
    """
    groups = _groups(stages, fixed)
    while joined := _best(groups, cores):
        _join(groups, *joined)
    return {stages[group.stages[0]].process: group.stages for group in groups.values()}


def explain(graph: Graph, cores: int) -> list[str]:
    """What each process of a graph holds, and how much of the work that is, a line each."""
    groups = list(_groups(graph.stages, set()).values())
    total = sum(group.work for group in groups)
    lines = [f"layout for {count(cores, 'core')}: {count(len(groups), 'process')}"]
    for process, group in zip(graph.processes, groups, strict=True):
        inside = [
            f"{feed}"
            for name in group.stages
            for feed in _large_feeds(graph.stages[name], graph.stages)
            if feed.stage in group.stages
        ]
        kept = f"; inside stays {' and '.join(dict.fromkeys(inside))}" if inside else ""
        share = f"{100 * group.work / total:.0f} % of the work"
        lines.append(f"  {process}: {', '.join(group.stages)} ({share}{kept})")
    return lines


def _groups(stages: Mapping[str, Placed], fixed: set[str]) -> dict[int, Group]:
    """A group for each process that the stages name, with the hops between them."""
    streams = _streams(stages)
    groups: dict[str, Group] = {}
    numbers: dict[str, int] = {}
    for name, stage in stages.items():
        work = _work(stage) * streams[name]
        numbers.setdefault(stage.process, len(numbers))
        group = groups.setdefault(stage.process, Group([], 0.0, 0.0, stage.process in fixed))
        group.stages.append(name)
        group.work += work
        group.longest = max(group.longest, work)
    for stage in stages.values():
        large = list(_large_feeds(stage, stages))
        for feed in (feed for feeds in stage.inputs.values() for feed in feeds if feed.stage in stages):
            ends = stages[feed.stage].process, stage.process
            cost = (LARGE_HOP_MS if feed in large else SMALL_HOP_MS) * streams[feed.stage]
            for one, other in (ends, ends[::-1]) if ends[0] != ends[1] else ():
                hops = groups[one].hops
                hops[numbers[other]] = hops.get(numbers[other], 0.0) + cost
    return {numbers[process]: group for process, group in groups.items()}


def _streams(stages: Mapping[str, Placed]) -> dict[str, int]:
    """How many sources each stage hears of; of a cycle, which is refused later on, whatever is known."""
    sources = {name: {name} if not any(stage.inputs.values()) else set() for name, stage in stages.items()}
    changed = True
    while changed:
        changed = False
        for name, stage in stages.items():
            found = {each for feeds in stage.inputs.values() for feed in feeds for each in sources.get(feed.stage, ())}
            if not found <= sources[name]:
                sources[name] |= found
                changed = True
    return {name: max(1, len(found)) for name, found in sources.items()}


def _work(stage: Placed) -> float:
    return stage.cls.work_ms if stage.cls is not None else Stage.work_ms


def _large_feeds(stage: Placed, stages: Mapping[str, Placed]) -> Iterator[OutputRef]:
    """The outputs that bring the stage pictures."""
    for feed in (feed for feeds in stage.inputs.values() for feed in feeds):
        sender = stages[feed.stage].cls if feed.stage in stages else None
        if sender is not None and feed.output in sender.outputs and sender.outputs[feed.output].type.large:
            yield feed


def _best(groups: Mapping[int, Group], cores: int) -> tuple[int, int] | None:
    """The two groups that had best be one; None where all had better stay as they are."""
    cost, _ = _cost(groups, cores)
    free = [number for number, group in groups.items() if not group.fixed]
    lightest = sorted(sorted(free, key=lambda number: groups[number].work)[:2])
    pairs = [pair for pair in combinations(free, 2) if pair[1] in groups[pair[0]].hops or list(pair) == lightest]
    found = [(*_cost(groups, cores, pair), pair) for pair in pairs]
    least, _, pair = min(found, default=(cost + 1, 0.0, (0, 0)))
    return pair if least <= cost else None


def _cost(groups: Mapping[int, Group], cores: int, joined: tuple[int, int] | None = None) -> tuple[float, float]:
    """What these groups cost, `joined` as one: the time that a picture takes them, with the price of the hops.

    Also the work of the process that has most: of two ways that cost the same the more even one is better.
    """
    loads = {number: (group.work, sum(group.hops.values()) / 2, group.longest) for number, group in groups.items()}
    if joined is not None:
        first, second = (loads.pop(number) for number in joined)
        saved = groups[joined[0]].hops.get(joined[1], 0.0)
        loads[joined[0]] = (first[0] + second[0], first[1] + second[1] - saved, max(first[2], second[2]))
    hops = sum(hops for _, hops, _ in loads.values())
    all_cores = (sum(work for work, _, _ in loads.values()) + hops) / cores
    one_process = max(((work + hops) / PROCESS_CORES for work, hops, _ in loads.values()), default=0.0)
    one_stage = max((longest for _, _, longest in loads.values()), default=0.0)
    slowest = max(all_cores, one_process, one_stage)
    return round(slowest + CPU_PRICE * hops, 6), round(one_process, 6)


def _join(groups: dict[int, Group], first: int, second: int) -> None:
    """Put the second group into the first."""
    one, other = groups[first], groups.pop(second)
    one.stages += other.stages
    one.work += other.work
    one.longest = max(one.longest, other.longest)
    for number, cost in other.hops.items():
        if number != first:
            one.hops[number] = one.hops.get(number, 0.0) + cost
            hops = groups[number].hops
            hops[first] = hops.get(first, 0.0) + hops.pop(second)
    one.hops.pop(second, None)
