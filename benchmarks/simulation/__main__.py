"""Ten to ten thousand cameras in virtual time: ages, drops, where it breaks, and what a camera costs.

    python -m benchmarks.simulation [--streams 10 100 1000 10000] [--a-shard 2] [--cores 2] [--measured live.json]
    python -m benchmarks.simulation --check live.json

A shard is the whole graph on `--cores`; it is simulated once for each number of cameras that it may have. A fleet has
as many shards as give `--a-shard` cameras each on average, placed evenly, or by the hash of their names. What stages
cost is what `emopipe bench live CLIP --streams 1 2 3 4 6 8 --layout stages --json live.json` measures of one camera,
here (`--measured`) or where the tables of docs/cluster.md were made. `--check` compares the simulation of as many
cameras as were measured with what was: results a second and p50 within a fifth; and says between which p50 the
simulation has the measured one if all work takes 5 % less or more. The exit code is 1 where a figure is not within a
fifth.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.simulation.check import check
from benchmarks.simulation.costs import DEFAULT, measured, read
from benchmarks.simulation.fleet import cost, figures, loads, shards_for
from benchmarks.simulation.shard import Shard, simulate
from emopipe.pipeline.errors import EmopipeError

PLACEMENTS: tuple[Any, ...] = ("even", "hash")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[10, 100, 1_000, 10_000], metavar="N")
    parser.add_argument("--a-shard", type=int, default=2, metavar="N")
    parser.add_argument("--cores", type=int, default=2, metavar="N", help="of a shard, or of what was measured")
    parser.add_argument("--seconds", type=float, default=16.0, metavar="S", help="simulated; the first is not counted")
    parser.add_argument("--core-hour", type=float, default=0.02, metavar="EUROS")
    parser.add_argument("--gpu-hour", type=float, default=2.5, metavar="EUROS")
    parser.add_argument("--measured", type=Path, default=DEFAULT, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        live = read(given.check or given.measured)
        costs = measured(live)
    except EmopipeError as error:
        print(f"emopipe: {error}", file=sys.stderr)
        return error.exit_code
    if given.check is not None:
        return check(live, given.seconds, given.cores)

    @cache
    def simulated(streams: int) -> Shard:
        return simulate(streams, given.cores, given.seconds, costs=costs)

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
    print("\n| a camera | cores | crops, Mbit/s | euros a month |\n|---|--:|--:|--:|")
    for where, gpu_hour in (("networks on the cores", None), ("networks on a GPU", given.gpu_hour)):
        its = cost(costs, given.cores / given.a_shard, given.core_hour, gpu_hour)
        print(f"| {where} | {its.cores:.2f} | {its.crops_mbit if gpu_hour else 0:.2f} | {its.euros:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
