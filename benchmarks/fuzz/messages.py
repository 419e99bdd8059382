"""Malformed and forged multipart messages, sent to every socket of a running graph, its control socket included.

Nothing of them may reach a stage: the graph's results stay as they are, its memory stays flat, and each message is
refused and counted.
"""

import asyncio
import contextlib
import multiprocessing
import os
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import zmq

from benchmarks.fuzz.cases import Findings, mutate, random_of
from benchmarks.fuzz.stages import Tick
from benchmarks.procfs import sample, workers
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.message import FOREVER, Codec, Message
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.status import STATUS_SOCKET

KEPT: tuple[int, ...] = ()
CASES_PER_SOCKET = 50
SETTLE_TIMEOUT_S = 60.0  # for the last messages to be counted
MAX_GROWTH_MB = 40.0

STAGES = ("ticks", "relay", "tally")


def fuzz(seed: int, cases: Iterable[int]) -> Findings:
    """Try the cases of these numbers."""
    with TemporaryDirectory(dir="/tmp") as folder:
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = folder  # where the run's sockets will be
        try:
            return asyncio.run(_fuzz(seed, list(cases), Path(folder)))
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before


async def _fuzz(seed: int, cases: list[int], folder: Path) -> Findings:
    found = Findings(tried=len(cases))
    playing = asyncio.Event()
    so_far = RunResult()

    def updated(result: RunResult) -> None:
        nonlocal so_far
        so_far = result
        if "tally" in result.reports and result.reports["tally"].counters.get("right"):
            playing.set()

    running = asyncio.create_task(Supervisor(graph(folder / "stop"), updated=updated).run())
    waiting = asyncio.create_task(playing.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    memory = _memory()
    sent = 0
    if not running.done():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as strangers:  # memory of their own
            sent = await asyncio.get_running_loop().run_in_executor(strangers, _attack, seed, cases, folder)
            until = time.monotonic() + SETTLE_TIMEOUT_S
            while so_far.refused < sent and not running.done() and time.monotonic() < until:
                await asyncio.sleep(0.05)
        found.growth_mb = max((now - memory[name] for name, now in _memory().items() if name in memory), default=0.0)
        (folder / "stop").touch()
    waiting.cancel()
    try:
        result = await running
    except EmopipeError as error:
        found.wrong.append(f"the run ended: {error}")
        return found
    found.refused = result.refused
    counted = result.reports["tally"].counters
    (link,) = result.reports["ticks"].links.values()
    if counted != {"right": link.sent}:
        found.wrong.append(f"of {link.sent} numbers came {counted}")
    if result.refused < sent:  # scribbling may happen to be messages of ZMTP 1.0
        found.wrong.append(f"{sent} messages were sent, and {result.refused} counted")
    if found.growth_mb > MAX_GROWTH_MB:
        found.wrong.append(f"a process has grown by {found.growth_mb:.0f} MB")
    return found


def graph(stop: Path) -> Graph:
    """A graph of three processes that plays until there is a file `stop`."""
    module = "benchmarks.fuzz.stages"
    stages = {
        "ticks": {"use": f"{module}:Ticks", "stop": str(stop)},
        "relay": {"use": f"{module}:Relay", "inputs": {"ticks": "ticks.ticks"}},
        "tally": {"use": f"{module}:Tally", "inputs": {"ticks": "relay.ticks"}},
    }
    return graph_from_table({"pipeline": {"name": "fuzz", "mode": "replay"}, "stages": stages}, "fuzz.toml")


def multipart(random: Random) -> list[bytes]:
    """A message that somebody might send: forged and right in itself, or mutated, or none at all."""
    match random.randrange(10):
        case 0:
            return _forged(random)
        case 1:
            return [random.randbytes(random.randint(0, 300)) for _ in range(random.choice([1, 2, 3, 200]))]
        case 2:
            return [random.choice([b"\x91", b"\x81\xa1a", b"\xdc\x00\x01"]) * random.choice([10, 100_000])]
        case 3:
            return [random.randrange(2**63).to_bytes(8, "little")]  # what an acknowledgement looks like
        case 4:
            return [b""] * random.randint(1, 20)
        case 5:
            return [random.randbytes(8), bytes(1_000_000)]
        case _:
            parts = [mutate(part, random) if random.random() < 0.7 else part for part in _forged(random)]
            random.shuffle(parts)
            return parts


def _forged(random: Random) -> list[bytes]:
    number, stage = random.randrange(1000), random.choice(STAGES)
    tick = Tick(number=number, picture=np.zeros((24, 32, 3), np.uint8))
    messages = [
        Message(kind="data", stream="clock", seq=number, pts=number, type="Tick", payload=tick),
        Message(kind="eos", stream=random.choice(["clock", ""]), watermark=FOREVER),
        Message(kind="watermark", stream="clock", watermark=FOREVER, epoch=random.choice([0, 2**62])),
    ]
    orders = [
        control.Failed(stage, "forged", 2, "", explained=True),
        control.Finished(),
        control.Closed(),
        control.Ready(),
        control.Stop(),
        control.Drain(),
    ]
    if random.random() < 0.6:
        return [bytes(part) for part in Codec(Tick).encode(random.choice(messages))]
    return [control.encode(random.choice(orders))]


_open_sockets: list["zmq.Socket[bytes]"] = []  # of the strangers' process; what is closed may lose what it has sent


def _attack(seed: int, cases: list[int], folder: Path) -> int:
    """Send every case to one of the sockets in `folder`; how many messages went out."""
    # Nothing is read from the one that publishes the run's status.
    targets = sorted(path for path in folder.glob("*/*") if path.is_socket() and path.name != STATUS_SOCKET)
    assert len(targets) == len(STAGES), targets
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    for start in range(0, len(cases), CASES_PER_SOCKET):
        random = random_of(seed, cases[start])
        target = random.choice(targets)
        _scribble(target, random)
        stranger = context.socket(random.choice([zmq.DEALER, zmq.DEALER, zmq.ROUTER]))
        _open_sockets.append(stranger)
        stranger.linger = 0
        to = [b"you"] if stranger.socket_type == zmq.ROUTER else []
        if to:
            stranger.setsockopt(zmq.CONNECT_ROUTING_ID, *to)
        # A name of its own: who comes by another's name takes its place, and what that had sent is lost.
        if name := random.choice([b"", b"relay" + random.randbytes(8), b"x" + random.randbytes(254)]):
            stranger.setsockopt(zmq.ROUTING_ID, name)
        stranger.connect(f"ipc://{target}")
        for case in cases[start : start + CASES_PER_SOCKET]:
            stranger.send_multipart([*to, *multipart(random_of(seed, case))])
    return len(cases)


def _scribble(target: Path, random: Random) -> None:
    """Be somebody who does not speak ZeroMQ at all, or stops in the middle of a word."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(5)
        stranger.connect(str(target))
        with contextlib.suppress(OSError):  # shut in our face
            stranger.sendall(random.choice([random.randbytes(100), mutate(greeting, random), greeting[:11], greeting]))


def _memory() -> dict[str, float]:
    """MB of each process of the run."""
    processes = workers() | {"supervisor": os.getpid()}
    return {name: taken.memory for name, process in processes.items() if (taken := sample(process)) is not None}
