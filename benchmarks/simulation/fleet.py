"""Thousands of cameras: shards that do not know of each other, as many of each load as a placement gives."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from benchmarks.live.camera import FPS
from benchmarks.simulation.costs import Costs
from benchmarks.simulation.shard import Shard

Placement = Literal["even", "hash"]

BROKEN = 0.01  # share of pictures left out, from which on a shard is overloaded
HOURS_A_MONTH = 730
CROP_KB = 2.3
GPU_FACES_S = 12_800  # a second through the stage, one a frame, on an H100 (docs/performance.md)
ON_GPU = ("facial", "speech")


class Figures(NamedTuple):
    """How a fleet does: ages in ms; the share of pictures left out; the share of shards that are overloaded."""

    p50: float
    p95: float
    p99: float
    dropped: float
    overloaded: float


class Cost(NamedTuple):
    """What one camera of 720p30 takes: cores, Mbit/s of crops where its faces are inferred elsewhere, euros a month."""

    cores: float
    crops_mbit: float
    euros: float


def loads(streams: int, shards: int, placement: Placement) -> Counter[int]:
    """How many shards have how many streams."""
    if placement == "even":
        few, more = divmod(streams, shards)
        return +Counter({few + 1: more, few: shards - more})
    digests = (hashlib.sha256(f"camera{number}".encode()).digest() for number in range(streams))
    found = Counter(int.from_bytes(digest[:8], "little") % shards for digest in digests)
    return +(Counter(found.values()) + Counter({0: shards - len(found)}))


def shards_for(streams: int, a_shard: int) -> int:
    """How many shards take so many streams, `a_shard` each on average."""
    return math.ceil(streams / a_shard)


def figures(loads: Mapping[int, int], simulated: Callable[[int], Shard]) -> Figures:
    """The figures of a fleet, from a simulated shard of each load."""
    shards = [(simulated(streams), count) for streams, count in loads.items() if streams]
    ages = np.concatenate([shard.ages for shard, _ in shards])
    weights = np.concatenate([np.full(len(shard.ages), count) for shard, count in shards])
    order = np.argsort(ages)
    below = np.cumsum(weights[order]) / weights.sum()
    p50, p95, p99 = (float(ages[order][np.searchsorted(below, share)]) for share in (0.5, 0.95, 0.99))
    offered = sum(shard.offered * count for shard, count in shards)
    results = sum(len(shard.ages) * count for shard, count in shards)
    overloaded = sum(count for shard, count in shards if shard.dropped > BROKEN) / sum(loads.values())
    return Figures(p50, p95, p99, max(0.0, 1 - results / offered), overloaded)


def cost(costs: Costs, cores: float, core_hour: float, gpu_hour: float | None) -> Cost:
    """What a camera costs.

    Args:
        costs: of a picture.
        cores: that its shard has for it, with what is held ready.
        core_hour, gpu_hour: prices in euros; with None for a GPU the networks run on the cores.
    """
    stages = costs.cpu | {"decode": costs.decode}
    kept = sum(ms for name, ms in stages.items() if gpu_hour is None or name not in ON_GPU)
    own = cores * kept / sum(stages.values())
    gpu = 0.0 if gpu_hour is None else gpu_hour * FPS / GPU_FACES_S
    return Cost(own, CROP_KB * 8 * FPS / 1000, (own * core_hour + gpu) * HOURS_A_MONTH)
