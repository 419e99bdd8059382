"""file-capture: plays recordings, each as a stream of its own."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, ClassVar

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.text import show
from emopipe.stages.capture.pacing import BATCH_ITEMS, FAST_BATCH_ITEMS, ahead, content, due, in_time, send
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.media.container import stream_names, unreadable
from emopipe.stages.media.damage import Damage
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX
from emopipe.stages.media.recording import Item, Recording
from emopipe.stages.types import AudioBlock, VideoFrame

LATE = SECOND // 10  # ns that a picture may be behind its time in live mode


class FileCapture(Source):
    """Reads recordings of any container and codec that FFmpeg knows, one after the other.

    Each is a stream of its own, named after its file. Pictures and sound share one time line, which begins at 0 with
    whichever comes first. Damaged places are reported and left out. In live mode with `realtime`, pictures for which
    the machine is too slow are left out, too, and counted (`skipped`).
    """

    name: ClassVar[str] = "file-capture"
    work_ms: ClassVar[float] = 5.0
    memory_mb: ClassVar[float] = 50.0
    repeatable = True
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "each picture, upright, as luma and as a small RGB image"),
        "audio": Port(AudioBlock, "the sound as 16 kHz mono"),
    }

    class Settings(Source.Settings):
        uri: Annotated[str | list[str], about("file to play, or several, played one after the other")]
        only: Annotated[
            list[str], about("the streams to play of these, each called as its file is without suffix; empty: all")
        ] = []  # noqa: RUF012
        realtime: Annotated[bool, about("play as fast as it was recorded; otherwise as fast as possible")] = False
        loop: Annotated[int, about("how many times each recording is played, on one time line", ge=1)] = 1
        small_size: Annotated[int, about("longer side of the RGB image, at most", unit="px", ge=64)] = SMALL_SIZE_PX
        luma_size: Annotated[int, about("longer side of the luma plane, at most", unit="px", ge=64)] = LUMA_SIZE_PX
        block: Annotated[float, about("length of a block of sound", unit="s", ge=0.01, le=1)] = BLOCK_S

        @property
        def files(self) -> list[str]:
            return list(self.recordings.values())

        @property
        def recordings(self) -> dict[str, str]:
            """The files to play, by the names of their streams."""
            files = [self.uri] if isinstance(self.uri, str) else self.uri
            named = zip(stream_names(files), files, strict=True)
            return {stream: file for stream, file in named if stream in self.only or not self.only}

        def plays(self) -> list[str]:
            return list(self.recordings)

        def part(self, streams: Sequence[str]) -> dict[str, Any]:
            return {"only": list(streams)}

        def check(self) -> list[Invalid]:
            if not self.uri or not all(self.uri):
                return [Invalid("uri", "names no file; expected the path of a recording")]
            if unknown := [stream for stream in self.only if stream not in self.recordings]:
                return [Invalid("only", f"no recording is called so: {', '.join(map(show, unknown))}")]
            problems = [problem for file in self.files if (problem := unreadable(file))]
            if (
                not problems and len(self.files) == 1 and not self.only
            ):  # one of several that cannot be read does not stop the others
                try:
                    Recording(self.files[0]).close()
                except MediaError as error:
                    problems = [str(error)]
            return [Invalid("uri", problem) for problem in problems]

        def reads(self) -> list[str]:
            return [str(Path(file).resolve()) for file in self.files]

        def latency(self) -> float:
            return self.block if self.realtime else 0.0  # sound is sent by the block

    settings: Settings

    async def setup(self) -> None:
        self._began: int | None = None  # the clock's time at the running time 0 of what is played
        self._start = 0  # where this repetition of it begins (ns of running time)
        self._skipped = 0  # frames that came too late, counted in the thread that decodes
        self._counted = 0  # of them, how many are counted by stream

    async def run(self) -> None:
        recordings = self.settings.recordings
        lengths = Lengths(list(recordings.values()), self.settings.loop)
        failed: list[MediaError] = []
        for stream, file in recordings.items():
            if stream in self.host.finished:
                lengths.skip()
                continue
            try:
                await self._play(file, stream, lengths)
            except MediaError as error:
                failed.append(error)
                if len(recordings) > 1 or self.settings.only:  # some of several: others may be played elsewhere
                    self.damaged(str(error))
        if len(failed) == len(recordings) and not self.settings.only:
            raise failed[0] if len(failed) == 1 else MediaError(f"none of the {len(failed)} recordings can be played")

    async def _play(self, file: str, stream: str, lengths: "Lengths") -> None:
        """One recording, as a stream of its own."""

        def report(damage: Damage) -> None:  # called in the thread that decodes
            loop.call_soon_threadsafe(self.damaged, f"{file}: {damage}")

        def notice(text: str) -> None:
            loop.call_soon_threadsafe(self.warn, f"{file}: {text}")

        loop = asyncio.get_running_loop()
        lengths.begin()
        recording = await self.compute(self._open, file, report, notice)
        lengths.opened(recording.duration)
        for output in set(self.outputs).difference(recording.kinds):
            await self.end(stream, output)  # at once: a join would wait for it
        items = self._repeat(recording)
        self._began = None
        try:
            batch = BATCH_ITEMS if self.settings.realtime else FAST_BATCH_ITEMS
            async with aclosing(ahead(self, items, batch)) as coming:
                async for item in coming:
                    seen = None
                    if self.settings.realtime:
                        if self._began is None:
                            self._began = self.host.clock.now() - due(item)
                        seen = self._began + due(item)
                        await self.host.clock.sleep_until(seen)
                    await send(self, item, stream, seen)
                    name, count = content(item)
                    self.stream_counters.add(stream, name, count)  # the totals are those of what was decoded
                    self._count_skipped(stream)
                    lengths.reached(item.pts + item.duration)
                    self.progress(*lengths.progress())
        except MediaError:  # nothing in it decodes
            await self._end(stream, recording)
            raise
        finally:
            await self.compute(items.close)
            await self.compute(recording.close)
        self._count_skipped(stream)
        await self._end(stream, recording)

    def _repeat(self, recording: Recording) -> Generator[Item, None, None]:
        """The recording as often as it is to be played, each time where the last ended."""
        start = end = 0
        for repetition in range(self.settings.loop):
            self._start = start
            again = recording if repetition == 0 else self._open(str(recording.path))
            with again:
                try:
                    for item in in_time(again, again.kinds):
                        yield item._replace(pts=start + item.pts)
                        end = max(end, start + item.pts + item.duration)
                finally:
                    self.counters.update(again.counters)
            start = end

    async def _end(self, stream: str, recording: Recording) -> None:
        for output in recording.kinds:
            await self.end(stream, output)

    def _open(
        self,
        file: str,
        on_damage: Callable[[Damage], None] | None = None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> Recording:
        settings = self.settings
        return Recording(
            file,
            small_size=settings.small_size,
            luma_size=settings.luma_size,
            block=settings.block,
            on_damage=on_damage,
            on_notice=on_notice,
            wanted=self._in_time,
            ahead=not settings.realtime,  # at its own pace nothing waits for it, and others need the cores
        )

    def _in_time(self, pts: int) -> bool:
        """Whether a picture of this repetition is not too late to be looked at; only live there is such a thing."""
        if self.host.mode != "live" or not self.settings.realtime or self._began is None:
            return True
        if self.host.clock.now() - (self._began + self._start + pts) <= LATE:
            return True
        self._skipped += 1
        return False

    def _count_skipped(self, stream: str) -> None:
        if skipped := self._skipped - self._counted:
            self._counted += skipped
            for name in ("frames", "skipped"):
                self.stream_counters.add(stream, name, skipped)


class Lengths:
    """How far all recordings together have been played; those not opened yet are guessed by their size."""

    def __init__(self, files: Sequence[str], loop: int) -> None:
        self._sizes = [Path(file).stat().st_size if Path(file).is_file() else 0 for file in files]
        self._loop = loop
        self._index = -1
        self._before = 0  # ns, of the recordings that are over
        self._stated = 0
        self.current = 0
        """How far this recording has been played, all its repetitions on one line (ns)."""

    def begin(self) -> None:
        """The next recording."""
        self._index += 1
        self._before += self.current
        self._stated = self.current = 0

    def skip(self) -> None:
        """The next recording is not played: it is done already."""
        self.begin()
        self._sizes[self._index] = 0

    def opened(self, duration: int) -> None:
        """It is `duration` ns long by its header, 0 if that does not say."""
        self._stated = duration * self._loop

    def reached(self, end: int) -> None:
        self.current = max(self.current, end)

    def progress(self) -> tuple[int, int]:
        """What is done and what there is (ns), the latter 0 where nobody knows."""
        done = self._before + self.current
        if not self._stated:
            return done, 0
        known = self._before + max(self._stated, self.current)
        seen = sum(self._sizes[: self._index + 1])
        return done, round(known * sum(self._sizes) / seen) if seen else known
