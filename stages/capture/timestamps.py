"""When something live was seen or heard, by what its source says and when it came."""

from emopipe.pipeline.clock import SECOND, SystemClock

MAX_STAMP_ERROR_NS = SECOND  # a device's own time is believed if it is no further from the arrival (ns)
MAX_STEP_NS = 10 * SECOND  # a stream whose times go on further than this at once, or go back, has been cut (ns)
MAX_REORDER_NS = SECOND  # frames come before those that they need: so far back (ns) is none
LATE_NS = 2 * SECOND  # a stream this late (ns) for `LATE_FOR_NS` goes on from now
LATE_FOR_NS = 3 * SECOND
FORGETTING_RATE = 2000  # one in so many: the lateness of the promptest frame is forgotten at 500 ppm


def captured(time: int | None, duration: int, arrived: int, wall: int) -> int:
    """When a device began to see or hear what it gave us (monotonic ns).

    Devices stamp by the monotonic clock (V4L2), the wall clock (ALSA, less what waits in the buffer), or count from
    0; a stamp that agrees with the arrival is the best that can be known. Else it is the arrival less the duration.

    Args:
        time: the device's own (ns), if it gave any.
        duration: of the frame (ns), 0 if unknown.
        arrived: when we got it (monotonic ns).
        wall: wall clock − monotonic clock (ns).
    """
    if time is not None:
        for seen in (time + SystemClock.shift, time - wall):
            if abs(arrived - seen) < MAX_STAMP_ERROR_NS:
                return seen
    return arrived - duration


class ArrivalTimes:
    """Maps the times inside a network stream onto our clock, for video and audio alike.

    What is pushed to us (RTSP, RTMP, UDP, SRT) is as old as its promptest frame is: no more than that is waited for.
    A leak of 500 ppm follows the sender's clock. What we pull (HLS, HTTP) comes in bursts and is played at its own
    pace from its first frame on; `at` then gives times that are still to come.

    Args:
        pushed: which of these it is.
    """

    def __init__(self, pushed: bool) -> None:
        self._pushed = pushed
        self._offset: int | None = None  # our time − the stream's (ns)
        self._checked = 0
        self._last = 0
        self._late_since: int | None = None

    def at(self, time: int, arrived: int) -> tuple[int, bool]:
        """Our time (ns) of what bears `time` (ns) and came at `arrived` (ns), and whether the stream was cut before it.

        The time is never later than `arrived` for what is pushed.
        """
        cut = self._offset is not None and not -MAX_REORDER_NS <= time - self._last <= MAX_STEP_NS
        self._last = time if cut else max(self._last, time)
        if self._offset is None or cut:
            return self._anchor(time, arrived), cut
        late = arrived - time - self._offset
        if self._pushed:
            self._offset += (arrived - self._checked) // FORGETTING_RATE
            self._checked = arrived
            if (late := arrived - time - self._offset) < 0:
                self._offset += late
        if late < LATE_NS:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = arrived
        elif arrived - self._late_since >= LATE_FOR_NS:  # the sender paused, and will not catch up
            return self._anchor(time, arrived), False
        return time + self._offset, False

    def restart(self) -> None:
        """The connection is another one."""
        self._offset = None

    def _anchor(self, time: int, arrived: int) -> int:
        self._offset = arrived - time
        self._checked = arrived
        self._last = time
        self._late_since = None
        return arrived
