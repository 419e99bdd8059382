"""What a worker's heartbeat says: who has been at the same work for how long."""

from collections.abc import Mapping

BEAT_S = 0.5  # between two heartbeats

AtWork = tuple[int | None, int | None]
"""The message that a stage is at, and the call that its thread is in: numbers, None where there is none."""


class BusyTimes:
    """For how long each stage has been at the same work.

    Counted in heartbeats and not by the clock: while the whole machine sleeps nobody is busy.
    """

    def __init__(self) -> None:
        self._before: dict[str, AtWork] = {}
        self._beats: dict[str, int] = {}

    def beat(self, at_work: Mapping[str, AtWork]) -> dict[str, float]:
        """The times (s) by stage, of those that are at the same work as at the last heartbeat."""
        for name, now in at_work.items():
            before = self._before.get(name, (None, None))
            same = any(each is not None and each == then for each, then in zip(now, before, strict=True))
            self._beats[name] = self._beats.get(name, 0) + 1 if same else 0
        self._before = dict(at_work)
        return {name: count * BEAT_S for name, count in self._beats.items() if count}
