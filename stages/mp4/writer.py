"""Pictures and sound as an mp4 that plays everywhere: H.264 and AAC, on the stream's own running time.

While it grows, the file is a fragmented mp4: whatever ends the run leaves all but its last moments to be played. When
it is finished it becomes a plain one, which players and browsers can seek in (FFmpeg's `hybrid_fragmented`).
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import StageFailed
from emopipe.stages.media.audio import SAMPLE_NS, SAMPLE_RATE_HZ
from emopipe.stages.media.canvas import Canvas, Restorer, even_size, matrix_of
from emopipe.stages.mp4.source_audio import OriginalSound
from emopipe.stages.types import VideoFrame

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

Draw = Callable[[Canvas], None]

BASE = Fraction(1, 90_000)  # s, the unit of the pictures' times
FRAGMENT = 1_000_000  # µs that a killed run may lose, and what the encoder holds back
KEYFRAMES = 60  # pictures from one place to seek to, to the next
WAIT = SECOND  # ns that a track waits for the other's first word before the file begins without knowing
BLIND = 10 * SECOND  # ns of sound before it is given up to wait for the first picture's size
UNSEEN = (1280, 720)  # the size of a film whose first picture came too late
LAG = 2 * SECOND  # ns that the sound may lie behind the pictures before silence takes its place
CUT = "free some space, or choose another path"


class Film:
    """Writes one mp4. Not for use by several threads at once; every method may block for as long as an encoder takes.

    The film's time is running time: the first picture is shown from 0 on, whenever it came, and where there is no sound
    there is silence. A picture of another size than the first is scaled to fit.

    Args:
        path: of the file; an old one is overwritten by the first picture or sound, not before.
        title: of the film, in its metadata.
        pictures, hears: whether pictures, and blocks of 16 kHz sound, may come.
        original: a recording's own sound, to take instead of blocks.
        longest: the longer side of the pictures, in pixels; 0: as the first one.
        crf: x264's quality, 0 (best) to 51.

    Attributes:
        end: ns of running time up to which there is something.
        seen: whether a picture came.
        written: whether there is a file.

    Raises (all methods):
        StageFailed: the file cannot be written, for instance since the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        title: str = "",
        pictures: bool = True,
        hears: bool = False,
        original: OriginalSound | None = None,
        longest: int = 0,
        crf: int = 23,
    ) -> None:
        self.path = path
        self.end = 0
        self._title = title
        self._sees, self._hears = pictures, hears and original is None
        self._original = original
        self._longest, self._crf = longest, crf
        self._container: av.container.OutputContainer | None = None
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._restorer: Restorer | None = None
        self._waiting: deque[tuple[int, Canvas | NDArray[np.float32], int]] = deque()
        self.seen = self.written = False
        self._heard = False
        self._ticks = -1  # of the newest picture
        self._samples = 0  # of sound written
        self._shift = 0  # ns to add to what comes, since time jumped
        self._jumped = self._over = False

    # -- what comes ------------------------------------------------------------------------------------------

    def picture(self, frame: VideoFrame, pts: int, duration: int, draw: Draw | None = None) -> None:
        """Add a picture, `draw`n upon; pts and duration are ns."""
        pts = self._place(pts)
        canvas = self._canvases(frame).read(frame)
        if draw is not None:
            draw(canvas)
        self.seen = True
        self._add(pts, canvas, duration)

    def sound(self, samples: NDArray[np.float32], pts: int) -> None:
        """Add 16 kHz mono sound in -1..1; what lies on sound that is there already is left out."""
        if not self._hears:
            return
        self._heard = True
        self._add(self._place(pts), samples, len(samples) * SAMPLE_NS)

    def jump(self) -> None:
        """The stream's time begins anew: what comes next follows what was."""
        self._jumped = True

    def no_pictures(self) -> None:
        """None will come (any more)."""
        self._sees = self._sees and self.seen
        self._begin_if_known(self.end)

    def no_sound(self) -> None:
        """No block will come (any more)."""
        self._hears = self._hears and self._heard
        self._begin_if_known(self.end)

    def finish(self, whole: bool = True) -> None:
        """Complete the file; nothing is written where nothing came. `whole`: the stream has ended by itself."""
        if self._over:
            return
        self._over = True
        try:
            if self._container is None and (self._waiting or self._original is not None):
                self._sees, self._hears = self.seen, self._heard
                self._begin()
            self._complete(whole)
        finally:
            self._release()

    # -- how it is written -----------------------------------------------------------------------------------

    def _place(self, pts: int) -> int:
        if self._jumped:
            self._shift, self._jumped = self.end - pts, False
        return pts + self._shift

    def _canvases(self, frame: VideoFrame) -> Restorer:
        if self._restorer is None:
            size = even_size(frame, self._longest) if self._container is None else UNSEEN
            self._restorer = Restorer(*size, matrix_of(frame))
        return self._restorer

    def _add(self, pts: int, piece: Canvas | NDArray[np.float32], duration: int) -> None:
        self.end = max(self.end, pts + duration)
        self._waiting.append((pts, piece, duration))
        self._begin_if_known(pts)

    def _begin_if_known(self, now: int) -> None:
        """Write what waits, once it is known which tracks there are: an mp4 cannot get another one later."""
        if self._container is None:
            waited = now - self._waiting[0][0] if self._waiting else 0
            pictures_known = self.seen or not self._sees or waited > BLIND
            sound_known = self._heard or not self._hears or waited > WAIT
            if not (pictures_known and sound_known) or not self._waiting:
                return
            self._begin()
        while self._waiting:
            pts, piece, duration = self._waiting.popleft()
            if isinstance(piece, Canvas):
                self._show(piece, pts, duration)
            else:
                self._play(piece, pts)

    def _begin(self) -> None:
        options = {"movflags": "hybrid_fragmented", "frag_duration": str(FRAGMENT), "flush_packets": "1"}
        with self._writing(0):
            self._container = av.open(f"file:{self.path}", "w", format="mp4", container_options=options)
            if self._title:
                self._container.metadata["title"] = self._title
            if self._sees:
                self._video = self._add_video(self._container)
            if self._original is not None:
                self._original.add_to(self._container)
            elif self._hears:
                self._audio = self._container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
                self._audio.bit_rate = 64_000
            self._container.start_encoding()  # now, so that a wrong path is told at once
            self.written = True

    def _add_video(self, container: "av.container.OutputContainer") -> "VideoStream":
        restorer = self._restorer
        options = {"preset": "veryfast", "crf": str(self._crf)}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height = (restorer.width, restorer.height) if restorer is not None else UNSEEN
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = BASE
        stream.codec_context.gop_size = KEYFRAMES
        stream.codec_context.max_b_frames = 0  # a fragmented mp4 has no way to say that decoding begins before 0
        if restorer is not None:
            stream.codec_context.color_range = 1
            stream.codec_context.colorspace = restorer.tag
        return stream

    def _show(self, canvas: Canvas, pts: int, duration: int) -> None:
        if self._video is None or self._container is None:
            return
        ticks = max(0 if self._ticks < 0 else self._ticks + 1, round(Fraction(pts, SECOND) / BASE))
        canvas.frame.pts = 0 if self._ticks < 0 else ticks  # the first one is shown from the beginning on
        canvas.frame.time_base = BASE
        canvas.frame.duration = max(1, round(Fraction(duration, SECOND) / BASE))
        self._ticks = ticks
        with self._writing(pts):
            self._container.mux(self._video.encode(canvas.frame))
            if self._original is not None:
                self._container.mux(list(self._original.until(pts)))
        if self._audio is not None:
            self._silence(pts - LAG)  # else the file would wait for the sound, and memory grow

    def _play(self, samples: NDArray[np.float32], pts: int) -> None:
        if self._audio is None:
            return
        self._silence(pts)
        self._encode(samples[max(0, self._samples - round(pts / SAMPLE_NS)) :])

    def _silence(self, until: int) -> None:
        """Fill the sound's track up to `until` (ns)."""
        while (missing := round(until / SAMPLE_NS) - self._samples) > 0:
            self._encode(np.zeros(min(missing, SAMPLE_RATE_HZ), np.float32))

    def _encode(self, samples: NDArray[np.float32]) -> None:
        if not len(samples) or self._audio is None or self._container is None:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None], "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ), self._samples
        self._samples += len(samples)
        with self._writing(self._samples * SAMPLE_NS):
            self._mux_sound(self._audio.encode(frame))

    def _mux_sound(self, packets: "list[av.Packet[AudioStream]]") -> None:
        """Without what an encoder sends ahead: the file could not say that this is to be skipped."""
        assert self._container is not None
        self._container.mux([packet for packet in packets if packet.pts is None or packet.pts >= 0])

    def _complete(self, whole: bool) -> None:
        self._begin_if_known(self.end)
        if self._container is None:
            return
        with self._writing(self.end):
            if self._audio is not None:
                self._mux_sound(self._audio.encode(None))
            if self._original is not None:
                self._container.mux(list(self._original.until(None if whole else self.end)))
            if self._video is not None:
                self._container.mux(self._video.encode(None))
            container, self._container = self._container, None
            container.close()

    @contextmanager
    def _writing(self, at: int) -> Iterator[None]:
        """FFmpeg's errors as one sentence about the file, of which all before `at` (ns) is there; nothing follows."""
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            self._over, self._container = True, None
            self._release()
            kept = f"what came before {at / SECOND:.1f} s can be played" if at else "nothing was written"
            raise StageFailed(f"{self.path} cannot be written any more: {error.strerror}; {kept}; {CUT}") from None

    def _release(self) -> None:
        self._waiting.clear()
        if self._original is not None:
            self._original.close()
