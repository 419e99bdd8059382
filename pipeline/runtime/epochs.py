"""The epochs of a source's streams: when a stream's time line begins anew, and which of its outputs had ended."""

from collections.abc import Iterable

import msgspec

from emopipe.pipeline.counters import REMEMBERED


class _End(msgspec.Struct):
    epoch: int  # in which it was last said
    bound: int  # how far the output had come (ns)


class _Open(msgspec.Struct):
    epoch: int
    bound: int  # ns; beginning below it is a jump back in time
    ends: dict[str, _End] = {}  # of the outputs that have ended


class SourceEpochs:
    """The epoch that each stream of a source is in.

    A stream is over when it has ended on every output. What comes back goes on in its epoch, or in the next one if it
    begins before it had ended: whoever joins the outputs may not have come to that end on all of them, and can tell
    the old from the new only by the epoch. Of streams that are over the last few are remembered.
    """

    def __init__(self, outputs: Iterable[str]) -> None:
        self._outputs = list(outputs)
        self._open: dict[str, _Open] = {}
        self._over: dict[str, tuple[int, int]] = {}  # epoch and bound, in the order they ended

    def epoch(self, stream: str) -> int:
        return self._open[stream].epoch if stream in self._open else self._over.get(stream, (0, 0))[0]

    def jump(self, stream: str) -> None:
        """Begin a new epoch."""
        line = self._line(stream)
        line.epoch += 1
        line.bound = 0

    def emit(self, stream: str, output: str, pts: int) -> list[str]:
        """Something is about to be emitted; gives the outputs whose end must be said again, for it is a new epoch."""
        line = self._line(stream)
        end = line.ends.pop(output, None)
        if pts < line.bound or (end is not None and end.epoch == line.epoch and pts < end.bound):
            line.epoch += 1
        line.bound = 0
        again = [name for name, end in line.ends.items() if end.epoch < line.epoch]
        for name in again:
            line.ends[name].epoch = line.epoch
        return again

    def end(self, stream: str, output: str, bound: int) -> bool:
        """The stream has ended on one output, having come to `bound` (ns); whether it is over now."""
        line = self._line(stream)
        line.ends[output] = _End(line.epoch, bound)
        if len(line.ends) < len(self._outputs):
            return False
        del self._open[stream]
        self._over[stream] = line.epoch, max([line.bound, *(end.bound for end in line.ends.values())])
        while len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]
        return True

    def _line(self, stream: str) -> _Open:
        if stream not in self._open:
            epoch, bound = self._over.pop(stream, (0, 0))
            self._open[stream] = _Open(epoch, bound)
        return self._open[stream]
