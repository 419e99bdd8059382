"""How often something may be done: a token bucket."""

import math
import time
from collections.abc import Callable


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
