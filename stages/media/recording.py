"""A recording as the pipeline needs it: video and audio on one running time. Needs no runtime:

with Recording("clip.mp4") as recording:
    for item in recording:
        print(item.kind, item.pts, item.payload)
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

import av

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.media.container import CONVERT, best_stream, open_recording, pixel_problem, too_large
from emopipe.stages.media.damage import Damage, DamageList, FFmpegErrors, MediaFault, clock_time
from emopipe.stages.media.decoder import Decoded, Decoder
from emopipe.stages.media.demuxer import Demuxer
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX
from emopipe.stages.media.heif import Grid, read_grid
from emopipe.stages.media.timeline import ns
from emopipe.stages.media.tracks import AudioTrack, Item, Track, VideoTrack

__all__ = ["Item", "Recording"]

AHEAD_EVENTS = 6  # decoded at once, while those before are converted
PEEK_FRAMES = 16  # decoded before it is decided where running time begins
MAX_LAG_NS = 3 * SECOND  # a track further behind the other has a gap
MIN_GAP_NS = SECOND  # what is said of it at once, at least
START_MARGIN_NS = SECOND  # how much earlier than its first packet says a track may begin
SHORTFALL_NS = SECOND  # a recording that ends this much earlier than its header says was cut off
# Their headers say how long they are; others are guessed from the bit rate.
EXACT_HEADERS = frozenset({"mp4", "matroska", "webm", "flv", "wav"})

KINDS: tuple[Literal["video"], Literal["audio"]] = ("video", "audio")


class _Event(NamedTuple):
    """What was decoded of a stream, or what was wrong in its place.

    Attributes:
        stream: its number.
        bounds: by stream, its earliest time still to come (ns of running time), None where that is not known; as it was
            when this was decoded, since decoding may have gone on before this is looked at.
    """

    stream: int
    decoded: Decoded
    bounds: Mapping[int, int | None]


class Recording:
    """Reads one recording of any container and codec that FFmpeg knows, once, from its beginning to its end.

    Iterating gives `Item`s in the order of their times, on one running time that begins with the first frame or sound.
    What is damaged is reported and left out, and reading goes on behind it. Not for use by several threads at once.

    Args:
        path: of the file.
        small_size, luma_size: the longer sides of the images, in pixels; see `stages.media.frames.FrameConverter`.
        block: of audio, in s.
        on_damage: called with each damaged place, once it has been passed.
        on_notice: called with what was mended and should be known, in words.
        wanted: asked with each video frame's pts whether it is worth converting; those that are not are left out.
        ahead: decode in a thread of its own, a little ahead: faster, as long as there are cores with nothing to do.

    Attributes:
        kinds: of the tracks that there are, `video` and `audio` at most.
        is_still: it is a picture, not a recording.
        duration: ns as the header says it, 0 where it does not.
        counters: `frames` and `source-samples` (at their own rate) decoded, `samples` (of 16 kHz) given out,
            `skipped` (frames not wanted), `repaired` (frames whose time was missing or went back), `late` (frames left
            out since their time was given away), `overlapping` (samples of 16 kHz left out since their time was
            taken), `damaged` (errors, those two among them).

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
        on_notice: Callable[[str], None] = lambda text: None,
        wanted: Callable[[int], bool] = lambda pts: True,
        ahead: bool = False,
    ) -> None:
        self.path = Path(path)
        self._ahead = ahead
        self.counters: Counter[str] = Counter()
        self._damage = DamageList(on_damage)
        self._on_notice = on_notice
        self._errors = FFmpegErrors()
        self._origin = 0
        self._items: Generator[Item, None, None] | None = None
        try:
            self._container = open_recording(path, self._errors)
        except MediaError:
            self._errors.close()
            raise
        try:
            self._grid = read_grid(self.path)
            if self._grid is not None and too_large(self._grid.width, self._grid.height):
                raise MediaError(f"{self.path}: {pixel_problem(self._grid.width, self._grid.height)}")
            video, audio = (best_stream(self._container, kind) for kind in KINDS)
            self._tracks: dict[int, Track] = {}  # by the number of their stream
            if video is not None:
                self._tracks[video.index] = VideoTrack(video, self.counters, small_size, luma_size, wanted)
            if audio is not None:
                self._tracks[audio.index] = AudioTrack(audio, self.counters, block)
            if not self._tracks:
                raise MediaError(f"{self.path} has neither video nor audio that can be decoded{self._inside()}")
        except BaseException:
            self.close()
            raise
        self.kinds = [track.kind for track in self._tracks.values()]
        formats = set(self._container.format.name.split(","))
        self._formats = formats
        self._decoders = {
            index: Decoder(track.stream, self._errors, decode_times="avi" in formats and track.kind == "video")
            for index, track in self._tracks.items()
        }
        # Not a method of ours: if it led back to us, all of this would stay until Python's collector runs, which in a
        # long run is seldom.
        jumps = self._jumps = deque[tuple[int, int]]()
        self._demuxer = Demuxer(
            self._container,
            [track.stream for track in self._tracks.values()],
            self._errors,
            lambda at, jump: jumps.append((at, jump)),
        )
        self.is_still = self._container.format.name == "image2" or self._container.format.name.endswith("_pipe")
        self.duration = round((self._container.duration or 0) * SECOND / av.time_base)
        if "matroska" in formats:  # says where it ends, not how long it is
            self.duration -= max(0, min(self.duration, (self._container.start_time or 0) * SECOND // av.time_base))
        self._items = self._read() if self._grid is None else self._read_tiles(self._grid)

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        assert self._items is not None
        return self._items

    def close(self) -> None:
        """Close the file; also possible in the middle of it, and twice."""
        if self._items is not None:
            self._items.close()
        self._container.close()
        self._errors.close()

    @property
    def damage(self) -> list[Damage]:
        """All damaged places so far."""
        return list(self._damage.places)

    @property
    def origin(self) -> int:
        """The container's time (ns) that is 0 of running time; known once the first item has been taken."""
        return self._origin

    # -- opening ---------------------------------------------------------------------------------------------

    def _inside(self) -> str:
        streams = self._container.streams
        found = ", ".join(f"{stream.type}" for stream in streams)
        lacking = any(stream.codec_context is None for stream in streams if stream.type in KINDS)
        why = ", and this FFmpeg has no decoder for that" if lacking else ""
        return f" (it holds: {found or 'nothing'}{why}); {CONVERT}"

    # -- reading ---------------------------------------------------------------------------------------------

    def _read(self) -> Generator[Item, None, None]:
        decoded = self._decode()
        head = []
        missing = set(self._tracks)
        for event in decoded:
            head.append(event)
            if event.decoded.frame is not None:
                missing.discard(event.stream)
            if not missing or len(head) == PEEK_FRAMES:
                break
        self._origin = self._find_origin(head)
        bounds = self._bounds()
        for index in missing:
            # It begins later: say so at once, since somebody may wait for it.
            start = bounds[index]
            if start is not None and start > 2 * START_MARGIN_NS:
                yield from self._convert(self._tracks[index], self._tracks[index].skip_to(start - START_MARGIN_NS))
        for event in head:
            yield from self._handle(event._replace(bounds=bounds))
        head.clear()
        with closing(_ahead(decoded) if self._ahead else decoded) as coming:
            for event in coming:
                yield from self._handle(event)
        for track in self._tracks.values():
            yield from self._convert(track, track.flush())
        self._end()

    def _read_tiles(self, grid: Grid) -> Generator[Item, None, None]:
        """The one picture of a file of tiles."""
        (track,) = (track for track in self._tracks.values() if track.kind == "video")
        streams = [stream for stream in self._container.streams.video if stream.id in grid.tiles]
        tiles = {}
        for index, packet, wrong in Demuxer(self._container, streams, self._errors):
            (stream,) = (stream for stream in streams if stream.index == index)
            if wrong:
                self._damaged(0, wrong)
                continue
            for _, frame, _, said in Decoder(stream, self._errors).decode(packet):
                if said:
                    self._damaged(0, said)
                if frame is not None:
                    tiles[stream.id] = frame.to_ndarray(format="rgb24")
        try:
            frame = av.VideoFrame.from_ndarray(grid.join(tiles), "rgb24")
        except ValueError as error:
            self._damaged(0, f"video: {error}")
        else:
            yield from self._convert(track, track.read(frame, 0))
        self._end()

    def _decode(self) -> Generator[_Event, None, None]:
        """What comes next of each stream."""
        for index, packet, wrong in self._demuxer:
            self._say_jumps()
            if wrong:
                yield _Event(index, Decoded(None, None, None, wrong), self._bounds())
            else:
                for decoded in self._decoders[index].decode(packet):
                    yield _Event(index, decoded, self._bounds())
        self._say_jumps()

    def _find_origin(self, head: list[_Event]) -> int:
        """The container's time (ns) at which running time begins: its first frame; where what came before that is
        damaged or was not seen yet, what its packets and the header say."""
        firsts = []
        for index, track in self._tracks.items():
            mine = [event.decoded for event in head if event.stream == index]
            first = next((decoded.time for decoded in mine if decoded.frame is not None), None)
            times = [first]
            if first is None:
                times += [self._decoders[index].earliest, track.stream.start_time]
            elif mine[0].wrong:
                times.append(track.stream.start_time)
            firsts += [ns(time, track.base) for time in times if time is not None]
        return min(firsts, default=0)

    def _handle(self, event: _Event) -> Iterator[Item]:
        track, decoded = self._tracks[event.stream], event.decoded
        at = None if decoded.time is None else ns(decoded.time, track.base) - self._origin
        if decoded.wrong:
            near = at is not None and abs(at - track.end) <= 10 * SECOND
            self._damaged(at if at is not None and near else track.end, decoded.wrong)
        if decoded.frame is None:
            return
        yield from self._convert(track, track.read(decoded.frame, at, decoded.aspect))
        now = track.end
        self._damage.passed(now)
        for owner, other in self._tracks.items():
            if other.end < now - MAX_LAG_NS - MIN_GAP_NS:
                bound = event.bounds[owner]
                until = now - MAX_LAG_NS if bound is None else min(now - MAX_LAG_NS, bound)
                if until >= other.end + MIN_GAP_NS:
                    yield from self._convert(other, other.skip_to(until))

    def _bounds(self) -> dict[int, int | None]:
        """By stream: no frame to come is earlier (ns of running time); None where that is not known."""
        return {index: self._next_time(index) for index in self._tracks}

    def _next_time(self, index: int) -> int | None:
        times = [self._demuxer.next_time(index)]
        if (held := self._decoders[index].earliest) is not None:
            times.append(ns(held, self._tracks[index].base))
        return min((time - self._origin for time in times if time is not None), default=None)

    def _convert(self, track: Track, items: Iterator[Item]) -> Iterator[Item]:
        """`items`, or what was wrong with them."""
        try:
            yield from items
        except MediaFault as fault:
            self._damaged(track.end, f"{track.kind}: {fault}")
        except (ValueError, av.error.FFmpegError) as error:
            self._damaged(track.end, f"{track.kind}: cannot be converted: {error}")

    def _end(self) -> None:
        self._damage.close()
        got = max(track.end for track in self._tracks.values())
        # A header may state the length or where the end is: segments of a recorder begin late. And how long the last
        # picture stays, no file says: as long as another did.
        shortfall = max(SHORTFALL_NS, *(track.longest for track in self._tracks.values()))
        if got + max(0, self._origin) < self._stated() - shortfall:
            self._damaged(got, f"ends here, but its header says {clock_time(self._stated())}: it was cut off")
            self._damage.close()
        if not self.counters["frames"] and not self.counters["samples"]:
            said = f": {self.damage[0].reason}" if self.damage else ""
            if any(decoder.is_unsupported for decoder in self._decoders.values()):
                raise MediaError(f"{self.path} is of a kind that FFmpeg cannot decode{said}; {CONVERT}")
            raise MediaError(f"{self.path}: nothing in it can be decoded{said}; copy or record it again")

    def _stated(self) -> int:
        """How long the recording is (ns) by what was written when it was made; 0 where that is a guess."""
        if "avi" in self._formats:  # FFmpeg shortens its duration to what is there, but not the number of frames
            return max(track.stated for track in self._tracks.values())
        stated = (self._container.duration or 0) * SECOND // av.time_base
        return stated if self._formats & EXACT_HEADERS else 0

    def _say_jumps(self) -> None:
        while self._jumps:
            at, jump = self._jumps.popleft()
            how = "starts anew" if jump < 0 else f"leaps {clock_time(jump)} ahead"
            place = clock_time(max(0, at - self._origin))
            self._on_notice(f"its clock {how} at {place}: what follows was put at once behind what was before")

    def _damaged(self, at: int, reason: str) -> None:
        self.counters["damaged"] += 1
        self._damage.add(max(0, at), reason)


def _ahead(events: Iterator[_Event]) -> Generator[_Event, None, None]:
    """The same, the next few decoded in a thread of its own while these are used.

    Decoding is two thirds of what a recording costs and converting one, and neither holds Python's lock: so a second
    core takes part.
    """
    with ThreadPoolExecutor(1, "decode") as thread:
        coming = thread.submit(_take, events, 1)  # at first fewer, so that the first is soon there
        while taken := coming.result():
            coming = thread.submit(_take, events, min(2 * len(taken), AHEAD_EVENTS))
            yield from taken


def _take(events: Iterator[_Event], count: int) -> list[_Event]:
    return list(islice(events, count))
