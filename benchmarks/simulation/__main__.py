"""Ten to ten thousand cameras in virtual time: ages, drops, where it breaks, and what a camera costs.

    python -m benchmarks.simulation [--streams 10 100 1000 10000] [--a-shard 3] [--cores 2] [--check live.json]

A shard is the whole graph on `--cores`; it is simulated once for each number of cameras that it may have. A fleet has
as many shards as give `--a-shard` cameras each on average, placed evenly, or by the hash of their names. `--check`
takes what `emopipe bench live CLIP --json live.json` has measured here, and compares results a second and p50; kernels
then take as much CPU together as a result took there with the most cameras.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.simulation.fleet import cost, figures, loads, shards_for
from benchmarks.simulation.shard import COSTS_MS, OVERHEAD, Shard, simulate
from emopipe.pipeline.graph.process_layout import cores

TOLERANCE = 0.2
PLACEMENTS: tuple[Any, ...] = ("even", "hash")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[10, 100, 1_000, 10_000], metavar="N")
    parser.add_argument("--a-shard", type=int, default=3, metavar="N")
    parser.add_argument("--cores", type=int, default=2, metavar="N", help="of a shard")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="simulated; the first is not counted")
    parser.add_argument("--core-hour", type=float, default=0.02, metavar="EUROS")
    parser.add_argument("--gpu-hour", type=float, default=2.5, metavar="EUROS")
    parser.add_argument("--check", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    if given.check is not None:
        return _check(json.loads(given.check.read_text()), given.seconds)

    @cache
    def simulated(streams: int) -> Shard:
        return simulate(streams, given.cores, given.seconds)

    print(f"| cameras on {given.cores} cores | results/s | left out | p50 ms | p95 ms | p99 ms | busy |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for streams in range(1, 9):
        shard = simulated(streams)
        p50, p95, p99 = np.percentile(shard.ages, [50, 95, 99])
        rate = len(shard.ages) / (given.seconds - 1)
        ages = f"{p50:.0f} | {p95:.0f} | {p99:.0f}"
        print(f"| {streams} | {rate:.0f} | {shard.dropped:.1%} | {ages} | {min(1.0, shard.busy):.0%} |")
    print(f"\n| cameras | shards of {given.cores} cores | placed | p50 ms | p95 ms | p99 ms | left out | overloaded |")
    print("|--:|--:|---|--:|--:|--:|--:|--:|")
    for streams in given.streams:
        shards = shards_for(streams, given.a_shard)
        for placement in PLACEMENTS:
            found = figures(loads(streams, shards, placement), simulated)
            ages = f"{found.p50:.0f} | {found.p95:.0f} | {found.p99:.0f}"
            print(
                f"| {streams} | {shards} | {placement} | {ages} | {found.dropped:.1%} | {found.overloaded:.1%} |",
                flush=True,
            )
    busy = simulated(given.a_shard).busy
    print("\n| a camera | cores | crops, Mbit/s | euros a month |\n|---|--:|--:|--:|")
    for where, gpu_hour in (("networks on the cores", None), ("networks on a GPU", given.gpu_hour)):
        its = cost(given.core_hour, gpu_hour, busy)
        print(f"| {where} | {its.cores:.2f} | {its.crops_mbit if gpu_hour else 0:.2f} | {its.euros:.2f} |")
    return 0


def _check(measured: dict[str, Any], seconds: float) -> int:
    """Compare with a measurement on this machine, whose pictures come together."""
    print("| cameras | | measured | simulated | ratio |\n|--:|---|--:|--:|--:|")
    wrong = 0
    most = measured["streams"][max(measured["streams"], key=int)]
    own_ms = sum(COSTS_MS.values()) * OVERHEAD
    scale = most.get("cpu_ms_a_result", own_ms) / own_ms
    costs = {kernel: ms * scale for kernel, ms in COSTS_MS.items()}
    for streams, its in measured["streams"].items():
        shard = simulate(int(streams), cores(), seconds, costs=costs, together=True)
        pairs = {
            "results/s": (its["results_per_s"], len(shard.ages) / (seconds - 1)),
            "p50 ms": (its["p50_ms"], float(np.percentile(shard.ages, 50))),
        }
        for name, (real, simulated) in pairs.items():
            ratio = simulated / real
            wrong += not 1 - TOLERANCE <= ratio <= 1 + TOLERANCE
            print(f"| {streams} | {name} | {real:.1f} | {simulated:.1f} | {ratio:.2f} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
