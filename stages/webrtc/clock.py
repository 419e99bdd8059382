"""The clocks of a WebRTC peer: each track's RTP time, and the one clock of ours that all are put on.

RTP timestamps start anywhere, run at the codec's rate and wrap (RFC 3550, section 5.1). How two tracks belong
together is only known from the sender reports: each says which RTP timestamp was at which time of the sender's own
clock (section 6.4.1). How that clock lies to ours nobody says, but no packet comes before it was sent: the packet that
was fastest on its way gives the best guess, and the same one for all tracks, so it cannot part them.
"""

from collections import deque

from emopipe.pipeline.clock import MS, SECOND

FASTEST_WINDOW_NS = 10 * SECOND  # how long a packet counts as the fastest: clocks drift, and routes change
MAX_SLEW = 0.05  # how fast a correction is made, at most: seconds a second
SETTLED_NS = 5 * MS  # what is left of a correction that counts as made
MIN_STEP_NS = 500 * MS  # a correction as large as this is made at once
MAX_REPORT_JUMP_NS = SECOND  # a report that moves the sender's clock by more than this says that it was set
MIN_BREAK_NS = 5 * SECOND  # a packet this far from the others begins a new time line: another camera, perhaps

_WRAP = 1 << 32
_NTP_SECOND = 1 << 32


def ntp(timestamp: int) -> int:
    """A 64-bit NTP timestamp (32.32 fixed point) in ns."""
    return timestamp * SECOND // _NTP_SECOND


class RtpTime:
    """A track's 32-bit RTP timestamps on a line that does not wrap; 0 is the first.

    Args:
        rate: ticks a second.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._origin: int | None = None
        self._last = 0

    def unwrap(self, timestamp: int) -> int:
        """Ticks since the first timestamp, taken as the nearest to the last one; earlier ones may come late."""
        if self._origin is None:
            self._origin = timestamp
        ticks = self.ticks(timestamp)
        self._last = ticks
        return ticks

    def ns(self, timestamp: int) -> int:
        """The time of any timestamp near the last one, such as a report's, in ns since the first."""
        return self.to_ns(self.ticks(timestamp))

    def to_ns(self, ticks: int) -> int:
        return ticks * SECOND // self.rate

    @property
    def begun(self) -> bool:
        """Whether there was a first one."""
        return self._origin is not None

    def ticks(self, timestamp: int) -> int:
        """Ticks from the first timestamp to any one near the last; both may be before it."""
        assert self._origin is not None, "unwrap comes first"
        away = (timestamp - self._origin - self._last) % _WRAP
        return self._last + (away - _WRAP if away >= _WRAP // 2 else away)


class WindowedMinimum:
    """The smallest of the values of the last `FASTEST_WINDOW_NS`, in seconds' steps."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, int]] = deque()  # (second, smallest value in it)

    def add(self, value: int, now: int) -> None:
        second = now // SECOND
        if self._steps and self._steps[-1][0] == second:
            self._steps[-1] = (second, min(value, self._steps[-1][1]))
        else:
            self._steps.append((second, value))
            while self._steps[0][0] <= second - FASTEST_WINDOW_NS // SECOND:
                self._steps.popleft()

    def clear(self) -> None:
        self._steps.clear()

    @property
    def value(self) -> int | None:
        """None before the first."""
        return min((value for _, value in self._steps), default=None)


class _Track:
    def __init__(self) -> None:
        self.arrival = WindowedMinimum()  # our time of arrival less the media's own time
        self.sender: int | None = None  # the sender's time less the media's own time, by the newest report
        self.offset: int | None = None  # what is used: our time less the media's own time
        self.used_at = 0


class PeerClock:
    """Puts the tracks of one peer on our clock; all times are ns.

    A track's media time is its `RtpTime` in ns. Until its first report our time is media time plus the offset of the
    fastest packet. Afterwards it is the sender's time plus the offset of the fastest packet of any track. Where that
    differs, the change is made gradually (`MAX_SLEW`), so that pictures keep their order and sound need not jump.
    """

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._transit = WindowedMinimum()  # our time of arrival less the sender's time of sending, over all tracks

    def arrived(self, track: str, media: int, now: int) -> None:
        """A packet of media time `media` came at `now`."""
        known = self._tracks.setdefault(track, _Track())
        fastest = known.arrival.value
        if fastest is not None and abs(now - media - fastest) > MIN_BREAK_NS:
            known = self._tracks[track] = _Track()
        known.arrival.add(now - media, now)
        if known.sender is not None:
            self._transit.add(now - media - known.sender, now)

    def reported(self, track: str, media: int, sender: int, now: int) -> None:
        """A report says that `media` was at the time `sender` of the sender's clock; the newest one counts."""
        known = self._tracks.setdefault(track, _Track())
        arrival = known.arrival.value
        if arrival is None:  # of a track that has sent nothing
            return
        known.sender = sender - media
        transit, before = arrival - known.sender, self._transit.value
        if before is not None and abs(transit - before) > MAX_REPORT_JUMP_NS:
            # The sender's clock was set: what was known about it before does not hold, nor do the others' reports.
            self._transit.clear()
            for other in self._tracks.values():
                if other is not known:
                    other.sender = None
            before = None
        if before is None:
            self._transit.add(transit, now)

    def at(self, track: str, media: int) -> int:
        """Our time of `media`. Call it with media times that go up; `arrived` must have been called for the track."""
        known = self._tracks[track]
        target = self._target(known)
        if known.offset is None or abs(target - known.offset) > MIN_STEP_NS:
            known.offset = target
        else:
            most = round(MAX_SLEW * min(max(0, media - known.used_at), SECOND))
            known.offset += min(max(target - known.offset, -most), most)
        known.used_at = max(known.used_at, media)
        return media + known.offset

    def settled(self, track: str) -> bool:
        """Whether no correction is under way."""
        known = self._tracks[track]
        return known.offset is not None and abs(self._target(known) - known.offset) < SETTLED_NS

    def synchronised(self, track: str) -> bool:
        """Whether the track's reports are known."""
        known = self._tracks.get(track)
        return known is not None and known.sender is not None

    def _target(self, track: _Track) -> int:
        transit = self._transit.value
        if track.sender is not None and transit is not None:
            return track.sender + transit
        arrival = track.arrival.value
        assert arrival is not None, "no packet of this track has arrived"
        return arrival


class LagDetector:
    """Tells when sound that follows its clock by being resampled has been left behind.

    Resampling makes up for drift, but takes long for a correction: 16 s for 80 ms at half a per cent.

    Args:
        max_rate_change: how much longer or shorter sound can be made.
        tolerance: how far behind it may be (ns).
    """

    def __init__(self, max_rate_change: float, tolerance: int) -> None:
        self._max_rate_change = max_rate_change
        self._tolerance = tolerance
        self._offset: int | None = None  # our time less media time, as far as it has been followed
        self._media = 0

    def left_behind(self, media: int, at: int) -> bool:
        """Whether `at` (our time of `media`, ns) is too far away to be followed; if so, it is the new start."""
        offset = at - media
        if self._offset is None:
            self._offset = offset
        most = round(self._max_rate_change * max(0, media - self._media))
        self._media = media
        self._offset += min(max(offset - self._offset, -most), most)
        if abs(offset - self._offset) <= self._tolerance:
            return False
        self._offset = offset
        return True
