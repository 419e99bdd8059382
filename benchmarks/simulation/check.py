"""The simulation beside what was measured on one machine, whose cameras' pictures come together."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.simulation.costs import measured, rate
from benchmarks.simulation.shard import simulate

AGE = "p50 ms"
TOLERANCE = 0.2
UNCERTAIN = 0.05  # of all work: what the same machine's measurements differ by from one to the next


class Comparison(NamedTuple):
    """One figure of a number of cameras.

    Attributes:
        low, high: what the simulation has if all work is a little less or more.
    """

    streams: int
    name: str
    measured: float
    simulated: float
    low: float
    high: float

    @property
    def near(self) -> bool:
        """Whether the simulation is within `TOLERANCE` of what was measured."""
        return abs(self.simulated / self.measured - 1) <= TOLERANCE

    @property
    def inside(self) -> bool:
        """Whether what was measured is between the two."""
        return self.low <= self.measured <= self.high


def compare(found: Mapping[str, Any], seconds: float, cores: int, uncertain: float = UNCERTAIN) -> list[Comparison]:
    """Results a second and p50 of all numbers of cameras that were measured, simulated for `seconds` on so many cores.

    Args:
        uncertain: how much less or more all work is taken to be, for `low` and `high`.

    Raises:
        EmopipeError: what stages cost is not in what was measured.
    """
    costs = measured(found)
    rows = []
    for streams, its in sorted(found["streams"].items(), key=lambda pair: int(pair[0])):
        factors = dict.fromkeys((1.0, 1 - uncertain, 1 + uncertain))
        shards = [
            simulate(
                int(streams),
                cores,
                seconds,
                costs=costs.times(factor)._replace(decode=0.0),
                fps=rate(found, int(streams)),
                together=True,
            )
            for factor in factors
        ]
        for name, key, figures in (
            ("results/s", "results_per_s", [len(shard.ages) / (seconds - 1) for shard in shards]),
            (AGE, "p50_ms", [float(np.percentile(shard.ages, 50)) for shard in shards]),
        ):
            rows.append(Comparison(int(streams), name, its[key], figures[0], min(figures), max(figures)))
    return rows


def check(found: Mapping[str, Any], seconds: float, cores: int) -> int:
    """Print the comparison; 1 if a figure is not within a fifth."""
    rows = compare(found, seconds, cores)
    print("| cameras | | measured | simulated | with 5 % less to 5 % more work | ratio | within 20 % | within bounds |")
    print("|--:|---|--:|--:|--:|--:|---|---|")
    for row in rows:
        between = f"{row.low:.1f} – {row.high:.1f}"
        ratio = row.simulated / row.measured
        near, inside = ("yes" if each else "no" for each in (row.near, row.inside))
        inside = inside if row.name == AGE else ""  # of results a second most are what was offered, and no more
        told = f"| {row.streams} | {row.name} | {row.measured:.1f} | {row.simulated:.1f} | {between} | {ratio:.2f}"
        print(f"{told} | {near} | {inside} |")
    return 0 if all(row.near for row in rows) else 1
