"""What a receiver of blocks notes: how long each was under way, and how many came in a second."""

from dataclasses import dataclass, field

from benchmarks.figures import percentiles

WARM_UP_SHARE = 0.1  # of the paced ones


@dataclass
class Arrivals:
    """The blocks of one size: `paced` that were sent now and then, and those that followed as fast as they went."""

    paced: int
    ages: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def take(self, sent: int, now: int) -> None:
        """Note a block; both in ns of the machine's monotonic clock."""
        if len(self.ages) < self.paced:
            self.ages.append(now - sent)
        else:
            self.times.append(now)

    def figures(self) -> dict[str, float]:
        """p50 and p95 of the time under way in ns, and how many came in 1000 s."""
        p50, p95 = percentiles(self.ages[int(WARM_UP_SHARE * len(self.ages)) :], (50, 95))
        spent = (self.times[-1] - self.times[0]) / 1e9
        return {"p50_ns": p50, "p95_ns": p95, "per_ks": 1000 * (len(self.times) - 1) / spent}
