"""Latency as counts in logarithmic buckets: mergeable, of bounded size, and within 5 % of the truth."""

import math
from collections import Counter

import msgspec

PER_OCTAVE = 16  # buckets per doubling: each is 4.4 % wide


class Latency(msgspec.Struct):
    """A distribution of durations; `buckets[b]` counts those of about 2^(b/16) ns."""

    buckets: dict[int, int] = {}

    def add(self, ns: int) -> None:
        bucket = round(math.log2(max(ns, 1)) * PER_OCTAVE)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: "Latency") -> None:
        self.buckets = dict(Counter(self.buckets) + Counter(other.buckets))

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def percentile(self, percent: float) -> float:
        """The duration in ns that `percent` of all do not exceed; nan where there is none."""
        rank = math.ceil(self.count * percent / 100)
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= max(rank, 1):
                return float(2 ** (bucket / PER_OCTAVE))
        return math.nan
