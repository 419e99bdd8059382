"""Video and audio as an mp4 that plays everywhere: H.264 and AAC, on the stream's own running time.

While it grows, the file is a fragmented mp4: whatever ends the run leaves all but its last moments to be played. When
it is finished it becomes a plain one, which players and browsers can seek in (FFmpeg's `hybrid_fragmented`).
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import StageFailed
from emopipe.stages.media.audio import SAMPLE_NS, SAMPLE_RATE_HZ
from emopipe.stages.mp4.canvas import Canvas, Restorer, even_size, matrix_of
from emopipe.stages.mp4.source_audio import SourceAudio
from emopipe.stages.privacy import FaceHider, Picture
from emopipe.stages.types import VideoFrame

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

Draw = Callable[[Canvas], None]

TIME_BASE = Fraction(1, 90_000)  # s, the unit of the frames' times
FRAGMENT_US = 1_000_000  # µs that a killed run may lose, and what the encoder holds back
GOP_FRAMES = 60  # frames from one place to seek to, to the next
MAX_TRACK_WAIT_NS = SECOND  # ns that a track waits for the other's first word before the file begins without knowing
MAX_VIDEO_WAIT_NS = 10 * SECOND  # ns of audio before it is given up to wait for the first frame's size
DEFAULT_SIZE_PX = (1280, 720)  # the size of a file whose first frame came too late
MAX_AUDIO_LAG_NS = 2 * SECOND  # ns that the audio may lie behind the frames before silence takes its place
REMEDY = "free some space, or choose another path"


class _Placed(NamedTuple):
    """What goes with a frame: how long it is shown (ns), and what is drawn on it."""

    duration: int
    draw: Draw | None


class Mp4Writer:
    """Writes one mp4. Not for use by several threads at once; every method may block for as long as an encoder takes.

    The file's time is running time: the first frame is shown from 0 on, whenever it came, and where there is no audio
    there is silence. A frame of another size than the first is scaled to fit.

    Args:
        path: of the file; an old one is overwritten by the first frame or audio, not before.
        title: of the file, in its metadata.
        has_video, has_audio: whether frames, and blocks of 16 kHz audio, may come.
        source_audio: a recording's own audio, to take instead of blocks.
        longer_side: the longer side of the frames, in pixels; 0: as the first one.
        crf: x264's quality, 0 (best) to 51.
        hider: hides the faces; frames wait there.

    Attributes:
        end: ns of running time up to which there is something.
        has_frames: whether a frame came.
        written: whether there is a file.

    Raises (all methods):
        StageFailed: the file cannot be written, for instance since the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        title: str = "",
        has_video: bool = True,
        has_audio: bool = False,
        source_audio: SourceAudio | None = None,
        longer_side: int = 0,
        crf: int = 23,
        hider: "FaceHider[_Placed] | None" = None,
    ) -> None:
        self.path = path
        self.end = 0
        self._title = title
        self._expects_video, self._expects_audio = has_video, has_audio and source_audio is None
        self._source_audio = source_audio
        self._longer_side, self._crf = longer_side, crf
        self._hider = hider
        self._container: av.container.OutputContainer | None = None
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._restorer: Restorer | None = None
        self._pending: deque[tuple[int, Canvas | NDArray[np.float32], int]] = deque()
        self.has_frames = self.written = False
        self._got_audio = False
        self._last_ticks = -1  # of the newest frame
        self._samples = 0  # of audio written
        self._offset = 0  # ns to add to what comes, since time jumped
        self._jumped = self._finished = False

    # -- what comes ------------------------------------------------------------------------------------------

    def add_frame(self, frame: VideoFrame, pts: int, duration: int, draw: Draw | None = None) -> None:
        """Add a frame, `draw`n upon; pts and duration are ns."""
        picture = Picture(frame, self._place(pts), _Placed(duration, draw))
        self.end = max(self.end, picture.pts + duration)
        for each in [picture] if self._hider is None else self._hider.push(picture):
            self._paint(each)

    def add_audio(self, samples: NDArray[np.float32], pts: int) -> None:
        """Add 16 kHz mono audio in -1..1; what lies on audio that is there already is left out."""
        if not self._expects_audio:
            return
        self._got_audio = True
        self._add(self._place(pts), samples, len(samples) * SAMPLE_NS)

    def jump(self) -> None:
        """The stream's time begins anew: what comes next follows what was."""
        self._jumped = True

    def end_video(self) -> None:
        """None will come (any more)."""
        self._paint_rest()
        self._expects_video = self._expects_video and self.has_frames
        self._begin_if_known(self.end)

    def end_audio(self) -> None:
        """No block will come (any more)."""
        self._expects_audio = self._expects_audio and self._got_audio
        self._begin_if_known(self.end)

    def finish(self, whole: bool = True) -> None:
        """Complete the file; nothing is written where nothing came. `whole`: the stream has ended by itself."""
        if self._finished:
            return
        self._finished = True
        try:
            self._paint_rest()
            if self._container is None and (self._pending or self._source_audio is not None):
                self._expects_video, self._expects_audio = self.has_frames, self._got_audio
                self._begin()
            self._complete(whole)
        finally:
            self._release()

    # -- how it is written -----------------------------------------------------------------------------------

    def _place(self, pts: int) -> int:
        if self._jumped:
            self._offset, self._jumped = self.end - pts, False
        return pts + self._offset

    def _paint(self, picture: "Picture[_Placed]") -> None:
        canvas = self._restorer_for(picture.frame).read(picture.frame)
        if picture.tag.draw is not None:
            picture.tag.draw(canvas)
        self.has_frames = True
        self._add(picture.pts, canvas, picture.tag.duration)

    def _paint_rest(self) -> None:
        for each in self._hider.drain() if self._hider is not None else ():
            self._paint(each)

    def _restorer_for(self, frame: VideoFrame) -> Restorer:
        if self._restorer is None:
            size = even_size(frame, self._longer_side) if self._container is None else DEFAULT_SIZE_PX
            self._restorer = Restorer(*size, matrix_of(frame))
        return self._restorer

    def _add(self, pts: int, payload: Canvas | NDArray[np.float32], duration: int) -> None:
        self.end = max(self.end, pts + duration)
        self._pending.append((pts, payload, duration))
        self._begin_if_known(pts)

    def _begin_if_known(self, now: int) -> None:
        """Write what waits, once it is known which tracks there are: an mp4 cannot get another one later."""
        if self._container is None:
            waited = now - self._pending[0][0] if self._pending else 0
            video_known = self.has_frames or not self._expects_video or waited > MAX_VIDEO_WAIT_NS
            audio_known = self._got_audio or not self._expects_audio or waited > MAX_TRACK_WAIT_NS
            if not (video_known and audio_known) or not self._pending:
                return
            self._begin()
        while self._pending:
            pts, payload, duration = self._pending.popleft()
            if isinstance(payload, Canvas):
                self._write_frame(payload, pts, duration)
            else:
                self._write_audio(payload, pts)

    def _begin(self) -> None:
        options = {"movflags": "hybrid_fragmented", "frag_duration": str(FRAGMENT_US), "flush_packets": "1"}
        with self._writing(0):
            self._container = av.open(f"file:{self.path}", "w", format="mp4", container_options=options)
            if self._title:
                self._container.metadata["title"] = self._title
            if self._expects_video:
                self._video = self._add_video(self._container)
            if self._source_audio is not None:
                self._source_audio.add_to(self._container)
            elif self._expects_audio:
                self._audio = self._container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
                self._audio.bit_rate = 64_000
            self._container.start_encoding()  # now, so that a wrong path is told at once
            self.written = True

    def _add_video(self, container: "av.container.OutputContainer") -> "VideoStream":
        restorer = self._restorer
        options = {"preset": "veryfast", "crf": str(self._crf)}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height = (restorer.width, restorer.height) if restorer is not None else DEFAULT_SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.gop_size = GOP_FRAMES
        stream.codec_context.max_b_frames = 0  # a fragmented mp4 has no way to say that decoding begins before 0
        if restorer is not None:
            stream.codec_context.color_range = 1
            stream.codec_context.colorspace = restorer.tag
        return stream

    def _write_frame(self, canvas: Canvas, pts: int, duration: int) -> None:
        if self._video is None or self._container is None:
            return
        ticks = max(0 if self._last_ticks < 0 else self._last_ticks + 1, round(Fraction(pts, SECOND) / TIME_BASE))
        canvas.frame.pts = 0 if self._last_ticks < 0 else ticks  # the first one is shown from the beginning on
        canvas.frame.time_base = TIME_BASE
        canvas.frame.duration = max(1, round(Fraction(duration, SECOND) / TIME_BASE))
        self._last_ticks = ticks
        with self._writing(pts):
            self._container.mux(self._video.encode(canvas.frame))
            if self._source_audio is not None:
                self._container.mux(list(self._source_audio.until(pts)))
        if self._audio is not None:
            self._fill_silence(pts - MAX_AUDIO_LAG_NS)  # else the file would wait for the audio, and memory grow

    def _write_audio(self, samples: NDArray[np.float32], pts: int) -> None:
        if self._audio is None:
            return
        self._fill_silence(pts)
        self._encode(samples[max(0, self._samples - round(pts / SAMPLE_NS)) :])

    def _fill_silence(self, until: int) -> None:
        """Fill the audio's track up to `until` (ns)."""
        while (missing := round(until / SAMPLE_NS) - self._samples) > 0:
            self._encode(np.zeros(min(missing, SAMPLE_RATE_HZ), np.float32))

    def _encode(self, samples: NDArray[np.float32]) -> None:
        if not len(samples) or self._audio is None or self._container is None:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None], "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ), self._samples
        self._samples += len(samples)
        with self._writing(self._samples * SAMPLE_NS):
            self._mux_audio(self._audio.encode(frame))

    def _mux_audio(self, packets: "list[av.Packet[AudioStream]]") -> None:
        """Without what an encoder sends ahead: the file could not say that this is to be skipped."""
        assert self._container is not None
        self._container.mux([packet for packet in packets if packet.pts is None or packet.pts >= 0])

    def _complete(self, whole: bool) -> None:
        self._begin_if_known(self.end)
        if self._container is None:
            return
        with self._writing(self.end):
            if self._audio is not None:
                self._mux_audio(self._audio.encode(None))
            if self._source_audio is not None:
                self._container.mux(list(self._source_audio.until(None if whole else self.end)))
            if self._video is not None:
                self._container.mux(self._video.encode(None))
            container, self._container = self._container, None
            container.close()
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())  # a run that goes on after a crash does not make it again

    @contextmanager
    def _writing(self, at: int) -> Iterator[None]:
        """FFmpeg's errors as one sentence about the file, of which all before `at` (ns) is there; nothing follows."""
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            self._finished, self._container = True, None
            self._release()
            kept = f"what came before {at / SECOND:.1f} s can be played" if at else "nothing was written"
            raise StageFailed(f"{self.path} cannot be written any more: {error.strerror}; {kept}; {REMEDY}") from None

    def _release(self) -> None:
        self._pending.clear()
        if self._source_audio is not None:
            self._source_audio.close()
