"""One hop from stage to stage, by size and by way, beside bare pyzmq.

`in-process`: both stages in one process, `shared memory`: in two on this machine, as they come, so that blocks of 32 KB
or more stay where they are (on Linux), `ipc`: the same with every block copied, `tcp`: the receiver's is a remote
process, on this machine too, encrypted (CURVE); `pyzmq`: blocking PUSH and PULL between two processes, without header,
types, credits or keys. Latency is that of blocks that are sent now and then, throughput that of as many as go.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from benchmarks.chart import Bar
from benchmarks.clips import at_least
from benchmarks.commands import ROOT, environment
from benchmarks.outcome import Outcome, add_output_arguments
from benchmarks.transport import bare
from emopipe.pipeline.access.keys import write_pair
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.runtime.worker import COPY_VARIABLE

HELP = "one hop by size: in-process, shared memory, ipc, tcp, bare pyzmq"
SIZES = {"1 KB": 1_000, "crop": 48 * 48, "VGA": 640 * 480, "720p": 1280 * 720, "1080p": 1920 * 1080}
PAUSE_S = 0.005
WAYS = ("in-process", "shared memory", "ipc", "tcp", "pyzmq ipc", "pyzmq tcp")

Hops = dict[str, dict[str, float]]  # figures by size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "blocks of each size, half of them now and then (default: %(default)s)"
    parser.add_argument("--blocks", type=at_least(20), default=300, metavar="N", help=text)
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    paced, fast = arguments.blocks // 2, arguments.blocks - arguments.blocks // 2
    with TemporaryDirectory(prefix="emopipe-") as folder:
        found = {way: _measured(way, Path(folder), paced, fast) for way in WAYS}
    rows: list[dict[str, object]] = []
    for name, size in SIZES.items():
        for way, hops in found.items():
            figures = hops[str(size)]
            rows.append(
                {
                    "size": name,
                    "way": way,
                    "p50_ms": figures["p50_ns"] / 1e6,
                    "p95_ms": figures["p95_ns"] / 1e6,
                    "per_s": figures["per_ks"] / 1000,
                    "mb_per_s": figures["per_ks"] / 1000 * size / 1e6,
                }
            )
    return Outcome(
        f"A hop: {arguments.blocks} blocks of each size",
        {"hops": rows},
        [("Under way, and how many a second", rows)],
        [Bar(f"{row['size']}, {row['way']}", row["p50_ms"], row["p50_ms"], row["p95_ms"], "ms") for row in rows],  # type: ignore[arg-type]
    )


def _measured(way: str, folder: Path, paced: int, fast: int) -> Hops:
    sizes = list(SIZES.values())
    if way.startswith("pyzmq"):
        endpoint = f"tcp://127.0.0.1:{_free_port()}" if way.endswith("tcp") else f"ipc://{folder}/bare"
        return bare.send(endpoint, sizes, paced, PAUSE_S, fast)
    stages = "benchmarks.transport.stages"
    table: dict[str, Any] = {
        "pipeline": {"layout": "stages"},
        "stages": {
            "blocks": {
                "use": f"{stages}:Blocks",
                "sizes": sizes,
                "paced": paced,
                "pause": PAUSE_S,
                "fast": fast,
            },
            "received": {"use": f"{stages}:Received", "paced": paced, "inputs": {"blocks": "blocks.blocks"}},
        },
    }
    if way == "in-process":
        table["stages"]["received"]["process"] = "blocks"
    copies = patch.dict(os.environ, {COPY_VARIABLE: "1" if way == "ipc" else "0"})
    with copies, _remote(table, folder) if way == "tcp" else nullcontext():
        result = asyncio.run(Supervisor(graph_from_table(table, ROOT / "transport.toml")).run())
    found: Hops = {}
    for counter, value in result.reports["received"].counters.items():
        size, _, name = counter.partition(" ")
        if name:
            found.setdefault(size, {})[name] = float(value)
    return found


def _remote(table: dict[str, Any], folder: Path) -> "subprocess.Popen[bytes]":
    """Let the receiver run in a process that takes part by tcp; the process, which ends with the run."""
    desk, far = write_pair(folder, "desk"), write_pair(folder, "far")
    endpoint = f"tcp://127.0.0.1:{_free_port()}"
    table["pipeline"]["control"] = {"endpoint": endpoint, "secret_key": str(desk.secret_file)}
    table["processes"] = {"received": {"remote": str(far.public_file)}}
    keys = ["--key", str(far.secret_file), "--server-key", str(desk.public_file)]
    command = [sys.executable, "-m", "emopipe", "worker", "--connect", endpoint, *keys, "--once"]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
