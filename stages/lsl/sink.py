"""Results for the Lab Streaming Layer (LSL), so that they share a clock with EEG and what else a lab has."""

import threading
from collections import Counter
from typing import Annotated, ClassVar

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.text import one_line, show
from emopipe.stages.lab.extra import extra_problem
from emopipe.stages.lsl.library import clock_offset, load
from emopipe.stages.lsl.origins import Origins
from emopipe.stages.lsl.outlets import MAX_NAME_CHARS, StreamOutlets, source_id
from emopipe.stages.sinks.records import count_result
from emopipe.stages.types import Emotions

MAX_STREAMS = 32  # at a time; each takes four sockets and six threads of liblsl
LINGER_S = 1.0  # that listeners have to fetch what was sent last


class Lsl(Stage):
    """Sends each result to the Lab Streaming Layer, at the moment that it is about on LSL's clock.

    Two LSL streams for each stream: numbers, one sample for each face of a result and one for a result without a face
    (the channels are named), and the results as JSON, as the stage `jsonl` has them. Live, a sample's time is when the
    picture was taken or the sound was heard; in a replay, when that would have been had the recording begun with the
    run. Everybody on the network can hear them, which `open` has to say. A replay that begins anew after a crash sends
    nothing twice.
    """

    name = "lsl"
    work_ms = 0.3
    resumes = True
    # Whoever records a live run would rather miss a result than hold up the pipeline.
    inputs: ClassVar[dict[str, Port]] = {
        "emotions": Port(Emotions, "the results to send", policy="drop-oldest", size=64)
    }

    class Settings(Stage.Settings, kw_only=True):
        open: Annotated[
            bool, about("true: everybody on the network may hear the results; LSL has no encryption and no allow-list")
        ] = False
        prefix: Annotated[str, about("what the LSL streams' names begin with, before the stream's", min_length=1)] = (
            "emopipe"
        )
        announce: Annotated[
            str | list[str],
            about("streams whose LSL streams are there before the run plays; others come with their first result"),
        ] = ""
        wait: Annotated[
            float, about("longest wait for somebody who listens to each of these; 0: do not wait", unit="s", ge=0)
        ] = 0.0

        @property
        def announced(self) -> list[str]:
            return [self.announce] if isinstance(self.announce, str) and self.announce else list(self.announce)

        def check(self) -> list[Invalid]:
            problems = [Invalid("", missing)] if (missing := extra_problem("pylsl")) else []
            if not self.open:
                everybody = "LSL has no encryption and no allow-list: everybody on the network can hear the results"
                problems.append(Invalid("open", f"{everybody}; where that is right, say open = true"))
            if self.wait and not self.announced:
                problems.append(
                    Invalid("wait", "for whom? name in `announce` the streams that somebody must listen to")
                )
            if len(self.announced) > MAX_STREAMS:
                problems.append(Invalid("announce", f"{len(self.announced)} streams; {MAX_STREAMS} are possible"))
            return problems

        def waits(self) -> float:
            return self.wait * len(self.announced)

    settings: Settings

    async def setup(self) -> None:
        pylsl = await self.compute(load)
        self._pylsl = pylsl
        self._offset = 0 if self.host.mode == "replay" else clock_offset(pylsl.local_clock, self.host.clock.now)
        self._origins = Origins()
        self._outlets: dict[str, StreamOutlets | None] = {}  # by stream; None where there were too many
        self._ended: list[StreamOutlets] = []
        self._counts: Counter[str] = Counter()  # results of each stream, in replay mode
        self.exit.push_async_callback(self._shut)
        for stream in self.settings.announced:
            await self._open(stream)
        for stream in self.settings.announced if self.settings.wait else ():
            outlets = self._outlets[stream]
            assert outlets is not None
            if not await self.compute(outlets.wait, self.settings.wait):
                raise EmopipeError(
                    f"announce: nobody listens to the LSL stream {show(self._name(stream))} after "
                    f"{self.settings.wait:g} s; start the recorder first, or give more time with `wait`"
                )

    async def process(self, port: str, message: Message) -> None:
        count_result(self, message)
        if message.stream not in self._outlets:
            await self._open(message.stream)
        outlets = self._outlets[message.stream]
        if outlets is None or not self._is_new(message.stream):
            return
        origin = self._replay_origin() if self.host.mode == "replay" else self._origins.origin(message)
        outlets.push(message, (origin + message.pts + self._offset) / SECOND)
        self.count("sent", message.stream)

    async def gap(self, port: str, message: Message) -> None:
        count_result(self, message)

    async def flush(self, stream: str) -> None:
        if (outlets := self._outlets.pop(stream, None)) is not None:
            self._ended.append(outlets)
            while len(self._ended) > MAX_STREAMS:
                await self.compute(self._ended.pop(0).close)

    def reset(self, stream: str) -> None:
        self._origins.forget(stream)

    async def _open(self, stream: str) -> None:
        if sum(each is not None for each in self._outlets.values()) >= MAX_STREAMS:
            self._outlets[stream] = None
            self.damaged(f"more than {MAX_STREAMS} streams at a time: {stream} is not sent to LSL")
            return
        source = source_id(self.label, stream)
        name = self._name(stream)
        try:
            self._outlets[stream] = await self.compute(StreamOutlets, self._pylsl, name, source)
        except RuntimeError as error:  # of pylsl
            raise StageFailed(
                f"the LSL stream {show(name)} cannot be made ({one_line(error)}); does lsl_api.cfg leave it ports?"
            ) from None

    def _name(self, stream: str) -> str:
        return f"{self.settings.prefix} {stream}"[:MAX_NAME_CHARS]

    def _is_new(self, stream: str) -> bool:
        """Whether the next result of a stream was not sent by a process before this one."""
        if self.host.mode == "live":  # nothing comes again
            return True
        self._counts[stream] += 1
        if self._counts[stream] <= self.host.journal.get(f"sent {stream}", 0):
            return False
        self.host.journal.set(f"sent {stream}", self._counts[stream])
        return True

    def _replay_origin(self) -> int:
        """When a replay began to play (ns of LSL's clock), also where it has begun anew since."""
        if (known := self.host.journal.get("origin")) is None:
            known = self.host.base_time + clock_offset(self._pylsl.local_clock, self.host.clock.now)
            self.host.journal.set("origin", known)
        return int(known)

    async def _shut(self) -> None:
        await self.compute(self._close)

    def _close(self) -> None:
        left = [*self._ended, *(each for each in self._outlets.values() if each is not None)]
        if any(each.heard for each in left):  # liblsl does not say when all has been fetched
            threading.Event().wait(LINGER_S)
        for each in left:
            each.close()
