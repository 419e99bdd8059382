"""How often something may be done, by all and by each: token buckets."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_NETWORKS = 1024  # whose newest requests are remembered


class RateLimit:
    """Lets `rate` through each second on average, and `burst` at once after a pause (a token bucket).

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, rate: float, burst: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = max(1.0, rate if burst is None else burst)
        self._clock = clock
        self._left = self._burst
        self._at = clock()

    def take(self) -> bool:
        """Whether one more may pass now; what may not is not counted against what comes later."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    @property
    def retry_after(self) -> int:
        """Whole seconds after which one may pass, for HTTP's Retry-After."""
        return max(1, math.ceil((1.0 - self._left) / self._rate))


class FairRateLimit:
    """A `RateLimit` of which no network gets more than half, so that one caller cannot use up what others need."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._all = RateLimit(rate, burst, clock)
        self._each: OrderedDict[str, RateLimit] = OrderedDict()  # by network, the one that asked last at the end

    def take(self, network: str | None) -> bool:
        """Whether one more may pass now; None is a caller whose network is unknown, or this machine."""
        if network is not None:
            own = self._each.setdefault(network, RateLimit(self._rate / 2, self._burst / 2, self._clock))
            self._each.move_to_end(network)
            if len(self._each) > MAX_NETWORKS:
                self._each.popitem(last=False)
            if not own.take():
                return False
        return self._all.take()

    @property
    def retry_after(self) -> int:
        """Whole seconds after which one may pass, for HTTP's Retry-After."""
        return self._all.retry_after
