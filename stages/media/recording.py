"""A recording as the pipeline needs it: pictures and sound on one time line. Needs no runtime:

with Recording("clip.mp4") as recording:
    for item in recording:
        print(item.kind, item.pts, item.payload)
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import av
from av.container import InputContainer
from av.stream import Disposition

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.media.damage import Damage, DamageList, FFmpegErrors, clock_time, explain
from emopipe.stages.media.decoder import Event, decode
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX
from emopipe.stages.media.timeline import Timeline, ns
from emopipe.stages.media.tracks import AudioTrack, Item, Track, VideoTrack

__all__ = ["Item", "Recording", "unreadable"]

PEEK = 16  # frames decoded before it is decided where running time begins
LAG = 3 * SECOND  # a track this far behind the other (ns) has a gap; muxers interleave more closely
MARGIN = SECOND  # how much earlier (ns) than its header says a track may begin
SHORTFALL = SECOND  # a recording that ends this much earlier (ns) than its header says was cut off
# Their headers say how long they are; others are guessed from the bit rate.
EXACT_HEADERS = frozenset({"mp4", "matroska", "webm", "flv", "wav"})

_Stream = TypeVar("_Stream", av.VideoStream, av.AudioStream)


def unreadable(path: str | Path) -> str:
    """Why `path` cannot be a recording, and what to do, seen without opening it; empty if it may be one."""
    if "://" in str(path):
        return f"{path} is an address, but a file is expected; download it first"
    path = Path(path)
    if not path.exists():
        return f"{path}: no such file; check the path (relative ones start at {Path.cwd()})"
    if path.is_dir():
        return f"{path} is a directory, but a recording is expected; name the files in it"
    if not os.access(path, os.R_OK):
        return f"{path} may not be read; allow it with: chmod +r {path}"
    if path.is_file() and path.stat().st_size == 0:
        return f"{path} is empty (0 bytes); copy or record it again"
    return ""


class Recording:
    """Reads one recording of any container and codec that FFmpeg knows, once, from its beginning to its end.

    Iterating gives `Item`s in the container's own order, on one running time that begins with the first picture or
    sound. What is damaged is reported and left out, and reading goes on behind it. Not for use by several threads at
    once.

    Args:
        path: of the file.
        small_size, luma_size: the longer sides of the images, in pixels; see `stages.media.frames.FrameConverter`.
        block: of sound, in s.
        on_damage: called with each damaged place, once it has been passed.
        wanted: asked with each picture's pts whether it is worth converting; those that are not are left out.

    Attributes:
        kinds: of the tracks that there are, `video` and `audio` at most.
        duration: ns as the header says it, 0 where it does not.
        damage: all damaged places so far.
        counters: `frames` and `source-samples` (at their own rate) decoded, `samples` (of 16 kHz) given out,
            `skipped` (frames not wanted), `repaired` (frames whose time was missing or went back), `overlapping`
            (samples of 16 kHz left out since their time was taken), `damaged` (errors).

    Raises:
        MediaError: the file cannot be opened, or (when iterating) nothing in it decodes.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        small_size: int = SMALL_SIZE_PX,
        luma_size: int = LUMA_SIZE_PX,
        block: float = BLOCK_S,
        on_damage: Callable[[Damage], None] | None = None,
        wanted: Callable[[int], bool] = lambda pts: True,
    ) -> None:
        self.path = Path(path)
        self.counters: Counter[str] = Counter()
        self._damage = DamageList(on_damage)
        if problem := unreadable(path):
            raise MediaError(problem)
        self._errors = FFmpegErrors()
        self._container = self._open()
        try:
            self._timeline = Timeline()
            pictures, sound = self._choose(self._container.streams.video), self._choose(self._container.streams.audio)
            self._tracks: list[Track] = []
            if pictures is not None:
                track = VideoTrack(pictures, self._timeline, self.counters, small_size, luma_size, wanted)
                self._tracks.append(track)
            if sound is not None:
                self._tracks.append(AudioTrack(sound, self._timeline, self.counters, block))
            if not self._tracks:
                raise MediaError(f"{self.path} has neither pictures nor sound that can be decoded{self._inside()}")
        except BaseException:
            self.close()
            raise
        self.kinds = [track.kind for track in self._tracks]
        self.duration = round((self._container.duration or 0) * SECOND / av.time_base)
        self._items = self._read()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def close(self) -> None:
        """Close the file; also possible in the middle of it, and twice."""
        self._container.close()
        self._errors.close()

    @property
    def damage(self) -> list[Damage]:
        return list(self._damage.places)

    @property
    def origin(self) -> int:
        """The container's time (ns) that is 0 of running time; known once the first item has been taken."""
        return self._timeline.origin

    # -- opening ---------------------------------------------------------------------------------------------

    def _open(self) -> InputContainer:
        with self._errors.capture() as logs:
            try:
                # As an address, so that no name is taken for another protocol; names inside need not be UTF-8.
                container = av.open(f"file:{self.path}", metadata_errors="replace")
                if container.format.name != "tty":  # FFmpeg plays .txt files as ANSI art
                    return container
                container.close()
                problem = "it is a text file"
            except (av.error.FFmpegError, OSError, ValueError) as error:
                problem = explain(error if isinstance(error, av.error.FFmpegError) else None, logs) or str(error)
        self._errors.close()
        if "moov atom not found" in problem and _is_mp4(self.path):
            raise MediaError(
                f"{self.path} was cut off before its index (moov) was written, so nothing in it can be found; "
                "copy or record it again, or rebuild the index with a repair tool"
            )
        raise MediaError(
            f"{self.path} is not a recording that FFmpeg can read ({problem}); "
            "copy it again if it is damaged, or convert it to MP4"
        )

    def _choose(self, streams: tuple[_Stream, ...]) -> _Stream | None:
        """The one a player would take; cover art and thumbnails are no video."""
        still = Disposition.attached_pic | Disposition.timed_thumbnails
        usable = [s for s in streams if s.codec_context is not None and not s.disposition & still]
        if not usable:
            return None
        best = self._container.streams.best(usable[0].type)
        chosen = next((s for s in usable if best is not None and s.index == best.index), usable[0])
        # Its own threads made decoding slower where stages share the cores, and would lose what FFmpeg says.
        chosen.codec_context.thread_count = 1
        return chosen

    def _inside(self) -> str:
        found = ", ".join(f"{stream.type}" for stream in self._container.streams)
        return f" (it holds: {found or 'nothing'}); convert it to MP4 with H.264 and AAC"

    # -- reading ---------------------------------------------------------------------------------------------

    def _read(self) -> Iterator[Item]:
        events = decode(self._container, self._tracks, self._errors)
        head = []
        missing = set(self._tracks)
        for event in events:
            head.append(event)
            if event.frame is not None:
                missing.discard(event.track)
            if not missing or len(head) == PEEK:
                break
        self._timeline.origin = self._origin(head)
        for track in missing:
            # It begins later: say so at once, since somebody may wait for it.
            start = ns(track.stream.start_time or 0, track.base) - self._timeline.origin
            if start > 2 * MARGIN:
                yield from self._convert(track, track.skip_to(start - MARGIN))
        for event in head:
            yield from self._handle(event)
        head.clear()
        for event in events:
            yield from self._handle(event)
        for track in self._tracks:
            for frame, at in track.times.rest():
                yield from self._convert(track, track.read(frame, at))
            yield from self._convert(track, track.flush())
        self._end()

    def _origin(self, head: list[Event]) -> int:
        """The container's time (ns) at which running time begins: its first frame; where what came before that is
        damaged or was not seen yet, what the header says."""
        firsts = []
        for track in self._tracks:
            mine = [event for event in head if event.track is track]
            time = next((event.time for event in mine if event.frame is not None), None)
            if time is None or mine[0].wrong:
                stated = track.stream.start_time
                time = stated if time is None or stated is None else min(time, stated)
            if time is not None:
                firsts.append(ns(time, track.base))
        return min(firsts, default=0)

    def _handle(self, event: Event) -> Iterator[Item]:
        track = event.track
        if event.wrong:
            self._damaged(track.times.near(event.time), event.wrong)
        if event.frame is None:
            return
        for frame, at in track.times.admit(event.frame, event.time):
            yield from self._convert(track, track.read(frame, at))
        now = track.times.end
        self._damage.passed(now)
        for other in self._tracks:
            if other.times.end < now - LAG - SECOND:
                until = now - LAG if other.times.bound is None else min(now - LAG, other.times.bound)
                if until > other.times.end:
                    yield from self._convert(other, other.skip_to(until))

    def _convert(self, track: Track, items: Iterator[Item]) -> Iterator[Item]:
        """`items`, or what was wrong with them."""
        try:
            yield from items
        except (ValueError, av.error.FFmpegError) as error:
            self._damaged(track.times.end, f"{track.kind}: cannot be converted: {error}")

    def _end(self) -> None:
        self._damage.close()
        got = max(track.times.end for track in self._tracks)
        if got < self._stated() - SHORTFALL:
            self._damaged(got, f"ends here, but its header says {clock_time(self._stated())}: it was cut off")
            self._damage.close()
        if not self.counters["frames"] and not self.counters["samples"]:
            said = f": {self.damage[0].reason}" if self.damage else ""
            raise MediaError(f"{self.path}: nothing in it can be decoded{said}; copy or record it again")

    def _stated(self) -> int:
        """How long the recording is (ns) by what was written when it was made; 0 where that is a guess."""
        formats = set(self._container.format.name.split(","))
        if "avi" in formats:  # FFmpeg shortens its duration to what is there, but not the number of pictures
            return max(track.stated for track in self._tracks)
        return self.duration if formats & EXACT_HEADERS else 0

    def _damaged(self, at: int, reason: str) -> None:
        self.counters["damaged"] += 1
        self._damage.add(max(0, at), reason)


def _is_mp4(path: Path) -> bool:
    """Whether it begins with a box of ISO/IEC 14496-12, whatever its name."""
    with path.open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"mdat", b"wide", b"free", b"skip")
