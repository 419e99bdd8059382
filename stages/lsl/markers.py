"""lsl-markers: what other programs say by LSL that happened, such as stimuli of an experiment, on our time line."""

import contextlib
import math
from typing import Annotated, Any, ClassVar

import msgspec

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.text import listing, show
from emopipe.stages.lab.extra import extra_problem
from emopipe.stages.lsl.library import clock_offset, load
from emopipe.stages.types import Marker

POLL_S = 0.1
OTHERS_S = 1.0  # that others of a name have to answer
MANY = 1000
MAX_BYTES = 4096  # of a marker; a longer one is none


class LslMarkers(Source):
    """Takes the markers of one LSL stream, each at the moment that its sender gave it, on the time line of the run.

    LSL tells how the sender's clock and ours differ, also between machines. A marker of before the run, or from a
    sample of more than 4,096 bytes, is dropped and counted. It ends with the run, or with its sender where `recover` is
    false.
    """

    name = "lsl-markers"
    outputs: ClassVar[dict[str, Port]] = {"markers": Port(Marker, "what happened, and when")}

    class Settings(Source.Settings, kw_only=True):
        marker_stream: Annotated[str, about("the LSL stream's name", min_length=1)]
        source_id: Annotated[str, about("its source_id, where several have the name")] = ""
        stream: Annotated[
            str, about("the stream whose markers they are: that of camera and microphone", min_length=1)
        ] = "webcam"
        timeout: Annotated[float, about("longest search for it", unit="s", gt=0, le=3600)] = 5.0
        recover: Annotated[bool, about("wait for a sender that is gone; otherwise the markers end with it")] = True

        def check(self) -> list[Invalid]:
            return [Invalid("", missing)] if (missing := extra_problem("pylsl")) else []

        def plays(self) -> list[str]:
            return [self.stream]

        def waits(self) -> float:
            return 3 * self.timeout + OTHERS_S

    settings: Settings

    async def setup(self) -> None:
        if self.host.mode != "live":
            raise EmopipeError(f'{self.label} takes what is sent to it as it comes: set mode = "live" in [pipeline]')
        self._pylsl = await self.compute(load)
        self._offset = clock_offset(self._pylsl.local_clock, self.host.clock.now)
        self._newest = 0
        self._inlet = await self.compute(self._open)
        self.exit.push_async_callback(self.compute, self._close)

    async def run(self) -> None:
        while (pulled := await self.compute(self._pull)) is not None:
            for values, stamp, correction in pulled:
                await self._take(values, stamp, correction)
        await self.end(self.settings.stream)

    async def _take(self, values: list[Any], stamp: float, correction: float) -> None:
        stream = self.settings.stream
        texts = [_text(value) for value in values]
        if sum(map(len, texts)) > MAX_BYTES or not math.isfinite(stamp):
            self.count("refused", stream)
            return
        value = texts[0] if len(texts) == 1 else msgspec.json.encode(texts).decode()
        seen = round((stamp + correction) * SECOND) - self._offset
        pts = self.running_time(seen)
        if pts < 0:
            self.count("before", stream)
            return
        if pts < self._newest:  # its sender has dated it back; a time line goes on
            self.count("dated_back", stream)
            pts = self._newest
        self._newest = pts
        self.count("markers", stream)
        marker = Marker(value=value, sender=self.settings.marker_stream, sent=stamp)
        await self.emit("markers", marker, stream=stream, pts=pts, duration=0, watermark=pts, seen=seen)

    def _open(self) -> Any:
        """The stream's inlet.

        Raises:
            EmopipeError: it is not there, or several are.
        """
        pylsl, settings = self._pylsl, self.settings
        found = pylsl.resolve_byprop("name", settings.marker_stream, timeout=settings.timeout)
        if found:  # the first to answer; there may be others
            found = pylsl.resolve_byprop("name", settings.marker_stream, minimum=MANY, timeout=OTHERS_S) or found
        chosen = [each for each in found if settings.source_id in ("", each.source_id())]
        wanted = f"marker_stream: the LSL stream {show(settings.marker_stream)}"
        if not chosen:
            if found:
                ids = listing([each.source_id() for each in found])
                raise EmopipeError(f"{wanted} has not the source_id {show(settings.source_id)}; there is {ids}")
            others = sorted({each.name() for each in pylsl.resolve_streams(OTHERS_S)})
            there = f"there is {listing(others)}" if others else "there is no LSL stream at all"
            raise EmopipeError(
                f"{wanted} was not found within {settings.timeout:g} s; {there}; start its sender first, or give more "
                "time with `timeout`"
            )
        if len(chosen) > 1:
            where = listing([f"{each.source_id()} on {each.hostname()}" for each in chosen])
            raise EmopipeError(f"{wanted} is there {len(chosen)} times: {where}; name one by `source_id`")
        inlet = pylsl.StreamInlet(chosen[0], recover=settings.recover, as_numpy=True)
        try:
            inlet.open_stream(settings.timeout)
            self._correction = inlet.time_correction(settings.timeout)  # the first takes a while
        except (TimeoutError, pylsl.util.LostError, RuntimeError) as error:
            said = type(error).__name__
            raise EmopipeError(f"{wanted} cannot be opened ({said}); is a firewall between, or is it gone?") from None
        return inlet

    def _pull(self) -> list[tuple[list[Any], float, float]] | None:
        """What has come: values, the sender's stamp (s), and what to add to it; None once the sender is gone."""
        try:
            values, stamp = self._inlet.pull_sample(POLL_S)
            if stamp is None:
                return []
            with contextlib.suppress(TimeoutError):  # the one before still holds
                self._correction = self._inlet.time_correction(POLL_S)
            return [(list(values), stamp, self._correction)]
        except self._pylsl.util.LostError:
            return None

    def _close(self) -> None:
        del self._inlet  # waits for liblsl's threads


def _text(value: Any) -> str:
    """A channel's value as text: what LSL carries as text, or a number."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value.item())  # of NumPy
