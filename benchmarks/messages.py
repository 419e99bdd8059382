"""Recorded messages: what recording costs, how large an hour is, and that played back it gives the same bytes.

    python -m benchmarks.messages clip.mp4 [--seconds 3600] [--pairs 3]

Replays the recording, looped to about `--seconds`, through the default graph, in turn without and with the outputs of
both inference stages recorded; then plays the recorded messages into fusion, and compares the results, byte for byte.

It is hard on the machine, and its times mean nothing on one that does anything else; the comparison always counts.
"""

import argparse
import asyncio
import filecmp
import os
import platform
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import mcap

from emopipe.graphs.messages import record_table, replay_messages_table
from emopipe.graphs.ready import default_graph
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor

OUTPUTS = ("facial.emotions", "speech.emotions")
DIFFERENT = 1


def play(table: dict[str, Any]) -> RunResult:
    return asyncio.run(Supervisor(graph_from_table(table, default_graph())).run())


def recorded_run(clip: Path, times: int, out: Path, tape: Path | None) -> RunResult:
    """The clip through the default graph, results to `out`, with what was inferred to `tape`."""
    table = replay_table(read_table(default_graph()), [str(clip)], [out], realtime=False)
    table["stages"]["capture"]["loop"] = times
    return play(table if tape is None else record_table(table, OUTPUTS, tape))


def played_run(tape: Path, out: Path) -> RunResult:
    """What was recorded into fusion, results to `out`."""
    table = read_table(default_graph())
    return play(replay_messages_table(table, str(tape), OUTPUTS, [out], realtime=False)[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="of recording, looped (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=3, help="without and with, in turn (default: %(default)s)")
    arguments = parser.parse_args()
    with av.open(str(arguments.clip)) as container:
        duration = (container.duration or av.time_base) / av.time_base
    times = max(1, round(arguments.seconds / duration))
    print(f"{arguments.clip.name}: {duration:.2f} s, {times} times; {os.cpu_count()} cores, {platform.machine()}")
    print(f"Python {platform.python_version()}, mcap {mcap.__version__}\n")
    costs, same = [], True
    with TemporaryDirectory(prefix="emopipe-") as name:
        folder = Path(name)
        tape, plain, results, again = (folder / each for each in ("x.mcap", "plain.jsonl", "r.jsonl", "again.jsonl"))
        for _ in range(arguments.pairs):
            without = recorded_run(arguments.clip, times, plain, None).seconds
            run = recorded_run(arguments.clip, times, results, tape)
            messages, size = run.reports["recording"].counters["recorded"], tape.stat().st_size
            rerun = played_run(tape, again)
            equal = filecmp.cmp(plain, results, shallow=False) and filecmp.cmp(results, again, shallow=False)
            same &= equal
            costs.append(100 * (run.seconds / without - 1))
            print(
                f"  without {without:.2f} s, with {run.seconds:.2f} s ({costs[-1]:+.1f} %); {messages} messages, "
                f"{size / 1e6:.2f} MB; played in {rerun.seconds:.2f} s: {'the same bytes' if equal else 'DIFFERENT'}"
            )
        hour = 3600 / (times * duration) * size / 1e6
    print(f"\nrecording costs {statistics.median(costs):+.1f} % (median); an hour is {hour:.0f} MB")
    return 0 if same else DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
