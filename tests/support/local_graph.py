"""Stages joined by links inside this process, in live mode, without a supervisor: quick, and open to inspection."""

import asyncio
import gc
import re
import types
from collections.abc import Iterable, Mapping, Sequence

from emopipe.pipeline.clock import SystemClock
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.runtime.source_host import host_of
from emopipe.pipeline.runtime.transport import LocalInlet, LocalOutlet
from emopipe.pipeline.stage import Stage


async def play_together(
    stages: Iterable[Stage], links: Mapping[str, str], block: Sequence[str] = ()
) -> dict[str, StageHost]:
    """Play stages to their end, joined as `links` say (`stage.port` ← `stage.output`); the hosts by name, closed.

    The links to the ports in `block` make their senders wait, whatever the port's own policy.
    """
    clock = SystemClock()
    hosts = {stage.label: host_of(stage, mode="live", clock=clock) for stage in stages}
    for target, source in links.items():
        (to, port), (of, output) = target.split("."), source.split(".")
        queue = Queue.of(hosts[to].stage.inputs[port], "replay" if target in block else "live")
        link = LinkId(of, output, to, port)
        inlet = LocalInlet(link, hosts[to].inbox, clock, queue.window)
        hosts[to].inlets.setdefault(port, []).append(inlet)
        hosts[of].outlets[output][link] = LocalOutlet(queue, clock, inlet)
    try:
        for host in hosts.values():
            await host.setup()
        async with asyncio.TaskGroup() as tasks:
            for host in hosts.values():
                tasks.create_task(host.play(clock.now()))
    finally:
        for host in hosts.values():
            await host.close()
    return hosts


def names_held(root: object, pattern: str) -> set[str]:
    """All strings like `pattern` that can be reached from an object, through whatever it holds."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(
            thing, type | types.ModuleType | types.FunctionType | asyncio.AbstractEventLoop
        ):
            continue
        seen.add(id(thing))
        if isinstance(thing, str):
            if re.fullmatch(pattern, thing):
                found.add(thing)
            continue
        waiting += gc.get_referents(thing)
    return found
